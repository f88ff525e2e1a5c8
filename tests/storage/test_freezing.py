"""Jobs that are frozen in place, on both engines: what is decided of them."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.arrays import ArrayWorld
from tests.support.databases import acting
from tests.support.nodes import an_inventory
from tests.support.quotas import require_counted, set_quota
from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import SECOND, Waiting
from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Denied, InvalidInput, NotFound, WrongState
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.states import Status
from windlass_server.rpc.validation import Validation
from windlass_server.scheduler.preemption import Eviction
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

VIEWER = Caller(user="vera", roles={"default": Role.VIEWER})


@pytest.fixture
async def waiting(database: Database, tmp_path: Path) -> Waiting:
    waiting = await Waiting.start(database, tmp_path)
    await say_hello(waiting, can_freeze=True)
    return waiting


async def say_hello(waiting: Waiting, *, can_freeze: bool) -> None:
    inventory, world = an_inventory(), waiting.world
    inventory.can_freeze = can_freeze
    (node,) = await world.database.read(lambda tx: tx.nodes.all())
    await world.database.write(lambda tx: world.store_hello(tx, node.node_id, inventory))


async def running(waiting: Waiting) -> str:
    job_id = await waiting.submit()
    await waiting.run(job_id)
    return job_id


async def says(waiting: Waiting, job_id: str, *, frozen: bool) -> None:
    """The node says whether the job's run is frozen."""
    job = await waiting.job(job_id)
    report = agent_pb2.RunReport(
        run_id=job.run_id, epoch=job.attempt, state=agent_pb2.RunReport.RUNNING, frozen=frozen
    )
    await waiting.world.runs.report(job.node_id, report)


async def frozen(waiting: Waiting) -> str:
    job_id = await running(waiting)
    await waiting.suspensions.freeze(ADA, job_id, reason="demo")
    await says(waiting, job_id, frozen=True)
    return job_id


async def shown(waiting: Waiting, job_id: str) -> tuple[str, str, bool]:
    job = to_proto(await waiting.job(job_id))
    return job_pb2.Job.Status.Name(job.status), job.status_reason, job.frozen


async def told(waiting: Waiting, job_id: str) -> agent_pb2.RunDirective:
    job = await waiting.job(job_id)
    directives = await waiting.world.runs.directives(job.node_id)
    return next(one for one in directives if one.run_id == job.run_id)


async def holds(waiting: Waiting, job_id: str) -> bool:
    runs = await waiting.world.database.read(lambda tx: tx.runs.of_job(job_id))
    return any(one.active for one in runs)


async def test_a_job_is_suspended_when_its_node_says_that_it_stands_still(waiting: Waiting):
    await set_quota(waiting.world.database, limit={"running_jobs": 1})
    job_id = await running(waiting)
    before = await told(waiting, job_id)
    asked = await waiting.suspensions.freeze(ADA, job_id, reason="demo")
    assert (Status(asked.status), asked.status_reason) == (Status.SUSPENDING, "FREEZE_REQUESTED")
    order = await told(waiting, job_id)
    assert (order.frozen, order.want) == (True, agent_pb2.RunDirective.RUNNING)
    assert order.generation > before.generation
    await says(waiting, job_id, frozen=False)
    assert await shown(waiting, job_id) == ("SUSPENDING", "FREEZE_REQUESTED", False)
    await says(waiting, job_id, frozen=True)
    assert await shown(waiting, job_id) == ("SUSPENDED", "FROZEN", True)
    job = await waiting.job(job_id)
    assert (job.status_message, job.started_at is not None) == ("frozen by ada: demo", True)
    assert await holds(waiting, job_id)
    # It counts as one that runs.
    await require_counted(waiting.world.database)
    second = await waiting.submit()
    assert Status((await waiting.world.cycle(second)).status) is Status.QUEUED

    resumed = await waiting.suspensions.resume(ADA, job_id, reason="")
    assert (Status(resumed.status), resumed.attempt) == (Status.RUNNING, 1)
    assert not (await told(waiting, job_id)).frozen
    await says(waiting, job_id, frozen=False)
    await waiting.world.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)
    assert (await shown(waiting, job_id))[0] == "SUCCEEDED"
    await require_counted(waiting.world.database)
    events = [one.reason for one in await waiting.events(job_id)]
    assert events[-4:] == ["FREEZE_REQUESTED", "FROZEN", "RESUMED", "COMPLETED"]


async def test_who_freezes_or_thaws_twice_means_it_once(waiting: Waiting):
    job_id = await running(waiting)
    first = await waiting.suspensions.freeze(ADA, job_id, reason="")
    assert (await waiting.suspensions.freeze(ADA, job_id, reason="")).version == first.version
    await says(waiting, job_id, frozen=True)
    await says(waiting, job_id, frozen=True)
    before = (await waiting.job(job_id)).version
    assert (await waiting.suspensions.freeze(ADA, job_id, reason="")).version == before
    once = await waiting.suspensions.resume(ADA, job_id, reason="")
    assert (await waiting.suspensions.resume(ADA, job_id, reason="")).version == once.version


async def test_a_freeze_is_taken_back_before_it_has_happened(waiting: Waiting):
    job_id = await running(waiting)
    await waiting.suspensions.freeze(ADA, job_id, reason="")
    await waiting.suspensions.resume(ADA, job_id, reason="")
    await says(waiting, job_id, frozen=True)
    assert await shown(waiting, job_id) == ("RUNNING", "RESUMED", False)


@pytest.mark.parametrize("stands_still", [True, False])
async def test_a_frozen_job_is_cancelled_as_one_that_runs(waiting: Waiting, stands_still):
    job_id = await running(waiting)
    await waiting.suspensions.freeze(ADA, job_id, reason="")
    if stands_still:
        await says(waiting, job_id, frozen=True)
    await waiting.jobs.cancel(ADA, job_id, reason="")
    assert (await shown(waiting, job_id))[0] == "CANCELLING"
    assert (await told(waiting, job_id)).want == agent_pb2.RunDirective.STOPPED
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    assert await shown(waiting, job_id) == ("CANCELLED", "CANCEL_REQUESTED", False)
    assert not await holds(waiting, job_id)
    await require_counted(waiting.world.database)


async def test_a_frozen_job_is_evicted_with_its_work(waiting: Waiting):
    job_id = await frozen(waiting)
    await waiting.suspensions.suspend(ADA, job_id, reason="others need it")
    assert (await shown(waiting, job_id))[0] == "SUSPENDING"
    assert (await told(waiting, job_id)).want == agent_pb2.RunDirective.STOPPED
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    assert await shown(waiting, job_id) == ("SUSPENDED", "SUSPENDED", False)
    await waiting.suspensions.resume(ADA, job_id, reason="")
    assert await waiting.becomes(job_id) == "READY"


@pytest.mark.parametrize(
    ("end", "becomes"),
    [
        ({"cause": "LOST"}, "SUSPENDED"),
        ({"cause": "NODE_SHUTDOWN"}, "SUSPENDED"),
        ({"cause": "OUT_OF_MEMORY"}, "OUT_OF_MEMORY"),
        ({"cause": "COMPLETED", "exit_code": 0}, "SUCCEEDED"),
        ({"cause": "COMPLETED", "exit_code": 3}, "FAILED"),
    ],
)
async def test_a_frozen_job_whose_run_ends_has_no_place_any_more(waiting, end, becomes):
    job_id = await frozen(waiting)
    await waiting.world.report(job_id, "EXITED", **end)
    status, _, still = await shown(waiting, job_id)
    assert (status, still) == (becomes, False)
    assert not await holds(waiting, job_id)
    await require_counted(waiting.world.database)
    if becomes == "SUSPENDED":
        await waiting.suspensions.resume(ADA, job_id, reason="")
        assert await waiting.becomes(job_id) == "READY"


async def test_a_drain_makes_a_frozen_job_leave_its_node(waiting: Waiting):
    job_id = await frozen(waiting)
    job = await waiting.job(job_id)
    await waiting.world.runs.evict(job.run_id, kill=False, why="the node is drained")
    assert (await told(waiting, job_id)).want == agent_pb2.RunDirective.STOPPED
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    assert await shown(waiting, job_id) == ("SUSPENDED", "SUSPENDED", False)


async def test_a_frozen_job_makes_room_for_a_higher_one(waiting: Waiting):
    job_id, high = await frozen(waiting), await waiting.submit(priority=100)
    job, version = await waiting.job(job_id), (await waiting.job(high)).version
    eviction = Eviction(job.run_id, job_id, high, job.node_id)
    assert await waiting.world.runs.preempt([eviction], version=version, epoch=1)
    assert (await told(waiting, job_id)).want == agent_pb2.RunDirective.STOPPED
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    assert await shown(waiting, job_id) == ("SUSPENDED", "SUSPENDED", False)


@pytest.mark.parametrize("stands_still", [True, False])
async def test_a_deadline_does_not_wait_for_a_frozen_job(waiting: Waiting, stands_still):
    spec = waiting.spec()
    spec.deadline.FromMicroseconds(waiting.clock.now() + 100 * SECOND)
    job_id = (await waiting.jobs.submit(ADA, spec)).job_id
    await waiting.run(job_id)
    await waiting.suspensions.freeze(ADA, job_id, reason="")
    if stands_still:
        await says(waiting, job_id, frozen=True)
    waiting.clock.advance(100)
    await waiting.suspensions.end_due()
    assert await shown(waiting, job_id) == ("CANCELLING", "DEADLINE_EXCEEDED", False)
    assert (await told(waiting, job_id)).want == agent_pb2.RunDirective.STOPPED


@pytest.mark.parametrize("stands_still", [True, False])
async def test_a_frozen_index_is_stopped_with_its_array(
    database: Database, tmp_path: Path, stands_still
):
    waiting = await ArrayWorld.begin(database, tmp_path)
    await say_hello(waiting, can_freeze=True)
    array = await waiting.submit_array(1)
    await waiting.start_all(array)
    job_id = (await waiting.children(array))[0].job_id
    await waiting.suspensions.freeze(ADA, job_id, reason="")
    if stands_still:
        await says(waiting, job_id, frozen=True)
    await waiting.jobs.cancel(ADA, array, reason="")
    await waiting.settle()
    assert (await shown(waiting, job_id))[0] == "CANCELLING"
    assert (await told(waiting, job_id)).want == agent_pb2.RunDirective.STOPPED
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    await waiting.settle()
    assert not await holds(waiting, job_id)
    assert [(await shown(waiting, one))[0] for one in (job_id, array)] == ["CANCELLED"] * 2


async def test_what_does_not_run_or_cannot_be_frozen_is_refused(waiting: Waiting):
    queued = await waiting.submit()
    assert await refusal(waiting, queued) == "JOB_WRONG_STATE"
    await waiting.world.cycle(queued)
    assert await refusal(waiting, queued) == "JOB_WRONG_STATE"
    job_id = queued
    await waiting.world.report(job_id, "RUNNING")
    await say_hello(waiting, can_freeze=False)
    assert await refusal(waiting, job_id) == "FREEZE_UNSUPPORTED"
    await say_hello(waiting, can_freeze=True)
    job = await waiting.job(job_id)
    await waiting.world.runs.evict(job.run_id, kill=False, why="drain")
    assert await refusal(waiting, job_id) == "JOB_IS_LEAVING"
    with pytest.raises(Denied):
        await waiting.suspensions.freeze(VIEWER, job_id, reason="")
    with pytest.raises(NotFound):
        await waiting.suspensions.freeze(ADA, "job-none", reason="")


async def refusal(waiting: Waiting, job_id: str) -> str:
    with pytest.raises(WrongState) as refused:
        await waiting.suspensions.freeze(ADA, job_id, reason="")
    return refused.value.reason


async def test_what_is_suspended_otherwise_stays_so(waiting: Waiting):
    job_id = await running(waiting)
    await waiting.suspensions.suspend(ADA, job_id, reason="")
    before = (await waiting.job(job_id)).version
    assert (await waiting.suspensions.freeze(ADA, job_id, reason="")).version == before


def test_a_mode_goes_with_a_suspension_alone() -> None:
    values: dict[str, Any] = {"job_id": "job-1", "mode": "FREEZE"}
    Validation().check(pb.UpdateJobStatusRequest(**values, action="SUSPEND"))
    with pytest.raises(InvalidInput):
        Validation().check(pb.UpdateJobStatusRequest(**values, action="CANCEL"))
