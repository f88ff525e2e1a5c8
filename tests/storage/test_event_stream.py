"""What happened to all objects is told once, in order, and to those who may see it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.fake_clock import START, FakeClock
from tests.support.jobs import add_projects
from windlass.access.v1 import event_pb2 as pb
from windlass_server.access import events
from windlass_server.access.events import EVERYTHING, EventsService, Wanted
from windlass_server.access.policy import Caller, Role
from windlass_server.access.settled_events import PATIENCE_SECONDS, SettledEvents
from windlass_server.errors import NotFound
from windlass_server.hub import EventHub
from windlass_server.storage.engine import Database
from windlass_server.storage.events import EventFilter
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")

ADMIN = Caller("root", organisation_role=Role.ADMIN)
ADA = Caller("ada", roles={"vision": Role.VIEWER})
ALL = Wanted("", EventFilter())


def record(tx: Transaction, object_id: str, *, project: str = "vision", **more: Any) -> int:
    values = {"at": START, "actor": "ada", "status": 1, "reason": "SUBMITTED", "message": ""}
    return tx.events.record(project=project, object_id=object_id, run_id="", **(values | more))


@pytest.fixture
async def service(database: Database) -> EventsService:
    """Six events of two projects and a node."""

    def store(tx: Transaction) -> None:
        add_projects(tx, "vision", "speech")
        record(tx, "job-a")
        record(tx, "job-b", project="speech", actor="bob")
        record(tx, "job-a", reason="COMPLETED", status=5, at=START + 10)
        record(tx, "node-n", project="", actor="node/node-n", reason="NODE_LOST", at=START + 20)
        record(tx, "policy/x", project="", at=START + 30)
        record(tx, "job-b", project="speech", reason="COMPLETED", at=START + 40)

    await database.write(store)
    return EventsService(database, FakeClock(), EventHub())


async def told(service: EventsService, wanted: Wanted, who: Caller = ADMIN) -> list[str]:
    """The objects of all events of a stream that ends."""
    messages = [message async for message in service.stream(who, wanted)]
    assert messages[-1].HasField("end")
    assert all(message.HasField("event") for message in messages[:-1])
    return [message.event.object_id for message in messages[:-1]]


@pytest.mark.parametrize(
    ("chosen", "objects"),
    [
        ({}, ["job-a", "job-b", "job-a", "node-n", "policy/x", "job-b"]),
        ({"object_id": "job-a"}, ["job-a", "job-a"]),
        ({"kinds": ("node",)}, ["node-n"]),
        ({"kinds": ("node", "policy")}, ["node-n", "policy/x"]),
        ({"kinds": ("jo",)}, []),
        ({"reasons": ("COMPLETED", "NODE_LOST")}, ["job-a", "node-n", "job-b"]),
        ({"actor": "bob"}, ["job-b"]),
        ({"since": START + 20}, ["node-n", "policy/x", "job-b"]),
    ],
)
async def test_a_stream_has_what_is_asked_for_oldest_first(
    service: EventsService, chosen: dict[str, Any], objects: list[str]
) -> None:
    assert await told(service, Wanted("", EventFilter(**chosen))) == objects


@pytest.mark.parametrize("page", [1, 2, 200])
async def test_pages_and_windows_lose_and_double_nothing(
    service: EventsService, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(events, "_PAGE", page)
    monkeypatch.setattr(events, "_WINDOW", 2)
    assert len(await told(service, ALL)) == 6
    assert await told(service, Wanted("", EventFilter(kinds=("policy",)))) == ["policy/x"]


async def test_a_stream_goes_on_behind_each_of_its_cursors(service: EventsService) -> None:
    messages = [message async for message in service.stream(ADMIN, ALL)]
    for number, message in enumerate(messages):
        rest = await told(service, Wanted("", EventFilter(), cursor=int(message.cursor), tail=1))
        assert rest == [one.event.object_id for one in messages[number + 1 : -1]]


@pytest.mark.parametrize(
    ("tail", "objects"), [(0, []), (1, ["job-b"]), (3, ["job-b", "job-a", "job-b"]), (9, None)]
)
async def test_a_tail_counts_what_is_asked_for(
    service: EventsService, tail: int, objects: list[str] | None
) -> None:
    wanted = Wanted("", EventFilter(kinds=("job",)), tail=tail)
    everything = ["job-a", "job-b", "job-a", "job-b"]
    assert await told(service, wanted) == (everything if objects is None else objects)


async def test_each_is_told_of_what_he_may_see(service: EventsService) -> None:
    assert await told(service, ALL, ADA) == ["job-a", "job-a"]
    assert await told(service, Wanted("vision", EventFilter()), ADA) == ["job-a", "job-a"]
    assert await told(service, Wanted("speech", EventFilter())) == ["job-b", "job-b"]
    assert await told(service, ALL, Caller("new")) == []
    refusals = []
    for project in ("speech", "nope"):
        with pytest.raises(NotFound) as refused:
            await told(service, Wanted(project, EventFilter()), ADA)
        refusals.append(str(refused.value).replace(project, "…"))
    assert refusals[0] == refusals[1]


async def test_a_jobs_event_says_its_status(service: EventsService) -> None:
    found = [message.event async for message in service.stream(ADMIN, ALL)]
    assert [(one.kind, one.status) for one in found[:5]] == [
        ("job", "QUEUED"),
        ("job", "QUEUED"),
        ("job", "SUCCEEDED"),
        ("node", ""),
        ("policy", ""),
    ]


class NoticingHub(EventHub):
    """Says when somebody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.listened = asyncio.Event()

    def listening(self, topics: Any) -> Any:
        self.listened.set()
        return super().listening(topics)


async def following(
    service: EventsService, wanted: Wanted
) -> tuple[AsyncGenerator[pb.EventMessage], "asyncio.Task[pb.EventMessage]"]:
    stream = service.stream(ADMIN, wanted)
    waiting = asyncio.ensure_future(anext(stream))
    return stream, waiting


async def test_who_follows_is_told_of_what_happens_then(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only a word of the hub makes it look again.
    monkeypatch.setattr(events, "_LOOK_SECONDS", 60)
    hub = NoticingHub()
    service = EventsService(database, FakeClock(), hub)
    stream, waiting = await following(service, Wanted("", EventFilter(), follow=True, tail=0))
    await asyncio.wait_for(hub.listened.wait(), 20)
    await database.write(lambda tx: [record(tx, "job-a"), record(tx, "job-b")])
    hub.tell((EVERYTHING,))
    first, second = await asyncio.wait_for(waiting, 20), await asyncio.wait_for(anext(stream), 20)
    assert [first.event.object_id, second.event.object_id] == ["job-a", "job-b"]
    await stream.aclose()
    assert not hub._listeners


async def test_who_follows_and_hears_nothing_gets_a_sign_of_life(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_LOOK_SECONDS", 0.01)
    clock = FakeClock()
    service = EventsService(database, clock, EventHub())
    stream, waiting = await following(service, Wanted("", EventFilter(), follow=True))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    clock.advance(20)
    message = await asyncio.wait_for(waiting, 20)
    assert message.HasField("heartbeat")
    await stream.aclose()


async def test_an_event_that_becomes_visible_late_is_told_before_those_behind_it(
    database: Database,
) -> None:
    clock = FakeClock()
    settled = SettledEvents(database, clock)
    assert await settled.end() == 0
    number = await database.write(lambda tx: record(tx, "job-a"))
    assert await settled.end() == number
    if database.name == "sqlite":
        # It has one writer: no number is given out before the one before it can be seen.
        return
    # Somebody has taken a number and has not ended his transaction yet.
    await database.write(
        lambda tx: tx.events._connection.execute(text("SELECT nextval('events_sequence_seq')"))
    )
    later = await database.write(lambda tx: record(tx, "job-b"))
    assert later == number + 2
    assert await settled.end() == number
    clock.advance(PATIENCE_SECONDS - 1)
    assert await settled.end() == number
    # It was a transaction that failed.
    clock.advance(2)
    assert await settled.end() == later
