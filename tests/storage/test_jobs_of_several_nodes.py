"""A job of several nodes has a run on each of them or none, and what happens to one happens to all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import START
from tests.support.nodes import an_inventory
from tests.support.remote_runs import nowhere_else
from tests.support.scheduled_world import ADA
from tests.support.upkeep import Upkeep
from windlass.agents.v1 import agent_pb2, agents_service_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.errors import InvalidInput
from windlass_server.jobs.checkpoints import CheckpointsService, Keeping
from windlass_server.jobs.logs import LogRequest
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.placing import Planned
from windlass_server.jobs.reports import Listeners, Reported, take_reports
from windlass_server.jobs.rules import MAX_NODE_FAULTS, NODE_FAULTS
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.states import Status
from windlass_server.objects import frames
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens
from windlass_server.resources.ledger import Loss
from windlass_server.resources.maintenance import DrainMode
from windlass_server.resources.upkeep import Drain
from windlass_server.resources.usage import UsageQuery, UsageService
from windlass_server.scheduler.plan import Place, Placement
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow, RunRow

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

STOPPED = agent_pb2.RunDirective.STOPPED
SPEC = job_pb2.Job(command=["train"]).SerializeToString()


class World(Upkeep):
    """Three nodes with two GPUs each, and what the tests do with the ranks of a job."""

    async def add_nodes(self, *names: str) -> list[str]:
        return [
            await self.add_node(name, inventory=an_inventory(gpus=2).SerializeToString())
            for name in names
        ]

    async def several(self, nodes: int = 2, min_nodes: int = 0, **values: Any) -> str:
        least = min_nodes or nodes
        return await self.add_job(
            spec=SPEC, nodes=nodes, min_nodes=least, gpu_count=2, gpu_type="H100", **values
        )

    async def placed(self, nodes: int = 2) -> str:
        job_id = await self.several(nodes)
        assert (await self.cycle(job_id)).status == Status.SCHEDULED
        return job_id

    async def running(self, nodes: int = 2) -> str:
        job_id = await self.placed(nodes)
        for rank in range(nodes):
            await self.tell(job_id, rank, "RUNNING")
        return job_id

    async def ranks(self, job_id: str) -> list[RunRow]:
        """The runs of the job's present attempt."""
        job = await self.job(job_id)
        return [*await self.database.read(lambda tx: tx.runs.of_attempt(job_id, job.attempt))]

    async def tell(self, job_id: str, rank: int, state: str, **exit_: Any) -> JobRow:
        """Let the node of a rank report it; the job as it is then."""
        run = (await self.ranks(job_id))[rank]
        report = agent_pb2.RunReport(run_id=run.run_id, epoch=run.epoch, state=state)
        if exit_:
            report.exit.CopyFrom(agent_pb2.RunExit(**exit_))
        await self.runs.report(run.node_id, report)
        return await self.job(job_id)

    async def ends(self, job_id: str, rank: int, **exit_: Any) -> JobRow:
        return await self.tell(job_id, rank, "EXITED", **exit_)

    async def asked(self, job_id: str) -> list[int]:
        """What the nodes of its ranks are asked to make of them."""
        return [run.want for run in await self.ranks(job_id)]

    async def reasons(self, job_id: str) -> list[str]:
        events = await self.database.read(lambda tx: tx.events.page(job_id, after=0, size=50))
        return [event.reason for event in events]

    async def cancel(self, job_id: str, reason: str = "") -> None:
        ids = self.runs._ids
        hints = JobHints(lambda _job_id: None, lambda _node_id: None)
        elsewhere = nowhere_else(self.database, self.logs, self.clock, ids)
        pages = PageTokens(b"page")
        jobs = JobsService(self.database, self.cluster, self.clock, ids, pages, hints, elsewhere)
        await jobs.cancel(ADMIN, job_id, reason=reason)

    async def held(self) -> int:
        """How many GPUs are held."""
        return len(await self.database.read(lambda tx: tx.nodes.all_claims()))


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    await world.add_nodes("a", "b", "c")
    yield world
    await world.logs.close()


async def test_all_ranks_are_placed_at_once_and_told_of_each_other(world: World):
    job = await world.job(await world.placed(3))
    runs = await world.ranks(job.job_id)
    assert [run.rank for run in runs] == [0, 1, 2]
    assert len({run.node_id for run in runs}) == 3
    assert await world.held() == 6
    shown = to_proto(job)
    assert (shown.nodes, shown.min_nodes) == (3, 3)
    assert shown.placement == shown.placements[0]
    assert [one.run_id for one in shown.placements] == [run.run_id for run in runs]
    assert [one.host for one in shown.placements] == ["10.0.0.1"] * 3
    (told,) = await world.runs.directives(runs[2].node_id)
    assert told.spec.gang.rank == 2
    assert len(told.spec.gang.hosts) == 3
    assert told.spec.gang.master_port == shown.placement.master_port > 0
    assert told.spec.gpu_uuids == ["GPU-0", "GPU-1"]


async def test_where_one_place_is_gone_no_rank_is_placed(world: World):
    job_id = await world.several(3)
    place = world.runs.place_all

    async def cordon_first(planned: Sequence[Planned], *, epoch: int) -> list[bool]:
        await world.upkeep.cordon(ADMIN, planned[0].placement.others[-1].node_id, "")
        return await place(planned, epoch=epoch)

    world.runs.place_all = cordon_first  # type: ignore[method-assign]
    job = await world.cycle(job_id)
    assert (job.status, job.attempt, job.ranks) == (Status.QUEUED, 0, None)
    assert await world.held() == 0
    assert await world.database.read(lambda tx: tx.runs.of_job(job_id)) == []


async def test_the_database_takes_one_active_run_of_a_rank(world: World):
    job_id = await world.placed()
    (first, _) = await world.ranks(job_id)
    again = {**first._asdict(), "run_id": world.runs._ids.new("run"), "attempt": 2}  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError):
        await world.database.write(lambda tx: tx.runs.add(again | {"master_port": 0}))
    with pytest.raises(IntegrityError):
        await world.database.write(lambda tx: tx.runs.add(again | {"rank": 2}))


async def test_it_runs_when_all_of_its_ranks_do(world: World):
    job_id = await world.placed()
    job = await world.tell(job_id, 1, "RUNNING")
    assert (job.status, job.started_at) == (Status.SCHEDULED, None)
    job = await world.tell(job_id, 0, "RUNNING")
    assert (job.status, job.status_message) == (Status.RUNNING, "the command runs on all 2 nodes")


async def test_it_succeeds_when_all_of_its_ranks_have(world: World):
    job_id = await world.running()
    job = await world.ends(job_id, 0, cause="COMPLETED", exit_code=0)
    assert job.status == Status.RUNNING
    assert await world.held() == 2
    job = await world.ends(job_id, 1, cause="COMPLETED", exit_code=0)
    assert (job.status, job.exit_code) == (Status.SUCCEEDED, 0)
    assert await world.held() == 0


@pytest.mark.parametrize(
    ("end", "status", "message"),
    [
        ({"cause": "COMPLETED", "exit_code": 3}, Status.FAILED, "the command returned 3"),
        ({"cause": "OUT_OF_MEMORY"}, Status.OUT_OF_MEMORY, "used more memory than it asked for"),
        ({"cause": "TIME_LIMIT"}, Status.TIMED_OUT, "ran longer than time_limit"),
        ({"cause": "BAD_COMMAND"}, Status.FAILED, "could not be executed"),
        ({"cause": "COMPLETED", "exit_code": 85}, Status.QUEUED, "asks to be run again"),
        ({"cause": "LOST"}, Status.QUEUED, "the node lost the task"),
        ({"cause": "LAUNCH_FAILED"}, Status.QUEUED, "could not start the command"),
        ({"cause": "NODE_SHUTDOWN"}, Status.QUEUED, "the node was shut down"),
    ],
)
async def test_the_first_rank_that_does_not_succeed_ends_all(
    world: World, end: dict[str, Any], status: Status, message: str
):
    job_id = await world.running(3)
    await world.ends(job_id, 0, cause="COMPLETED", exit_code=0)
    job = await world.ends(job_id, 1, **end)
    # Until the others are gone it holds what they hold.
    assert job.status == Status.RUNNING
    assert job.status_message.startswith("rank 1 on node ")
    assert await world.asked(job_id) == [1, 1, STOPPED]
    assert await world.held() == 2
    job = await world.ends(job_id, 2, cause="STOPPED", exit_signal=15)
    assert job.status == status
    assert message in job.status_message
    assert job.exit_code == (end.get("exit_code") if status != Status.QUEUED else None)
    assert await world.held() == 0


async def test_what_has_failed_stays_that_though_it_is_cancelled_meanwhile(world: World):
    job_id = await world.running()
    await world.ends(job_id, 0, cause="COMPLETED", exit_code=3)
    await world.cancel(job_id)
    job = await world.ends(job_id, 1, cause="STOPPED")
    assert (job.status, job.exit_code) == (Status.FAILED, 3)


async def test_a_cancel_stops_all_of_it(world: World):
    job_id = await world.running(3)
    await world.ends(job_id, 2, cause="COMPLETED", exit_code=0)
    await world.cancel(job_id, "typo")
    assert await world.asked(job_id) == [STOPPED, STOPPED, 1]
    await world.ends(job_id, 0, cause="STOPPED", exit_signal=15)
    job = await world.ends(job_id, 1, cause="COMPLETED", exit_code=0)
    assert (job.status, job.status_reason) == (Status.CANCELLED, "CANCEL_REQUESTED")
    assert "typo" in job.status_message


async def test_the_drain_of_one_node_moves_all_of_it(world: World):
    job_id = await world.running()
    (first, second) = await world.ranks(job_id)
    await world.upkeep.drain(ADMIN, second.node_id, Drain(DrainMode.CHECKPOINT_REQUEUE, None, ""))
    await world.upkeep.empty_draining()
    await world.upkeep.empty_draining()
    assert await world.asked(job_id) == [STOPPED, STOPPED]
    assert {run.generation for run in await world.ranks(job_id)} == {2}
    await world.ends(job_id, 1, cause="STOPPED", exit_signal=15)
    job = await world.ends(job_id, 0, cause="STOPPED", exit_signal=15)
    assert job.status == Status.QUEUED
    job = await world.cycle(job_id)
    assert (job.status, job.attempt) == (Status.SCHEDULED, 2)
    assert second.node_id not in {run.node_id for run in await world.ranks(job_id)}
    assert first.node_id in {run.node_id for run in await world.ranks(job_id)}


async def test_what_a_rank_reports_of_an_attempt_that_is_over_changes_nothing(world: World):
    job_id = await world.running()
    (_, late) = await world.ranks(job_id)
    await world.ends(job_id, 0, cause="LOST")
    await world.ends(job_id, 1, cause="STOPPED")
    before = await world.cycle(job_id)
    for state in ("RUNNING", "EXITED"):
        report = agent_pb2.RunReport(run_id=late.run_id, epoch=late.epoch, state=state)
        await world.runs.report(late.node_id, report)
    assert await world.job(job_id) == before


async def test_ranks_that_end_at_the_same_moment_end_the_job_by_the_one_that_failed(world: World):
    job_id = await world.running()
    exits = [{"cause": "COMPLETED", "exit_code": 0}, {"cause": "COMPLETED", "exit_code": 3}]
    reports = [
        Reported(
            run.node_id,
            agent_pb2.RunReport(run_id=run.run_id, epoch=run.epoch, state="EXITED", exit=one),  # type: ignore[arg-type]
        )
        for run, one in zip(await world.ranks(job_id), exits, strict=True)
    ]
    nobody = Listeners(lambda: None, lambda: None, lambda _node_id: None)
    now = world.clock.now()
    ended = await world.database.write(lambda tx: take_reports(tx, reports, now, nobody))
    assert [run is not None and run.run_id for run in ended] == [
        one.report.run_id for one in reports
    ]
    job = await world.job(job_id)
    assert (job.status, job.exit_code) == (Status.FAILED, 3)
    assert [run.active for run in await world.ranks(job_id)] == [False, False]


async def test_an_attempt_of_which_two_nodes_are_lost_at_once_is_one_fault(world: World):
    job_id = await world.several()
    for attempt in range(1, MAX_NODE_FAULTS + 1):
        world.clock.advance(3600 * 1_000_000)
        assert (await world.cycle(job_id)).attempt == attempt
        await world.ends(job_id, 0, cause="LOST")
        job = await world.ends(job_id, 1, cause="LOST")
    assert (job.status, job.status_reason) == (Status.FAILED, "TOO_MANY_NODE_FAULTS")


async def test_of_a_plan_all_are_placed_but_those_whose_places_are_gone(world: World):
    nodes = [node.node_id for node in await world.database.read(lambda tx: tx.nodes.all())]
    jobs = [await world.add_job(gpu_count=1) for _ in range(5)]
    # Two of them are to have the same GPU, one was changed since, and one is planned twice as large.
    gpus = [(0, "GPU-0"), (0, "GPU-0"), (1, "GPU-1"), (1, "GPU-0"), (2, "GPU-7")]
    planned = [
        Planned(Placement(job_id, nodes[node], (gpu,)), attempt=1, version=1)
        for job_id, (node, gpu) in zip(jobs, gpus, strict=True)
    ]
    planned[2] = replace(planned[2], version=7)
    assert await world.runs.place_all(planned, epoch=1) == [True, False, False, True, False]
    found = [await world.job(job_id) for job_id in jobs]
    assert [job.status_reason == "PLACED" for job in found] == [True, False, False, True, False]
    assert await world.held() == 2
    assert await world.runs.place_all(planned[1:2], epoch=2) == [False]


async def test_a_job_that_makes_do_with_fewer_nodes_gets_what_there_is(world: World):
    job = await world.cycle(await world.several(4, 2))
    assert (job.status, len(await world.ranks(job.job_id))) == (Status.SCHEDULED, 3)
    assert to_proto(job).min_nodes == 2
    assert len(to_proto(job).placements) == 3


async def test_two_jobs_whose_first_ranks_share_a_node_gather_on_different_ports(world: World):
    nodes = [node.node_id for node in await world.database.read(lambda tx: tx.nodes.all())]
    ports = set()
    for _ in range(2):
        job_id = await world.add_job(spec=SPEC, nodes=2, min_nodes=2)
        placement = Placement(job_id, nodes[0], (), (Place(nodes[1], ()),))
        assert await world.runs.place(placement, attempt=1, version=1, epoch=1)
        ports.add(to_proto(await world.job(job_id)).placement.master_port)
    assert len(ports) == 2
    taken = await world.database.read(lambda tx: tx.runs.master_ports(nodes[0]))
    assert taken == ports


async def test_only_the_first_rank_saves_a_checkpoint(world: World, tmp_path: Path):
    job_id = await world.running()
    objects = ObjectStore.open("", tmp_path / "objects")
    keeping = Keeping(max_bytes=1 << 30, newest=2, after_end=0)
    ids = world.runs._ids
    checkpoints = CheckpointsService(world.database, objects, world.clock, ids, keeping)
    offered = []
    for run in await world.ranks(job_id):
        request = agents_service_pb2.OfferCheckpointRequest(
            run_id=run.run_id, epoch=run.epoch, size_bytes=1, entry_count=1
        )
        offered.append(await checkpoints.offer(run.node_id, request))
    assert offered[0].startswith("ckpt-")
    assert offered[1] == ""
    row = await world.database.read(lambda tx: tx.checkpoints.get(offered[0]))
    assert row is not None
    await world.database.write(lambda tx: tx.runs.note_saved(job_id, row.attempt, row.created_at))
    assert {run.saved_at for run in await world.ranks(job_id)} == {row.created_at}
    # A job that is about to fail needs none.
    await world.ends(job_id, 1, cause="COMPLETED", exit_code=3)
    request.run_id = (await world.ranks(job_id))[0].run_id
    request.exit.CopyFrom(agent_pb2.RunExit(cause="STOPPED"))
    assert await checkpoints.offer((await world.ranks(job_id))[0].node_id, request) == ""


async def test_each_rank_counts_as_used_and_all_are_lost_with_what_fails(world: World):
    usage = UsageService(world.database, world.clock)
    job_id = await world.running()
    world.clock.advance(10)
    await world.ends(job_id, 0, cause="COMPLETED", exit_code=0)
    world.clock.advance(10)
    await world.ends(job_id, 1, cause="COMPLETED", exit_code=3)
    rows = (await usage.get(ADMIN, UsageQuery(group_by=("node_id",), start=START))).rows()
    first, second = await world.ranks(job_id)
    held = {row.group[0]: row.held.gpu_millis // 1_000_000_000 for row in rows}
    assert held == {first.node_id: 2 * 10, second.node_id: 2 * 20}
    lost = {row.group[0]: row.wasted[Loss.FAILURE].gpu_millis // 1_000_000_000 for row in rows}
    assert lost == held


@pytest.mark.parametrize(
    ("end", "loss"),
    [
        ({"cause": "LOST"}, Loss.FAILURE),
        ({"cause": "LAUNCH_FAILED"}, Loss.FAILURE),
        ({"cause": "NODE_SHUTDOWN"}, Loss.PREEMPTION),
        ({"cause": "COMPLETED", "exit_code": 85}, None),
    ],
)
async def test_what_is_stopped_beside_another_rank_is_lost_by_what_ended_that_one(
    world: World, end: dict[str, Any], loss: Loss | None
):
    usage = UsageService(world.database, world.clock)
    job_id = await world.running()
    first, second = await world.ranks(job_id)
    world.clock.advance(10)
    await world.ends(job_id, 0, **end)
    await world.ends(job_id, 1, cause="STOPPED", exit_signal=15)
    assert (await world.job(job_id)).status == Status.QUEUED
    rows = (await usage.get(ADMIN, UsageQuery(group_by=("node_id",), start=START))).rows()
    wasted = {row.group[0]: {one for one in Loss if row.wasted[one].gpu_millis} for row in rows}
    expected = set() if loss is None else {loss}
    assert wasted[second.node_id] == wasted[first.node_id] == expected
    faulty = await world.database.read(lambda tx: tx.runs.nodes_ended_by(job_id, NODE_FAULTS))
    assert second.node_id not in {row.node_id for row in faulty}


async def test_the_logs_of_all_ranks_come_as_one_in_the_order_of_their_times(world: World):
    job_id = await world.running()
    ends = []
    for run in await world.ranks(job_id):
        lines = [
            frames.encode(1, 10 * number + run.rank, b"%d on %d\n" % (number, run.rank))
            for number in range(3)
        ]
        await world.logs.append(run.run_id, 0, b"".join(lines))
        ends.append(len(b"".join(lines)))
    follow = world.job_logs.stream(ADA, job_id, LogRequest(follow=True))
    seen = [await anext(follow) for _ in range(6)]
    whole = [f"{number} on {rank}\n" for number in range(3) for rank in range(2)]
    assert [message.chunk.text for message in seen] == whole
    assert [message.chunk.rank for message in seen] == [0, 1] * 3
    await world.ends(job_id, 0, cause="COMPLETED", exit_code=0, log_end=ends[0])
    job = await world.ends(job_id, 1, cause="COMPLETED", exit_code=0, log_end=ends[1])
    assert job.status == Status.SUCCEEDED
    async with asyncio.timeout(10):
        last = [message async for message in follow][-1]
    assert last.HasField("end")
    # From any of them on, and of one rank alone.
    for number, message in enumerate(seen):
        wanted = LogRequest(cursor=message.cursor)
        assert await texts(world, job_id, wanted) == whole[number + 1 :]
    assert await texts(world, job_id, LogRequest(rank=1)) == whole[1::2]
    assert await texts(world, job_id, LogRequest(rank=2)) == []
    assert await texts(world, job_id, LogRequest(tail=1)) == whole[4:]
    with pytest.raises(InvalidInput):
        await texts(world, job_id, LogRequest(cursor=seen[0].cursor.rpartition(",")[0]))


async def texts(world: World, job_id: str, wanted: LogRequest) -> list[str]:
    stream = world.job_logs.stream(ADA, job_id, wanted)
    return [message.chunk.text async for message in stream if message.HasField("chunk")]
