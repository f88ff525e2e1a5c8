"""The ledger agrees to the microsecond with what nodes held, on both engines."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import START
from tests.support.held_meter import Meter, sums
from tests.support.jobs import add_jobs, add_projects, job_columns
from tests.support.nodes import GIB, an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass.agents.v1 import agent_pb2
from windlass.resources.v1 import allocation_pb2, resources_service_pb2
from windlass.types.v1 import types_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Conflict, Denied, InvalidInput, NotFound
from windlass_server.jobs.states import Status
from windlass_server.resources.ledger import Loss, Row
from windlass_server.resources.usage import UsageQuery, UsageService
from windlass_server.resources.usage_message import usage_message
from windlass_server.storage.engine import Database
from windlass_server.timestamps import EARLIEST

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

SECOND = 1_000_000
GPU_SECOND = 1000 * SECOND
"""Of a whole GPU, in thousandths times microseconds."""
USERS = {
    name: Caller(name, default_project=project, roles={project: Role.DEVELOPER})
    for name, project in (("ada", "default"), ("bob", "default"), ("eve", "other"))
}


class World(ScheduledWorld):
    """A cluster of which parts are held by runs and allocations."""

    @property
    def usage(self) -> UsageService:
        return UsageService(self.database, self.clock)

    async def add_gpu_node(self, name: str, gpus: int = 4, gpu_type: str = "H100") -> str:
        inventory = an_inventory(gpus=gpus, gpu_type=gpu_type)
        return await self.add_node(name, inventory=inventory.SerializeToString())

    async def allocate(self, user: str = "ada", ttl: int = 600, **wanted: Any) -> str:
        exclusive = wanted.pop("exclusive", False)
        request = resources_service_pb2.AllocateRequest(
            resources=types_pb2.ResourceRequest(**wanted),
            constraints=allocation_pb2.AllocationConstraints(exclusive_node=exclusive),
        )
        request.ttl.FromSeconds(ttl)
        return (await self.allocations.allocate(USERS[user], request)).allocation_id

    async def rows(self, *by: str, who: Caller = ADMIN, **query: Any) -> list[Row]:
        return (await self.usage.get(who, UsageQuery(group_by=by, **query))).rows()

    async def run(self, seconds: float, *, gpus: int = 1, job: str = "", **exit_: Any) -> str:
        """Let a job be placed, start after a second, run for so long, and end; returns its id."""
        job = job or await self.add_job(gpu_count=gpus)
        await self.cycle(job)
        self.clock.advance(1)
        await self.report(job, "RUNNING")
        self.clock.advance(seconds)
        if exit_:
            await self.report(job, "EXITED", **exit_)
        return job


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "other"))
    yield world
    await world.logs.close()


CAUSES = [
    {"cause": "COMPLETED", "exit_code": 0},
    {"cause": "COMPLETED", "exit_code": 85},
    {"cause": "COMPLETED", "exit_code": 1},
    {"cause": "OUT_OF_MEMORY"},
    {"cause": "TIME_LIMIT"},
    {"cause": "LAUNCH_FAILED"},
    {"cause": "LOST"},
    {"cause": "NODE_SHUTDOWN"},
    {"cause": "STOPPED", "exit_signal": 15},
]


class Life:
    """Things that happen to a cluster, one after the other, as a seed has it."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.jobs: list[str] = []
        self.held: dict[str, str] = {}
        self.happenings = [
            self.submit, self.submit, self.schedule, self.schedule, self.start, self.start,
            self.end, self.end, self.evict, self.allocate, self.renew, self.release, self.expire,
        ]  # fmt: skip

    async def next(self) -> None:
        await self.random.choice(self.happenings)()

    async def submit(self) -> None:
        share = self.random.choice([0, 0, 0, 1, 250, 999])
        user = self.random.choice(list(USERS))
        job = job_columns(
            user=user,
            project=USERS[user].default_project,
            queue=self.random.choice(["day", "night"]),
            cpu_millis=self.random.choice([1, 250, 3000]),
            memory_bytes=self.random.choice([GIB, 123_456_789]),
            gpu_count=1 if share else self.random.choice([0, 0, 1, 2, 4]),
            gpu_millis=share,
        )
        labels = {"team": self.random.choice(["red", "blue"])} if self.random.random() < 0.7 else {}
        await self.world.database.write(lambda tx: add_jobs(tx, job, labels=labels))
        self.jobs.append(job["job_id"])

    async def schedule(self) -> None:
        self.world.scheduling.world_changed()
        await self.world.scheduling.cycle()

    async def start(self) -> None:
        if job := await self.some_job(Status.SCHEDULED):
            await self.world.report(job, "RUNNING")

    async def end(self) -> None:
        if job := await self.some_job(Status.RUNNING, Status.SCHEDULED):
            # What the node thinks of the time is for people alone.
            said = Timestamp(seconds=START // SECOND + self.random.choice([-9, 0, 60, 10**6]))
            await self.world.report(job, "EXITED", end_time=said, **self.random.choice(CAUSES))

    async def evict(self) -> None:
        if job := await self.some_job(Status.RUNNING, Status.SCHEDULED):
            run_id = (await self.world.job(job)).run_id
            await self.world.runs.evict(run_id, kill=self.random.random() < 0.5, why="a drain")

    async def allocate(self) -> None:
        user = self.random.choice(list(USERS))
        share = self.random.choice([0, 0, 1, 333])
        wanted = {"gpu_count": self.random.choice([0, 1, 3]), "cpu_millis": 700}
        if share:
            wanted |= {"gpu_count": 1, "gpu_millis": share}
        exclusive = not share and self.random.random() < 0.2
        try:
            made = await self.world.allocate(
                user, self.random.choice([1, 60]), exclusive=exclusive, **wanted
            )
        except Conflict:
            return
        self.held[made] = user

    async def renew(self) -> None:
        for allocation, user in list(self.held.items())[:1]:
            if await self.is_active(allocation):
                await self.world.allocations.renew(USERS[user], allocation, 90 * SECOND)

    async def release(self) -> None:
        if self.held:
            allocation = self.random.choice(list(self.held))
            user = USERS[self.held.pop(allocation)]
            await self.world.allocations.release(user, allocation, force=False)

    async def expire(self) -> None:
        await self.world.allocations.expire()

    async def is_active(self, allocation: str) -> bool:
        row = await self.world.allocations.get(ADMIN, allocation)
        return row.status == 1 and row.expires_at > self.world.clock.now()

    async def some_job(self, *statuses: Status) -> str | None:
        found = [job for job in self.jobs if (await self.world.job(job)).status in statuses]
        return self.random.choice(found) if found else None


def lost_gpu_seconds(row: Row) -> dict[Loss, int]:
    """GPU seconds that were of no use, by why."""
    lost = {loss: amounts.gpu_millis // GPU_SECOND for loss, amounts in row.wasted.items()}
    return {loss: seconds for loss, seconds in lost.items() if seconds}


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_the_ledger_is_what_was_held(world: World, seed: int):
    life, meter = Life(world, seed), Meter(world)
    await world.share_gpus(4)
    for number, gpu_type in enumerate(["H100", "H100", "A100"]):
        await world.add_gpu_node(f"n{number}", gpu_type=gpu_type)
    for _ in range(120):
        await life.next()
        await meter.advance(life.random.choice([1, 999_999, 7 * SECOND, 61 * SECOND + 1]))
    now = world.clock.now()
    meter.history.append((now, Counter(meter.sums)))
    assert sum(meter.sums.values()) > 0

    assert sums(await world.rows("node_id", start=START)) == +meter.sums
    breakdowns = [
        (), ("project",), ("user", "queue"), ("gpu_type", "kind"), ("holder_id",),
        ("label:team", "pool_id"), ("project", "gpu_type", "node_id", "label:team"),
    ]  # fmt: skip
    for _ in range(12):
        (start, before), (end, after) = sorted(
            life.random.sample(meter.history, 2), key=lambda h: h[0]
        )
        if start == end:
            continue
        held = after - before
        by_node = await world.rows("node_id", start=start, end=end)
        assert sums(by_node) == held
        for by in breakdowns:
            bucket = life.random.choice([None, 13 * SECOND, 3600 * SECOND])
            query = UsageQuery(group_by=by, start=start, end=end, bucket=bucket)
            total = (await world.usage.get(ADMIN, query)).total()
            assert total.held.cpu_millis == sum(n for (_, what), n in held.items() if what == "cpu")
            assert total.held.gpu_millis == sum(
                n for (_, what), n in held.items() if what == "gpus"
            )


async def test_what_runs_held_is_told_by_who_held_what_and_where(world: World):
    node = await world.add_gpu_node("n")
    job = job_columns(gpu_count=2, queue="night", user="bob")
    await world.database.write(lambda tx: add_jobs(tx, job, labels={"team": "red"}))
    await world.run(9, job=job["job_id"], cause="COMPLETED", exit_code=0)
    by = ("project", "user", "queue", "node_id", "pool_id", "gpu_type", "kind", "holder_id")
    (row,) = await world.rows(*by, "label:team", "label:none")
    assert row.group == (
        "default", "bob", "night", node, "default", "H100", "JOB", job["job_id"], "red", "",
    )  # fmt: skip
    assert (row.held.gpu_millis, row.held.cpu_millis) == (20 * GPU_SECOND, 1000 * 10 * SECOND)


async def test_shares_of_gpus_count_in_thousandths_of_their_time(world: World):
    await world.share_gpus()
    await world.add_gpu_node("n", gpus=1)
    jobs = [await world.add_job(gpu_count=1, gpu_millis=millis) for millis in (250, 333)]
    held = await world.allocate(gpu_millis=1)
    await world.cycle(jobs[0])
    world.clock.advance(7)
    rows = await world.rows("holder_id", "gpu_type")
    assert {row.group: row.held.gpu_millis for row in rows} == {
        (jobs[0], "H100"): 250 * 7 * SECOND,
        (jobs[1], "H100"): 333 * 7 * SECOND,
        (held, "H100"): 1 * 7 * SECOND,
    }
    message = usage_message(await world.usage.get(ADMIN, UsageQuery()))
    assert message.total.held.gpu_seconds == "4.088"


async def test_an_allocation_counts_until_it_is_taken_back_and_while_it_is_held(world: World):
    await world.add_gpu_node("n")
    over = await world.allocate(gpu_count=1, ttl=60)
    await world.allocate(gpu_count=2, ttl=600)
    world.clock.advance(70)
    await world.allocations.expire()
    world.clock.advance(30)
    rows = await world.rows("holder_id", "kind", "gpu_type")
    held = {row.group[0] == over: row.held.gpu_millis // GPU_SECOND for row in rows}
    assert held == {True: 70, False: 200}
    assert {row.group[1:] for row in rows} == {("ALLOCATION", "H100")}
    assert not any(amounts.gpu_millis for row in rows for amounts in row.wasted.values())


@pytest.mark.parametrize(
    ("exit_", "evicted", "wasted"),
    [
        ({"cause": "COMPLETED", "exit_code": 0}, False, {}),
        # It asks to be run again: it has saved what it did.
        ({"cause": "COMPLETED", "exit_code": 85}, False, {}),
        ({"cause": "TIME_LIMIT", "exit_code": 85}, False, {}),
        ({"cause": "COMPLETED", "exit_code": 3}, False, {Loss.FAILURE: 9}),
        ({"cause": "COMPLETED", "exit_signal": 9}, False, {Loss.FAILURE: 9}),
        ({"cause": "TIME_LIMIT", "exit_signal": 15}, False, {Loss.FAILURE: 9}),
        ({"cause": "OUT_OF_MEMORY"}, False, {Loss.FAILURE: 9}),
        ({"cause": "LOST"}, False, {Loss.FAILURE: 9}),
        ({"cause": "GPU_FAULT"}, False, {Loss.FAILURE: 9}),
        # Nobody asked for it.
        ({"cause": "STOPPED", "exit_signal": 15}, False, {Loss.FAILURE: 9}),
        ({"cause": "STOPPED", "exit_signal": 15}, True, {Loss.PREEMPTION: 9}),
        ({"cause": "NODE_SHUTDOWN", "exit_signal": 15}, False, {Loss.PREEMPTION: 9}),
        ({}, False, {}),
    ],
)
async def test_what_was_of_no_use_is_told_by_its_cause(
    world: World, exit_: dict[str, Any], evicted: bool, wasted: dict[Loss, int]
):
    await world.add_gpu_node("n")
    job = await world.run(9)
    if evicted:
        await world.runs.evict((await world.job(job)).run_id, kill=False, why="a drain")
    if exit_:
        await world.report(job, "EXITED", **exit_)
    (row,) = await world.rows()
    found = lost_gpu_seconds(row)
    assert found == {Loss.HOLD: 1} | wasted


@pytest.mark.parametrize(
    ("exit_", "wasted"),
    [
        ({"cause": "STOPPED", "exit_signal": 15}, {Loss.PREEMPTION: 3}),
        ({"cause": "LOST"}, {Loss.FAILURE: 3}),
        # Of a job that has failed nobody takes it up.
        ({"cause": "COMPLETED", "exit_code": 3}, {Loss.FAILURE: 9}),
        ({"cause": "OUT_OF_MEMORY"}, {Loss.FAILURE: 9}),
        ({"cause": "COMPLETED", "exit_code": 0}, {}),
    ],
)
async def test_what_a_checkpoint_holds_is_not_lost(
    world: World, exit_: dict[str, Any], wasted: dict[Loss, int]
):
    await world.add_gpu_node("n")
    job = await world.run(9)
    run_id, saved_at = (await world.job(job)).run_id, world.clock.now() - 3 * SECOND
    await world.database.write(lambda tx: tx.runs.change(run_id, saved_at=saved_at))
    if exit_["cause"] == "STOPPED":
        await world.runs.evict(run_id, kill=False, why="a drain")
    await world.report(job, "EXITED", **exit_)
    (row,) = await world.rows()
    found = lost_gpu_seconds(row)
    assert found == {Loss.HOLD: 1} | wasted


async def test_a_run_is_charged_to_the_pool_that_its_node_was_in(world: World):
    node = await world.add_gpu_node("n")
    await world.database.write(lambda tx: tx.nodes.change(node, pool="fast"))
    await world.run(9, cause="COMPLETED", exit_code=0)
    await world.allocate(gpu_count=1)
    await world.database.write(lambda tx: tx.nodes.change(node, pool="slow"))
    world.clock.advance(1)
    assert {row.group for row in await world.rows("pool_id")} == {("fast",)}


async def test_a_run_that_never_started_because_its_node_could_not_is_a_failure(world: World):
    await world.add_gpu_node("n")
    job = await world.add_job(gpu_count=1)
    await world.cycle(job)
    world.clock.advance(5)
    (row,) = await world.rows()
    assert row.wasted[Loss.HOLD].gpu_millis == 5 * GPU_SECOND
    await world.report(job, "EXITED", cause="LAUNCH_FAILED")
    (row,) = await world.rows()
    assert lost_gpu_seconds(row) == {Loss.FAILURE: 5}


async def test_a_job_that_is_cancelled_after_its_run_was_evicted_leaves_that_a_preemption(
    world: World,
):
    await world.add_gpu_node("n")
    job = await world.run(9)
    row = await world.job(job)
    await world.runs.evict(row.run_id, kill=False, why="a drain")
    await world.report(job, "EXITED", cause="STOPPED", exit_signal=15)
    world.clock.advance(5)
    await world.database.write(
        lambda tx: tx.jobs.change(
            job, row.version + 2, status=int(Status.CANCELLED), ended_at=world.clock.now()
        )
    )
    (found,) = await world.rows()
    assert found.wasted[Loss.PREEMPTION].gpu_millis == 9 * GPU_SECOND


async def test_each_attempt_of_a_job_counts_and_what_waits_between_them_does_not(world: World):
    await world.add_gpu_node("n")
    job = await world.run(9, cause="COMPLETED", exit_code=85)
    world.clock.advance(1000)
    await world.run(19, job=job, cause="COMPLETED", exit_code=0)
    (row,) = await world.rows("holder_id")
    assert (row.group[0], row.held.gpu_millis) == (job, 30 * GPU_SECOND)


@pytest.mark.parametrize(("said", "held_back"), [(1, 0), (2 * START // SECOND, 4)])
async def test_a_node_that_says_nonsense_about_times_moves_nothing_out_of_its_run(
    world: World, said: int, held_back: int
):
    await world.add_gpu_node("n")
    job = await world.add_job(gpu_count=1)
    row = await world.cycle(job)
    world.clock.advance(4)
    report = agent_pb2.RunReport(run_id=row.run_id, epoch=row.attempt, state="RUNNING")
    report.start_time.FromSeconds(said)
    await world.runs.report(row.node_id, report)
    world.clock.advance(6)
    (found,) = await world.rows()
    assert found.held.gpu_millis == 10 * GPU_SECOND
    assert found.wasted[Loss.HOLD].gpu_millis == held_back * GPU_SECOND


async def test_a_clock_that_is_set_back_makes_nothing_negative(world: World):
    await world.add_gpu_node("n")
    held = await world.allocate(gpu_count=1)
    world.clock.advance(-3600)
    assert await world.rows() == []
    await world.allocations.release(USERS["ada"], held, force=False)
    world.clock.advance(7200)
    assert await world.rows(start=START - 7200 * SECOND) == []


async def test_the_type_of_a_gpu_stays_what_it_was_when_the_node_is_rebuilt(world: World):
    node = await world.add_gpu_node("n")
    await world.run(9, cause="COMPLETED", exit_code=0)
    await world.allocate(gpu_count=1)
    rebuilt = an_inventory(gpus=4, gpu_type="B200").SerializeToString()
    await world.database.write(lambda tx: tx.nodes.change(node, inventory=rebuilt))
    world.clock.advance(1)
    assert {row.group for row in await world.rows("gpu_type")} == {("H100",)}


@pytest.mark.parametrize(
    ("query", "gpus"),
    [
        ({}, 60),
        ({"project": "default"}, 30),
        ({"project": "other"}, 30),
        ({"user": "ada"}, 20),
        ({"queue": "night"}, 10),
        ({"gpu_type": "a100"}, 0),
        ({"gpu_type": "h100"}, 60),
        ({"pool_id": "default"}, 60),
        ({"pool_id": "none"}, 0),
        ({"node_id": "none"}, 0),
        ({"labels": (("team", "red"),)}, 10),
        ({"labels": (("team", "red"), ("x", "y"))}, 0),
        ({"start": START - 1, "end": START}, 0),
        ({"start": START, "end": START + SECOND}, 6),
        ({"end": START + 99_999 * SECOND}, 60),
    ],
)
async def test_only_what_is_asked_for_counts(world: World, query: dict[str, Any], gpus: int):
    await world.add_gpu_node("n", gpus=6)
    await world.allocate("ada", gpu_count=2)
    await world.allocate("eve", gpu_count=3)
    job = job_columns(gpu_count=1, queue="night", user="bob")
    await world.database.write(lambda tx: add_jobs(tx, job, labels={"team": "red"}))
    await world.cycle(job["job_id"])
    world.clock.advance(10)
    assert sum(row.held.gpu_millis for row in await world.rows(**query)) == gpus * GPU_SECOND


async def test_callers_see_the_projects_in_which_they_may(world: World):
    await world.add_gpu_node("n")
    await world.allocate("ada", gpu_count=1)
    await world.allocate("eve", gpu_count=1)
    world.clock.advance(1)
    seen = {
        name: {row.group[0] for row in await world.rows("project", who=who)}
        for name, who in ({"admin": ADMIN, "nobody": Caller("nobody")} | USERS).items()
    }
    assert seen == {
        "admin": {"default", "other"},
        "nobody": set(),
        "ada": {"default"},
        "bob": {"default"},
        "eve": {"other"},
    }
    with pytest.raises(Denied):
        await world.rows(who=USERS["ada"], project="other")
    with pytest.raises(Denied):
        await world.rows(who=USERS["ada"], project="none")
    with pytest.raises(NotFound, match="there is no project 'none'"):
        await world.rows(project="none")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"start": START, "end": START}, "TIMES_REVERSED"),
        ({"start": START + SECOND}, "TIMES_REVERSED"),
        ({"start": START, "end": START - 1}, "TIMES_REVERSED"),
        ({"end": EARLIEST}, "TIMES_REVERSED"),
        ({"start": START - 10_001 * SECOND, "bucket": SECOND}, "TOO_MANY_BUCKETS"),
        ({"start": START, "end": 1 << 57, "bucket": SECOND}, "TOO_MANY_BUCKETS"),
    ],
)
async def test_a_window_that_is_none_is_refused(world: World, query: dict[str, Any], reason: str):
    with pytest.raises(InvalidInput) as refused:
        await world.rows(**query)
    assert refused.value.reason == reason
    assert refused.value.violations


async def test_the_default_window_begins_no_earlier_than_a_time_that_can_be_said(world: World):
    ledger = await world.usage.get(ADMIN, UsageQuery(end=EARLIEST + SECOND))
    assert (ledger.window.start, ledger.window.end) == (EARLIEST, EARLIEST + SECOND)


async def test_an_answer_of_too_many_rows_is_refused(world: World):
    await world.add_gpu_node("n")
    for _ in range(3):
        await world.allocate(cpu_millis=1)
    world.clock.advance(1)
    query = UsageQuery(group_by=("holder_id",))
    assert len((await world.usage.get(ADMIN, query, max_rows=3)).rows()) == 3
    with pytest.raises(InvalidInput, match="more than 2 rows"):
        await world.usage.get(ADMIN, query, max_rows=2)
