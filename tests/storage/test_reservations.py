"""Parts of nodes are reserved, and kept by the scheduler, on both engines, without agents."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import START
from tests.support.nodes import an_inventory
from tests.support.remote_runs import nowhere_else
from tests.support.upkeep import Upkeep
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import reservation_pb2, resources_service_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Conflict, Denied, InvalidInput, NotFound, WrongState
from windlass_server.ids import IdSource
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.states import Status
from windlass_server.paging import PageTokens
from windlass_server.resources import reservation_times, reserved
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.reservation_message import reservation_message
from windlass_server.resources.reservation_moves import ReservationMoves
from windlass_server.resources.reservations import ReservationsService
from windlass_server.storage.engine import Database
from windlass_server.timestamps import to_proto

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

HOUR = 3_600_000_000
Reservation = reservation_pb2.Reservation
VIEWER = Caller("eve", roles={"default": Role.VIEWER})
ADA = Caller("ada", default_project="default", roles={"default": Role.DEVELOPER})
H100 = {"gpu_count": 8, "gpu_type": "H100"}


class World(Upkeep):
    """A cluster in which parts of nodes are reserved."""

    ids: IdSource

    @property
    def reservations(self) -> ReservationsService:
        cluster = Cluster(self.database, (), lambda _node_id: frozenset())
        tokens = PageTokens(b"page tokens")
        return ReservationsService(self.database, cluster, self.clock, self.ids, tokens)

    def asked(self, begins: float = 1, hours: float = 2, **wanted: Any) -> Reservation:
        """A reservation that begins in so many hours."""
        start = self.clock.now() + round(begins * HOUR)
        fields = {"resources": H100} if "node_ids" not in wanted else {}
        spec = Reservation(**(fields | wanted))
        spec.start_time.CopyFrom(to_proto(start))
        spec.end_time.CopyFrom(to_proto(start + round(hours * HOUR)))
        return spec

    async def reserve(self, begins: float = 1, hours: float = 2, **wanted: Any) -> Reservation:
        request = resources_service_pb2.CreateReservationRequest(
            reservation=self.asked(begins, hours, **wanted)
        )
        return reservation_message(await self.reservations.create(ADMIN, request))

    async def read(self, one: Reservation) -> Reservation:
        view = await self.reservations.get(VIEWER, one.reservation_id)
        return reservation_message(view)

    async def gpu_node(self, name: str) -> str:
        inventory = an_inventory(gpus=8)
        return await self.add_node(name, inventory=inventory.SerializeToString())

    async def running_job(self, *, minutes: int | None = None, **values: Any) -> None:
        """A job that runs, for so long at most."""
        spec = job_pb2.Job()
        if minutes is not None:
            spec.time_limit.FromSeconds(minutes * 60)
        job_id = await self.add_job(spec=spec.SerializeToString(), **values)
        assert (await self.cycle(job_id)).status == Status.SCHEDULED
        await self.report(job_id, "RUNNING")

    async def submit(self, who: Caller, **fields: Any) -> str:
        """As a caller asks for it, with every check."""
        hints = JobHints(lambda _job_id: None, lambda _node_id: None)
        elsewhere = nowhere_else(self.database, self.logs, self.clock, self.ids)
        pages = PageTokens(b"page")
        jobs = JobsService(
            self.database, self.cluster, self.clock, self.ids, pages, hints, elsewhere
        )
        return (await jobs.submit(who, job_pb2.Job(command=["true"], **fields))).job_id

    async def try_job(self, **values: Any) -> tuple[Status, str]:
        """What the scheduler makes of a new job."""
        row = await self.cycle(await self.add_job(**values))
        return Status(row.status), row.status_reason


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    world.ids = IdSource(world.clock)
    await world.database.write(lambda tx: tx.access.add_project("vision", "windlass", "", START))
    yield world
    await world.logs.close()


PLACED = (Status.SCHEDULED, "PLACED")
RESERVED = (Status.QUEUED, "RESERVED")


async def test_a_reservation_begins_and_ends_by_time_alone(world: World):
    node = await world.gpu_node("n1")
    made = await world.reserve(project="vision", reason="demo")
    assert (made.status, made.project, made.user) == (Reservation.PENDING, "vision", ADMIN.user)
    assert [(part.node_id, part.gpu_count) for part in made.parts] == [(node, 8)]
    assert made.next_start_time == made.start_time
    for hours, expected in ((1, Reservation.ACTIVE), (1.9, Reservation.ACTIVE), (0.2, 3)):
        world.clock.advance(hours * 3600)
        assert (await world.read(made)).status == expected
    assert not (await world.read(made)).HasField("next_start_time")


async def test_what_is_reserved_is_kept_for_those_that_it_is_for(world: World):
    await world.gpu_node("n1")
    await world.reserve(begins=0, project="vision", users=["ada"])
    assert await world.try_job(gpu_count=1, gpu_type="H100", user="bob") == RESERVED
    assert await world.try_job(project="vision", user="bob") == RESERVED
    assert await world.try_job(project="vision", user="ada", gpu_count=8, cpu_millis=8000) == PLACED


async def test_a_part_is_kept_and_the_rest_is_for_all(world: World):
    await world.gpu_node("n1")
    await world.reserve(begins=0, project="vision", resources={"gpu_count": 6})
    assert await world.try_job(gpu_count=3) == RESERVED
    assert await world.try_job(gpu_count=2) == PLACED
    assert await world.try_job(gpu_count=6, project="vision") == PLACED


async def test_what_those_have_of_it_whom_it_is_for_is_not_kept_twice(world: World):
    await world.gpu_node("n1")
    await world.reserve(begins=0, project="vision", resources={"gpu_count": 6})
    assert await world.try_job(gpu_count=4, project="vision") == PLACED
    assert await world.try_job(gpu_count=2) == PLACED
    assert await world.try_job(gpu_count=1) == RESERVED
    assert await world.try_job(gpu_count=2, project="vision") == PLACED


def cards(count: int) -> dict[str, Any]:
    """So many GPUs and next to nothing beside them."""
    return {"gpu_count": count, "cpu_millis": 1, "memory_bytes": 1}


async def test_a_card_that_is_shared_is_no_card_to_keep_and_none_to_share_with_others(
    world: World,
):
    await world.share_gpus()
    await world.gpu_node("n1")
    await world.reserve(begins=0, project="vision", resources=cards(7))
    share = {"gpu_count": 1, "gpu_millis": 250, "cpu_millis": 10}
    # One card that those whom it is for share counts as one of theirs, however many share it.
    assert await world.try_job(project="vision", **share) == PLACED
    assert await world.try_job(project="vision", **share) == PLACED
    assert await world.try_job(gpu_count=2, cpu_millis=10) == RESERVED
    # Who joined them there would keep the card when they have gone: there is one card more.
    assert await world.try_job(**share) == PLACED
    assert await world.try_job(gpu_count=1, cpu_millis=10) == RESERVED
    assert await world.try_job(project="vision", gpu_count=6, cpu_millis=10) == PLACED


async def test_nobody_joins_those_who_share_a_card_where_all_are_kept_for_them(world: World):
    await world.share_gpus()
    await world.gpu_node("n1")
    await world.reserve(begins=0, project="vision", resources=cards(8))
    share = {"gpu_count": 1, "gpu_millis": 250, "cpu_millis": 10}
    assert await world.try_job(project="vision", **share) == PLACED
    assert await world.try_job(**share) == RESERVED
    assert await world.try_job(project="vision", **share) == PLACED
    assert await world.try_job(project="vision", gpu_count=7, cpu_millis=10) == PLACED


async def test_a_share_that_could_run_into_a_reservation_of_all_waits(world: World):
    await world.share_gpus()
    await world.gpu_node("n1")
    await world.reserve(begins=1, project="vision", resources=cards(8))
    share = {"gpu_count": 1, "gpu_millis": 250, "cpu_millis": 10}
    assert await world.try_job(longest_run=HOUR, **share) == PLACED
    assert await world.try_job(**share) == RESERVED
    assert await world.try_job(longest_run=HOUR, **share) == PLACED


async def test_only_what_is_over_before_begins_on_nodes_that_will_be_reserved(world: World):
    await world.gpu_node("n1")
    await world.reserve(begins=1, project="vision")
    assert await world.try_job(longest_run=None) == RESERVED
    assert await world.try_job(longest_run=2 * HOUR) == RESERVED
    assert await world.try_job(longest_run=HOUR // 2) == PLACED


async def test_what_runs_for_ever_is_counted_at_the_beginning_and_what_is_over_is_not(
    world: World,
):
    node = await world.gpu_node("n1")
    await world.running_job(gpu_count=2)
    await world.running_job(minutes=15, gpu_count=2)
    made = await world.reserve(begins=1, project="vision", resources={"gpu_count": 4})
    assert [part.node_id for part in made.parts] == [node]
    # Two of eight are held for ever and four kept; those held for a quarter of an hour are back.
    assert await world.try_job(gpu_count=3) == RESERVED
    assert await world.try_job(gpu_count=2) == PLACED


async def test_maintenance_is_for_nobody(world: World):
    node = await world.gpu_node("n1")
    made = await world.reserve(begins=0, node_ids=[node], maintenance=True, reason="fans")
    assert made.project == ""
    assert await world.try_job(project="default") == RESERVED
    world.clock.advance(2 * 3600)
    assert await world.try_job(project="default") == PLACED


async def test_a_cancelled_reservation_keeps_nothing(world: World):
    await world.gpu_node("n1")
    made = await world.reserve(begins=0, project="vision")
    for _ in range(2):
        view = await world.reservations.cancel(ADMIN, made.reservation_id)
        assert reservation_message(view).status == Reservation.CANCELLED
    assert reservation_message(view).HasField("cancel_time")
    assert await world.try_job(gpu_count=8) == PLACED


async def test_one_that_comes_again_is_kept_each_time(world: World):
    await world.gpu_node("n1")
    # The fake clock stands at 08:00 UTC.
    again = {"cron": "0 9 * * *"}
    made = await world.reserve(begins=0, hours=1, project="vision", recurrence=again)
    assert await world.try_job(longest_run=HOUR // 2) == PLACED
    assert await world.try_job(longest_run=2 * HOUR) == RESERVED
    for _ in range(2):
        world.clock.advance(24 * 3600)
        shown = await world.read(made)
        assert shown.status == Reservation.PENDING
        assert shown.next_start_time.ToMicroseconds() == world.clock.now() + HOUR
        assert await world.try_job(longest_run=2 * HOUR) == RESERVED


async def test_allocations_mind_reservations_too(world: World):
    await world.gpu_node("n1")
    await world.reserve(begins=1, project="vision", resources={"gpu_count": 6})

    def wanted(gpus: int, seconds: int) -> resources_service_pb2.AllocateRequest:
        request = resources_service_pb2.AllocateRequest(project="default")
        request.resources.gpu_count = gpus
        request.ttl.FromSeconds(seconds)
        return request

    with pytest.raises(Conflict) as refused:
        await world.allocations.allocate(ADA, wanted(3, 7200))
    assert refused.value.reason == "RESERVED"
    row = await world.allocations.allocate(ADA, wanted(3, 1800))
    with pytest.raises(Conflict) as refused:
        await world.allocations.renew(ADA, row.allocation_id, 2 * HOUR)
    assert refused.value.reason == "RESERVED"
    assert (await world.allocations.renew(ADA, row.allocation_id, HOUR)).ttl == HOUR


async def test_overlapping_reservations_are_refused_with_the_ids_of_the_others(world: World):
    node = await world.gpu_node("n1")
    first = await world.reserve(begins=1, project="vision")
    for wanted in ({}, {"node_ids": [node]}, {"resources": {"gpu_count": 1}}):
        with pytest.raises(WrongState) as refused:
            await world.reserve(begins=2.5, **wanted)
        assert refused.value.reason == "RESERVATION_CONFLICT"
        assert refused.value.metadata == {"reservation_ids": first.reservation_id}
        assert first.reservation_id in refused.value.message
    assert (await world.reserve(begins=3)).status == Reservation.PENDING
    again = {"cron": "0 9 * * *"}
    with pytest.raises(WrongState):
        await world.reserve(begins=-1, hours=0.5, recurrence=again)


async def test_another_node_is_reserved_where_one_is_taken(world: World):
    await world.gpu_node("n1")
    second = await world.gpu_node("n2")
    await world.reserve()
    assert [part.node_id for part in (await world.reserve()).parts] == [second]


@pytest.mark.parametrize(
    ("wanted", "reason", "field"),
    [
        ({"resources": {}}, "NOTHING_RESERVED", "resources"),
        ({"resources": {"node_count": 1}, "node_ids": ["node-1"]}, "RESERVED_TWICE", "resources"),
        ({"resources": {"gpu_count": 1, "node_count": 1}}, "RESERVED_TWICE", "resources"),
        ({"hours": -1}, "TIMES_REVERSED", "end_time"),
        ({"hours": 0}, "TIMES_REVERSED", "end_time"),
        ({"hours": 9000}, "TOO_LONG_OR_TOO_FAR", "end_time"),
        ({"begins": 100_000}, "TOO_LONG_OR_TOO_FAR", "start_time"),
        ({"recurrence": {"cron": "61 * * * *"}}, "BAD_RECURRENCE", "recurrence"),
        ({"recurrence": {"cron": "* * * * *"}}, "BAD_RECURRENCE", "recurrence"),
        (
            {"recurrence": {"cron": "0 1 * * *", "time_zone": "No/Where"}},
            "BAD_RECURRENCE",
            "recurrence",
        ),
        ({"maintenance": True, "project": "vision"}, "MAINTENANCE_IS_FOR_NOBODY", "maintenance"),
        ({"resources": {"gpu_count": 9}}, "UNSATISFIABLE_RESOURCES", "resources"),
        (
            {"resources": {"gpu_count": 1, "gpu_type": "B200"}},
            "UNSATISFIABLE_RESOURCES",
            "resources",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_by_the_name_of_its_field(
    world: World, wanted: dict[str, Any], reason: str, field: str
):
    await world.gpu_node("n1")
    with pytest.raises(InvalidInput) as refused:
        await world.reserve(**wanted)
    assert refused.value.reason == reason
    assert [one.field for one in refused.value.violations] == [f"reservation.{field}"]


async def test_all_that_is_wrong_with_a_reservation_is_named_at_once(world: World):
    await world.gpu_node("n1")
    with pytest.raises(InvalidInput) as refused:
        await world.reserve(
            begins=100_000,
            hours=-1,
            maintenance=True,
            users=["ada"],
            resources={},
            recurrence={"cron": "61 * * * *"},
        )
    assert [(one.field, one.reason) for one in refused.value.violations] == [
        ("reservation.maintenance", "MAINTENANCE_IS_FOR_NOBODY"),
        ("reservation.recurrence", "BAD_RECURRENCE"),
        ("reservation.start_time", "TOO_LONG_OR_TOO_FAR"),
        ("reservation.end_time", "TIMES_REVERSED"),
        ("reservation.resources", "NOTHING_RESERVED"),
    ]


async def test_an_update_of_no_reservation_names_the_field(world: World):
    with pytest.raises(InvalidInput) as refused:
        await world.reservations.update(ADMIN, Reservation(reason="x"), [])
    assert [one.field for one in refused.value.violations] == ["reservation.reservation_id"]


async def test_what_was_over_before_it_was_asked_for_is_refused(world: World):
    await world.gpu_node("n1")
    with pytest.raises(InvalidInput) as refused:
        await world.reserve(begins=-3, hours=2)
    assert refused.value.reason == "TIMES_REVERSED"


async def test_what_there_is_not_is_not_found(world: World):
    await world.gpu_node("n1")
    for wanted in ({"node_ids": ["node-no"]}, {"project": "nope"}):
        with pytest.raises(NotFound):
            await world.reserve(**wanted)
    with pytest.raises(NotFound):
        await world.reservations.get(ADMIN, "resv-no")
    with pytest.raises(NotFound):
        await world.reservations.cancel(ADMIN, "resv-no")
    with pytest.raises(NotFound):
        await world.reservations.update(ADMIN, Reservation(reservation_id="resv-no"), [])


async def test_the_same_request_makes_one_reservation(world: World):
    await world.gpu_node("n1")
    request = resources_service_pb2.CreateReservationRequest(
        reservation=world.asked(), request_id="r1"
    )
    first = await world.reservations.create(ADMIN, request)
    again = await world.reservations.create(ADMIN, request)
    assert again.row.reservation_id == first.row.reservation_id
    request.reservation.reason = "other"
    with pytest.raises(Conflict):
        await world.reservations.create(ADMIN, request)


async def test_an_update_moves_it_where_it_is_free(world: World):
    await world.gpu_node("n1")
    made, other = await world.reserve(begins=1), await world.reserve(begins=4)
    moved = world.asked(begins=1, hours=3, reservation_id=made.reservation_id, reason="longer")
    view = await world.reservations.update(ADMIN, moved, ["end_time", "reason"])
    shown = reservation_message(view)
    assert (shown.reason, shown.end_time, shown.etag) == ("longer", moved.end_time, "2")
    assert shown.resources.gpu_count == 8
    into = world.asked(begins=1, hours=4, reservation_id=made.reservation_id)
    with pytest.raises(WrongState) as refused:
        await world.reservations.update(ADMIN, into, ["end_time"])
    assert refused.value.metadata == {"reservation_ids": other.reservation_id}
    stale = world.asked(begins=1, hours=2, reservation_id=made.reservation_id, etag="1")
    with pytest.raises(Conflict):
        await world.reservations.update(ADMIN, stale, ["end_time"])
    with pytest.raises(InvalidInput):
        await world.reservations.update(ADMIN, moved, ["resources"])


async def test_an_update_that_says_something_else_of_what_stays_is_refused(world: World):
    await world.gpu_node("n1")
    made = await world.reserve(begins=1, resources={"gpu_count": 4})
    made.reason = "as it was read, but for this"
    assert (await world.reservations.update(ADMIN, made, ())).spec.reason == made.reason
    made.etag = ""
    made.resources.gpu_count = 5
    made.maintenance = True
    with pytest.raises(InvalidInput) as refused:
        await world.reservations.update(ADMIN, made, ())
    named = [one.field for one in refused.value.violations]
    assert named == ["reservation.resources", "reservation.maintenance"]
    assert (await world.read(made)).resources.gpu_count == 4


async def test_an_update_that_takes_the_end_away_is_refused_and_the_start_is_then_now(world: World):
    await world.gpu_node("n1")
    made = await world.reserve(begins=1)
    bare = Reservation(reservation_id=made.reservation_id)
    with pytest.raises(InvalidInput) as refused:
        await world.reservations.update(ADMIN, bare, ["end_time"])
    assert [one.field for one in refused.value.violations] == ["reservation.end_time"]
    await world.reservations.update(ADMIN, bare, ["start_time"])
    assert (await world.read(made)).start_time == to_proto(world.clock.now())


async def test_what_has_begun_keeps_its_start_and_what_is_over_stays_so(world: World):
    await world.gpu_node("n1")
    made = await world.reserve(begins=1)
    world.clock.advance(3600)
    later = world.asked(begins=0.5, hours=2, reservation_id=made.reservation_id)
    with pytest.raises(WrongState) as refused:
        await world.reservations.update(ADMIN, later, ["start_time", "end_time"])
    assert refused.value.reason == "RESERVATION_BEGUN"
    await world.reservations.update(ADMIN, later, ["end_time"])
    world.clock.advance(3 * 3600)
    for call in (
        world.reservations.update(ADMIN, later, ["end_time"]),
        world.reservations.cancel(ADMIN, made.reservation_id),
    ):
        with pytest.raises(WrongState) as refused:
            await call
        assert refused.value.reason == "RESERVATION_ENDED"


async def test_only_an_administrator_of_all_reserves_and_everybody_may_look(world: World):
    await world.gpu_node("n1")
    request = resources_service_pb2.CreateReservationRequest(reservation=world.asked())
    with pytest.raises(Denied):
        await world.reservations.create(VIEWER, request)
    made = await world.reserve()
    for call in (
        world.reservations.update(VIEWER, made, ["reason"]),
        world.reservations.cancel(VIEWER, made.reservation_id),
    ):
        with pytest.raises(Denied):
            await call
    assert (await world.read(made)).reservation_id == made.reservation_id


async def test_reservations_are_listed_by_status_project_node_and_page(world: World):
    nodes = [await world.gpu_node(f"n{number}") for number in range(3)]
    made = [
        await world.reserve(begins=0, node_ids=[nodes[0]], project="vision"),
        await world.reserve(begins=1, node_ids=[nodes[1]]),
        await world.reserve(begins=2, node_ids=[nodes[2]]),
    ]
    ids = [one.reservation_id for one in made]

    async def listed(**wanted: Any) -> tuple[list[str], str]:
        request = resources_service_pb2.ListReservationsRequest(**wanted)
        found, token = await world.reservations.list(VIEWER, request)
        return [view.row.reservation_id for view in found], token

    assert (await listed())[0] == ids[::-1]
    assert (await listed(status=Reservation.ACTIVE))[0] == ids[:1]
    assert (await listed(status=Reservation.PENDING))[0] == ids[:0:-1]
    assert (await listed(project="vision"))[0] == ids[:1]
    assert (await listed(node_id=nodes[1]))[0] == ids[1:2]
    first, token = await listed(status=Reservation.PENDING, page_size=1)
    second, end = await listed(status=Reservation.PENDING, page_size=1, page_token=token)
    assert (first, second, end) == (ids[2:], ids[1:2], "")
    with pytest.raises(InvalidInput):
        await listed(page_token=token)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
SPECS = st.fixed_dictionaries(
    {
        "begins": st.floats(-2000, 90_000),
        "hours": st.floats(-1, 9000),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "gpu_count": st.integers(0, 9),
                "cpu_millis": st.integers(0, 9000),
                "memory_bytes": st.integers(0, 1 << 35),
                "node_count": st.integers(0, 2),
            },
        ),
    },
    optional={
        "users": st.lists(TEXT.filter(bool), max_size=2, unique=True),
        "reason": TEXT,
        "recurrence": st.fixed_dictionaries(
            {"cron": st.sampled_from(["0 9 * * *", "0 */6 * * *", "0 0 29 2 *", "0 0 * * 5L"])},
            optional={
                "time_zone": st.sampled_from(["", "Europe/Berlin", "America/St_Johns"]),
                "until": st.builds(dict, seconds=st.integers(0, 253_402_300_799)),
            },
        ),
    },
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=SPECS)
async def test_whatever_was_accepted_reads_in_every_way(world: World, wanted: dict[str, Any]):
    nodes = await world.database.read(lambda tx: tx.nodes.all())
    if not nodes:
        await world.gpu_node("n1")
    try:
        made = await world.reserve(**wanted)
    except (InvalidInput, WrongState):
        return
    assert made.reason == wanted.get("reason", "")
    assert list(made.users) == wanted.get("users", [])
    assert await world.read(made) == made
    for filters in ({}, {"status": made.status}, {"project": made.project}):
        request = resources_service_pb2.ListReservationsRequest(page_size=1000, **filters)
        found, _ = await world.reservations.list(VIEWER, request)
        assert made in map(reservation_message, found)
    await world.try_job(longest_run=HOUR)
    await world.reservations.cancel(ADMIN, made.reservation_id)


async def test_what_clashes_is_found_before_others_have_to_wait_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    await world.gpu_node("n1")
    for hour in (1, 3, 5):
        again = {"cron": f"0 {hour} * * *"}
        await world.reserve(hours=1, resources={"gpu_count": 1}, recurrence=again)
    writing, looked = False, list[bool]()
    write = world.database.write

    async def counted(work: Any) -> Any:
        nonlocal writing
        writing = True
        try:
            return await write(work)
        finally:
            writing = False

    def clash(*times: Any) -> Any:
        looked.append(writing)
        return reservation_times.clash(*times)

    monkeypatch.setattr(world.database, "write", counted)
    monkeypatch.setattr(reserved, "clash", clash)
    made = await world.reserve(resources={"gpu_count": 1}, recurrence={"cron": "0 9 * * *"})
    assert looked == [False] * 3
    made.end_time.FromMicroseconds(made.end_time.ToMicroseconds() + HOUR)
    made.etag = ""
    await world.reservations.update(ADMIN, made, ["end_time"])
    # Itself as it was, too, which nothing is compared with in the end.
    assert looked == [False] * 7


async def moved(world: World, made: Reservation) -> Reservation:
    """The reservation, after the server has looked after it."""
    cluster = Cluster(world.database, (), lambda _node_id: frozenset())
    await ReservationMoves(world.database, cluster, world.clock).cycle()
    return await world.read(made)


def nodes_of(made: Reservation) -> list[str]:
    return [part.node_id for part in made.parts]


async def test_what_is_reserved_of_a_node_that_is_closed_moves_to_another(world: World):
    first, second = await world.gpu_node("n1"), await world.gpu_node("n2")
    made = await world.reserve(project="vision")
    assert nodes_of(made) == [first]
    await world.upkeep.cordon(ADMIN, first, "fan")
    assert (await world.read(made)).problem == "node n1 is cordoned"

    after = await moved(world, made)

    assert nodes_of(after) == [second]
    assert [(part.gpu_count, part.gpu_type) for part in after.parts] == [(8, "H100")]
    assert (after.problem, after.etag == made.etag) == ("", False)
    (event,) = [
        (row.reason, row.actor, row.message)
        for row in await world.database.read(
            lambda tx: tx.events.page(made.reservation_id, after=0, size=9)
        )
        if row.reason == "MOVED"
    ]
    assert event == (
        "MOVED",
        "system/reservations",
        f"node n1 is cordoned: moved to {second}",
    )
    # And it stays there, whatever becomes of the first.
    await world.upkeep.uncordon(ADMIN, first)
    assert nodes_of(await moved(world, made)) == [second]
    world.clock.advance(3600)
    assert await world.try_job(gpu_count=8, project="default") == PLACED
    assert (await world.try_job(gpu_count=1, project="default"))[1] == "RESERVED"
    assert await world.try_job(gpu_count=8, project="vision") == PLACED


async def test_where_there_is_no_other_node_it_stays_and_says_what_is_wrong(world: World):
    first, second = await world.gpu_node("n1"), await world.gpu_node("n2")
    made = await world.reserve(project="vision")
    other = await world.reserve(project="default")
    await world.upkeep.cordon(ADMIN, first, "fan")
    after = await moved(world, made)
    assert (nodes_of(after), after.problem) == ([first], "node n1 is cordoned")
    assert after.etag == made.etag
    # As soon as there is one, it moves.
    await world.reservations.cancel(ADMIN, other.reservation_id)
    assert nodes_of(await moved(world, made)) == [second]


async def test_only_what_is_on_bad_nodes_moves(world: World):
    nodes = [await world.gpu_node(f"n{number}") for number in range(4)]
    made = await world.reserve(project="vision", resources={"node_count": 2})
    kept, left = nodes_of(made)
    await world.upkeep.cordon(ADMIN, left, "fan")
    after = nodes_of(await moved(world, made))
    assert kept in after
    assert left not in after
    assert set(after) < set(nodes)
    assert len(after) == 2


async def test_named_nodes_and_what_has_begun_stay_where_they_are(world: World):
    first, _ = await world.gpu_node("n1"), await world.gpu_node("n2")
    named = await world.reserve(project="vision", node_ids=[first], begins=24)
    begun = await world.reserve(project="vision", begins=0)
    assert nodes_of(begun) == [first]
    repair = await world.reserve(maintenance=True, node_ids=[first], begins=48)
    await world.upkeep.cordon(ADMIN, first, "fan")
    for one in (named, begun):
        after = await moved(world, one)
        assert (nodes_of(after), after.problem) == ([first], "node n1 is cordoned")
    assert (await moved(world, repair)).problem == ""


async def test_a_node_that_cannot_be_reached_is_waited_for_a_while(world: World):
    first, second = await world.gpu_node("n1"), await world.gpu_node("n2")
    made = await world.reserve(project="vision")
    await world.database.write(
        lambda tx: tx.nodes.mark_unreachable(
            first, seen_at=world.clock.now(), reason="AGENT_SILENT", message=""
        )
    )
    world.clock.advance(299)
    assert nodes_of(await moved(world, made)) == [first]
    world.clock.advance(1)
    assert (await world.read(made)).problem == "node n1 cannot be reached"
    assert nodes_of(await moved(world, made)) == [second]


async def test_two_servers_move_it_once(world: World):
    first, _ = await world.gpu_node("n1"), await world.gpu_node("n2")
    made = await world.reserve(project="vision")
    await world.upkeep.cordon(ADMIN, first, "fan")
    await asyncio.gather(*(moved(world, made) for _ in range(3)))
    events = await world.database.read(
        lambda tx: tx.events.page(made.reservation_id, after=0, size=9)
    )
    assert [row.reason for row in events].count("MOVED") == 1


async def test_a_job_runs_inside_the_reservation_that_it_names_and_nowhere_else(world: World):
    nodes = [await world.gpu_node(name) for name in "ab"]
    kept = {"cpu_millis": 4000, "memory_bytes": 4 << 30}
    one = await world.reserve(node_ids=[nodes[1]], project="default")
    other = await world.reserve(resources=kept, project="default")
    early = await world.submit(ADA, reservation_id=one.reservation_id)
    assert (await world.cycle(early)).status_reason == "RESERVATION_PENDING"
    world.clock.advance(3600)
    assert (await world.cycle(early)).node_id == nodes[1]
    # Another that names the same one finds what that has left, and uses nothing else.
    large = {"gpu_count": 9}
    with pytest.raises(InvalidInput):
        await world.submit(ADA, reservation_id=one.reservation_id, resources=large)
    with pytest.raises(InvalidInput) as error:
        await world.submit(ADA, reservation_id=other.reservation_id, resources={"gpu_count": 1})
    assert error.value.violations[0].field == "job.reservation_id"
    assert error.value.violations[0].reason == "UNSATISFIABLE_RESOURCES"
    all_of_it = await world.submit(
        ADA, reservation_id=one.reservation_id, resources={"gpu_count": 8, "cpu_millis": 100}
    )
    assert (await world.cycle(all_of_it)).node_id == nodes[1]
    more = await world.submit(ADA, reservation_id=one.reservation_id, resources={"gpu_count": 1})
    waiting = await world.cycle(more)
    assert (waiting.status, waiting.status_reason) == (Status.QUEUED, "RESERVATION_IN_USE")
    await world.reservations.cancel(ADMIN, one.reservation_id)
    assert (await world.cycle(more)).status_reason == "RESERVATION_ENDED"


async def test_a_reservation_is_named_only_by_those_whom_it_is_for_and_while_it_lasts(world: World):
    node = await world.gpu_node("a")
    of_eve = await world.reserve(node_ids=[node], project="default", users=["eve"])
    with pytest.raises(Denied) as denied:
        await world.submit(ADA, reservation_id=of_eve.reservation_id)
    assert denied.value.reason == "RESERVATION_OF_OTHERS"
    with pytest.raises(NotFound):
        await world.submit(ADA, reservation_id="resv-nope")
    await world.reservations.cancel(ADMIN, of_eve.reservation_id)
    eve = Caller("eve", default_project="default", roles={"default": Role.DEVELOPER})
    with pytest.raises(WrongState) as over:
        await world.submit(eve, reservation_id=of_eve.reservation_id)
    assert over.value.reason == "RESERVATION_ENDED"
