"""Queues: what is said of them, on both engines."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_jobs, add_projects, job_columns
from tests.support.queues import queues_service
from windlass.jobs.v1 import queue_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    WindlassError,
    WrongState,
)
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.queue_message import queue_event_message, queue_message
from windlass_server.jobs.queues import QueuesService
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.queues import QueueStore
from windlass_server.storage.transaction import Transaction

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

VIEWER = Caller("vic", default_project="vision", roles={"vision": Role.VIEWER})
Queue = queue_pb2.Queue
SAID: dict[str, Any] = {
    "description": "when nobody looks",
    "state": Queue.PAUSED,
    "limits": {"queued_jobs": 0, "running_jobs_per_user": 3, "gpu_millis_per_job": 500},
    "defaults": {"priority": -5, "preemptible": False, "retry": {"max_attempts": 2}},
    "allowed_projects": ["default", "vision"],
    "allowed_users": ["ann", "vic"],
    "min_role": "DEVELOPER",
}


@pytest.fixture
async def queues(database: Database) -> QueuesService:
    await database.write(lambda tx: add_projects(tx, "default", "vision"))
    return queues_service(database, FakeClock())


async def made(queues: QueuesService, queue_id: str = "nightly", **said: Any) -> Queue:
    return queue_message(await queues.create(ADMIN, Queue(queue_id=queue_id, **said)), ADMIN)


async def listed(queues: QueuesService) -> list[str]:
    found, token = [], ""
    while True:
        views, token = await queues.list(VIEWER, size=2, token=token)
        found += [one.row.queue_id for one in views]
        if not token:
            return found


async def test_a_queue_that_was_made_is_read_as_it_was_said(queues: QueuesService):
    one = await made(queues, **SAID)
    assert queue_message(await queues.get(ADMIN, "nightly"), ADMIN) == one
    assert Queue(**SAID) == Queue(**{name: getattr(one, name) for name in SAID})
    assert one.limits.HasField("queued_jobs")
    assert (one.restricted, one.queued_jobs, one.running_jobs) == (True, 0, 0)


async def test_the_default_queue_is_there_and_open_to_everybody(queues: QueuesService):
    one = queue_message(await queues.get(VIEWER, "default"), VIEWER)
    assert (one.state, one.restricted, one.limits) == (Queue.OPEN, False, queue_pb2.QueueLimits())


async def test_a_caller_is_shown_its_own_part_of_who_may_submit(queues: QueuesService):
    await made(queues, **SAID)
    one = queue_message(await queues.get(VIEWER, "nightly"), VIEWER)
    assert (list(one.allowed_projects), list(one.allowed_users)) == (["vision"], ["vic"])
    assert one.restricted


async def test_queues_are_listed_by_name_page_by_page(queues: QueuesService):
    for name in ("z", "a-b", "ab", "a"):
        await made(queues, name)
    assert await listed(queues) == ["a", "a-b", "ab", "default", "z"]


async def test_what_waits_and_runs_of_each_user_is_counted(
    database: Database, queues: QueuesService
):
    await made(queues)
    statuses = [
        Status.QUEUED,
        Status.SCHEDULED,
        Status.RUNNING,
        Status.CANCELLING,
        Status.SUSPENDING,
    ]
    live = [job_columns(queue="nightly", status=int(one)) for one in statuses]
    live.append(job_columns(queue="nightly", status=int(Status.SUSPENDED), frozen=True))
    others = [
        job_columns(queue="nightly", status=int(Status.SUSPENDED)),
        job_columns(queue="nightly", status=int(Status.RUNNING), cluster="there"),
        job_columns(queue="nightly", status=int(Status.SUCCEEDED), ended_at=1),
        job_columns(status=int(Status.RUNNING)),
    ]
    await database.write(lambda tx: add_jobs(tx, *live, *others))
    one = queue_message(await queues.get(VIEWER, "nightly"), VIEWER)
    assert (one.queued_jobs, one.running_jobs) == (1, 5)
    views, _ = await queues.list(VIEWER, size=9, token="")
    assert {view.row.queue_id: (view.queued, view.running) for view in views} == {
        "nightly": (1, 5),
        "default": (0, 1),
    }


async def test_an_update_changes_what_it_names_and_is_an_event(queues: QueuesService):
    one = await made(queues, **SAID)
    new = Queue(queue_id="nightly", limits={"running_jobs": 5})
    now = queue_message(await queues.update(ADMIN, new, []), ADMIN)
    assert (now.limits, now.defaults) == (queue_pb2.QueueLimits(running_jobs=5), one.defaults)
    assert now.etag != one.etag
    same = queue_message(await queues.update(ADMIN, now, ["*"]), ADMIN)
    assert same.etag == now.etag
    await queues.delete(ADMIN, "nightly", etag=now.etag, move_to="")
    found, token = await queues.events(ADMIN, "nightly", size=2, token="")
    more, _ = await queues.events(ADMIN, "nightly", size=2, token=token)
    events = [queue_event_message(each, "nightly") for each in (*found, *more)]
    assert [each.reason for each in events] == ["QUEUE_CREATED", "QUEUE_UPDATED", "QUEUE_DELETED"]
    assert events[1].message.endswith('-> {"running_jobs": 5}')


async def moved_to(queues: QueuesService, move_to: str) -> None:
    await queues.delete(ADMIN, "nightly", etag="", move_to=move_to)


async def test_a_queue_with_jobs_is_removed_only_when_they_go_somewhere(
    database: Database, queues: QueuesService
):
    await made(queues)
    await made(queues, "other")
    jobs = [job_columns(queue="nightly") for _ in range(1200)]
    ended = job_columns(queue="nightly", status=int(Status.FAILED), ended_at=1)
    await database.write(lambda tx: add_jobs(tx, *jobs, ended))
    with pytest.raises(WrongState, match="1200 waiting jobs and 0 running jobs"):
        await moved_to(queues, "")
    with pytest.raises(NotFound, match="did you mean other"):
        await moved_to(queues, "otter")
    with pytest.raises(InvalidInput):
        await moved_to(queues, "nightly")
    await moved_to(queues, "other")
    assert await listed(queues) == ["default", "other"]
    assert (await queues.get(ADMIN, "other")).queued == 1200
    ids = [str(jobs[0]["job_id"]), str(jobs[-1]["job_id"]), str(ended["job_id"])]
    rows = await database.read(lambda tx: [tx.jobs.get(one) for one in ids])
    assert [to_proto(row).queue for row in rows if row] == ["other", "other", "nightly"]
    (event,) = await database.read(lambda tx: tx.events.page(ids[1], after=0, size=9))
    assert (event.reason, event.message) == (
        "QUEUE_CHANGED",
        "moved from queue nightly to other",
    )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_jobs_are_not_moved_to_a_queue_that_is_removed_meanwhile(
    database: Database, database_url: str, queues: QueuesService
):
    await made(queues)
    await made(queues, "other")
    job = job_columns(queue="nightly")
    await database.write(lambda tx: add_jobs(tx, job))
    engine = create_engine(database_url)
    with engine.connect() as another:
        others = QueueStore(another)
        others.lock("other")
        others.remove("other")
        moving = asyncio.create_task(moved_to(queues, "other"))
        async with asyncio.timeout(20):
            while not moving.done() and not await database.read(_somebody_waits):
                pass
        another.commit()
    engine.dispose()
    with pytest.raises(NotFound):
        await moving
    assert await listed(queues) == ["default", "nightly"]
    row = await database.read(lambda tx: tx.jobs.get(str(job["job_id"])))
    assert row is not None
    assert row.queue == "nightly"


def _somebody_waits(tx: Transaction) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    return bool(tx.connection.execute(text(query)).scalar())


NIGHTLY = Queue(queue_id="nightly")
REFUSED: list[tuple[str, Any, type[WindlassError], str]] = [
    ("get none", lambda q: q.get(ADMIN, "no"), NotFound, "QUEUE_NOT_FOUND"),
    ("update none", lambda q: q.update(ADMIN, Queue(queue_id="no"), []), NotFound, "QUEUE_NOT_FOUND"),
    ("delete none", lambda q: q.delete(ADMIN, "no", etag="", move_to=""), NotFound, "QUEUE_NOT_FOUND"),
    ("events of none", lambda q: q.events(ADMIN, "no", size=1, token=""), NotFound, "QUEUE_NOT_FOUND"),
    ("one of that name", lambda q: q.create(ADMIN, NIGHTLY), AlreadyExists, "QUEUE_EXISTS"),
    ("may not make", lambda q: q.create(VIEWER, Queue(queue_id="x")), Denied, "PERMISSION_DENIED"),
    ("may not change", lambda q: q.update(VIEWER, NIGHTLY, []), Denied, "PERMISSION_DENIED"),
    ("may not delete", lambda q: q.delete(VIEWER, "nightly", etag="", move_to=""), Denied, "PERMISSION_DENIED"),
    ("the default one", lambda q: q.delete(ADMIN, "default", etag="", move_to="nightly"), WrongState, "DEFAULT_QUEUE"),
    ("changed meanwhile", lambda q: q.update(ADMIN, Queue(queue_id="nightly", etag="9"), []), Conflict, "ETAG_MISMATCH"),
    ("deleted late", lambda q: q.delete(ADMIN, "nightly", etag="9", move_to=""), Conflict, "ETAG_MISMATCH"),
    ("another name", lambda q: q.update(ADMIN, NIGHTLY, ["queue_id"]), InvalidInput, "FIELD_NOT_CHANGEABLE"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])  # fmt: skip
async def test_what_cannot_be_is_refused(
    queues: QueuesService, call: Any, error: type[WindlassError], reason: str
):
    await made(queues)
    with pytest.raises(error) as refused:
        await call(queues)
    assert refused.value.reason == reason
    assert await listed(queues) == ["default", "nightly"]


async def test_everything_that_makes_no_sense_is_told_at_once(queues: QueuesService):
    said: dict[str, Any] = {
        "allowed_projects": ["vision", "no"],
        "defaults": {"pool": "no", "time_limit": {"seconds": 9}},
        "limits": {"time_limit": {"seconds": 8}},
    }
    with pytest.raises(InvalidInput) as refused:
        await made(queues, **said)
    assert [(one.field, one.reason) for one in refused.value.violations] == [
        ("queue.allowed_projects[1]", "PROJECT_NOT_FOUND"),
        ("queue.defaults.pool", "POOL_NOT_FOUND"),
        ("queue.defaults.time_limit", "DEFAULT_BEYOND_LIMIT"),
    ]
