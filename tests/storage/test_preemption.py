"""Jobs make room for others of higher priority: from the queue to the nodes and back, on both engines."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.controllers.preemptions import PreemptionRemoval
from windlass_server.jobs.preemptions import KEPT_FOR
from windlass_server.jobs.states import Status
from windlass_server.scheduler.preemption import Eviction
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")

MINUTE = 60.0


class World:
    """A node with two GPUs, and a policy that lets jobs be stopped for others."""

    def __init__(self, world: ScheduledWorld) -> None:
        self.world = world
        self.node_id = ""

    async def preempting(self, **rules: int) -> None:
        """Switch it on, with these rules in seconds and numbers."""
        spec = scheduling_policy_pb2.Preemption(enabled=True)
        spec.min_run_time.FromSeconds(rules.get("min_run", 60))
        spec.back_off.FromSeconds(rules.get("back_off", 600))
        spec.hourly_budget = rules.get("budget", 10)
        await store_policy(self.world.database, spec)

    async def add_node(self, gpus: int = 2) -> None:
        inventory = an_inventory(gpus=gpus)
        self.node_id = await self.world.add_node("n1", inventory=inventory.SerializeToString())

    async def running(self, **values: Any) -> str:
        """A job that runs since two minutes."""
        job_id = await self.world.add_job(**({"gpu_count": 1} | values))
        await self.world.cycle(job_id)
        await self.world.report(job_id, "RUNNING")
        self.world.clock.advance(2 * MINUTE)
        return job_id

    async def high(self, gpus: int = 2, **values: Any) -> str:
        return await self.world.add_job(gpu_count=gpus, priority=100, **values)

    async def state(self, job_id: str) -> tuple[str, str]:
        job = await self.world.job(job_id)
        return Status(job.status).name, job.status_reason

    async def leaves(self, job_id: str, **exit_: Any) -> None:
        """The job's node reports that it has stopped it."""
        await self.world.report(job_id, "EXITED", **({"cause": 2, "log_end": 0} | exit_))

    async def told(self) -> set[str]:
        """The jobs whose runs the node is told to stop."""
        rows = await self.world.database.read(lambda tx: tx.runs.known_to_node(self.node_id))
        return {row.job_id for row in rows if row.want == 2 and row.active}

    async def events(self, job_id: str) -> list[str]:
        rows = await self.world.database.read(lambda tx: tx.events.page(job_id, after=0, size=99))
        return [row.reason for row in rows]


async def store_policy(database: Database, spec: scheduling_policy_pb2.Preemption) -> None:
    policy = scheduling_policy_pb2.SchedulingPolicy(preemption=spec).SerializeToString()
    columns = {"policy_id": "default", "user": "ada", "created_at": 0, "updated_at": 0}

    def store(tx: Transaction) -> None:
        there = tx.scheduling_policies.get("default")
        version = 1 if there is None else there.version + 1
        if not tx.scheduling_policies.add(columns | {"spec": policy, "version": version}):
            tx.scheduling_policies.change("default", spec=policy, version=version)

    await database.write(store)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    made = World(await ScheduledWorld.start(database, tmp_path))
    await made.preempting()
    await made.add_node()
    return made


async def test_who_is_stopped_is_queued_again_and_goes_on_when_there_is_room(world: World):
    first, second = await world.running(), await world.running()
    high = await world.high()
    job = await world.world.cycle(high)
    assert (job.status_reason, job.status_message) == (
        "MAKING_ROOM",
        "2 jobs are being stopped for it on node n1",
    )
    assert await world.told() == {first, second}
    victim = await world.world.job(first)
    assert (Status(victim.status), victim.status_reason, victim.status_message) == (
        Status.RUNNING,
        "PREEMPTING",
        f"it is being stopped for {high}, which has priority 100",
    )

    # A smaller job does not get what is free meanwhile.
    await world.leaves(first)
    small = await world.world.add_job(gpu_count=1)
    world.world.clock.advance(20)
    job = await world.world.cycle(high)
    assert job.status_message == "2 jobs are being stopped for it on node n1; 1 of them still there"
    assert (await world.state(small))[0] == "QUEUED"
    # It asked to be run again by itself, which is the same.
    await world.leaves(second, cause=1, exit_code=85)
    assert await world.state(second) == ("QUEUED", "PREEMPTED")
    stopped = await world.world.job(second)
    assert stopped.status_message == f"it was stopped for {high}, which has priority 100"

    await world.world.cycle(high)
    assert await world.state(high) == ("SCHEDULED", "PLACED")
    # Whatever they wait for now, they are told for whom that is.
    waiting = await world.world.job(second)
    assert waiting.status_reason == "BEHIND_HIGHER_PRIORITY"
    assert waiting.status_message.endswith(f"; it was stopped for {high}, which has priority 100")
    assert "stopped for" not in (await world.world.job(small)).status_message
    assert await world.events(high) == ["MAKING_ROOM", "PLACED"]
    assert (await world.events(first))[-2:] == ["PREEMPTING", "PREEMPTED"]
    assert (await world.events(second)).count("PREEMPTING") == 1

    # They have kept their place in the queue, and their tries.
    await world.world.report(high, "EXITED", cause=1, exit_code=0, log_end=0)
    await world.world.cycle(first)
    assert [await world.state(one) for one in (first, second, small)] == [
        ("SCHEDULED", "PLACED"),
        ("SCHEDULED", "PLACED"),
        ("QUEUED", "WAITING_BEHIND_EARLIER_JOBS"),
    ]
    assert (await world.world.job(first)).attempt == 2
    assert await world.world.database.read(lambda tx: tx.preemptions.kept()) == []


async def test_nothing_is_stopped_where_no_policy_says_so(database: Database, tmp_path: Path):
    world = World(await ScheduledWorld.start(database, tmp_path))
    await world.add_node()
    await world.running()
    await world.world.cycle(await world.high())
    assert await world.told() == set()


async def test_a_job_that_may_not_be_stopped_stays(world: World):
    await world.running(preemptible=False)
    await world.world.cycle(await world.high())
    assert await world.told() == set()
    await world.world.cycle(await world.high(gpus=1))
    assert await world.told() == set()


async def test_a_server_that_starts_again_meanwhile_stops_nobody_twice(
    world: World, tmp_path: Path
):
    """What is under way is in the database."""
    low = await world.running(gpu_count=2)
    high = await world.high()
    await world.world.cycle(high)
    again = await ScheduledWorld.start(world.world.database, tmp_path / "again")
    again.clock.advance(3 * MINUTE)
    small = await again.add_job(gpu_count=1)
    await again.cycle(high)
    rows = await again.database.read(lambda tx: tx.preemptions.kept())
    assert [(row.for_job_id, row.job_id, bool(row.active)) for row in rows] == [(high, low, True)]
    await again.report(low, "EXITED", cause=2, log_end=0)
    await again.cycle(high)
    assert (await world.state(high))[0] == "SCHEDULED"
    assert [await world.state(one) for one in (low, small)] == [
        ("QUEUED", "BEHIND_HIGHER_PRIORITY"),
        ("QUEUED", "BEHIND_HIGHER_PRIORITY"),
    ]
    assert await world.events(high) == ["MAKING_ROOM", "PLACED"]


class TwoNodes:
    """Room is being made for a job on one of two nodes; on the other runs a job just like the victim."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cluster = world.world
        self.nodes: set[str] = set()
        self.high = self.victim = self.node_id = ""

    async def start(self) -> None:
        self.nodes.add(self.world.node_id)
        await self.world.running(gpu_count=2)
        await self.world.add_node()
        self.nodes.add(self.world.node_id)
        await self.world.running(gpu_count=2)
        self.high = await self.world.high()
        await self.cluster.cycle(self.high)
        ((self.victim, self.node_id),) = await self.stopped()

    async def stopped(self) -> list[tuple[str, str]]:
        """Who was stopped for it, and where it gets the place."""
        rows = await self.cluster.database.read(lambda tx: tx.preemptions.kept())
        return [(row.job_id, row.node_id) for row in rows if row.for_job_id == self.high]

    async def lose(self, *node_ids: str) -> None:
        def store(tx: Transaction) -> None:
            for node_id in node_ids:
                seen_at = self.cluster.clock.now()
                assert tx.nodes.mark_unreachable(
                    node_id, seen_at=seen_at, reason="AGENT_LOST", message="it is not connected"
                )

        await self.cluster.database.write(store)

    async def say_hello(self, *node_ids: str) -> None:
        def store(tx: Transaction) -> None:
            for node_id in node_ids:
                self.cluster.store_hello(tx, node_id, an_inventory(gpus=2))

        await self.cluster.database.write(store)

    async def set_node(self, **values: Any) -> None:
        await self.cluster.database.write(lambda tx: tx.nodes.change(self.node_id, **values))


@pytest.fixture
async def two_nodes(world: World) -> TwoNodes:
    made = TwoNodes(world)
    await made.start()
    return made


async def test_while_nodes_come_back_after_a_restart_nobody_else_is_stopped(
    two_nodes: TwoNodes, tmp_path: Path
):
    """However long there was no server: the node had no chance to be heard."""
    await two_nodes.lose(*two_nodes.nodes)
    clock = two_nodes.cluster.clock
    clock.advance(60 * MINUTE)
    again = await ScheduledWorld.start(two_nodes.cluster.database, tmp_path / "again", clock)
    two_nodes.cluster = two_nodes.world.world = again
    await again.cycle(two_nodes.high)
    await two_nodes.say_hello(*(two_nodes.nodes - {two_nodes.node_id}))
    clock.advance(2 * MINUTE)
    job = await again.cycle(two_nodes.high)
    assert await two_nodes.stopped() == [(two_nodes.victim, two_nodes.node_id)]
    assert job.status_reason == "MAKING_ROOM"

    await two_nodes.say_hello(two_nodes.node_id)
    await two_nodes.world.leaves(two_nodes.victim)
    await again.cycle(two_nodes.high)
    assert await two_nodes.world.state(two_nodes.high) == ("SCHEDULED", "PLACED")
    assert await two_nodes.world.events(two_nodes.high) == ["MAKING_ROOM", "PLACED"]


async def test_a_place_that_is_free_is_kept_while_its_node_may_well_be_back(two_nodes: TwoNodes):
    await two_nodes.world.leaves(two_nodes.victim)
    await two_nodes.lose(two_nodes.node_id)
    two_nodes.cluster.clock.advance(20)
    job = await two_nodes.cluster.cycle(two_nodes.high)
    assert await two_nodes.stopped() == [(two_nodes.victim, two_nodes.node_id)]
    assert job.status_message == "1 job was stopped for it on node n1; the node is not connected"
    await two_nodes.say_hello(two_nodes.node_id)
    assert (await two_nodes.cluster.cycle(two_nodes.high)).node_id == two_nodes.node_id


async def test_when_the_node_stays_away_for_long_others_are_stopped_elsewhere(two_nodes: TwoNodes):
    await two_nodes.say_hello(two_nodes.node_id)
    await two_nodes.lose(two_nodes.node_id)
    two_nodes.cluster.clock.advance(299)
    await two_nodes.cluster.cycle(two_nodes.high)
    assert len(await two_nodes.stopped()) == 1
    two_nodes.cluster.clock.advance(1)
    await two_nodes.cluster.cycle(two_nodes.high)
    assert {node_id for _, node_id in await two_nodes.stopped()} == two_nodes.nodes


@pytest.mark.parametrize("gone", [{"maintenance": 2}, {"removed_at": 1}])
async def test_a_node_that_is_closed_or_removed_is_not_waited_for(
    two_nodes: TwoNodes, gone: dict[str, int]
):
    await two_nodes.lose(two_nodes.node_id)
    await two_nodes.set_node(**gone)
    await two_nodes.cluster.cycle(two_nodes.high)
    assert {node_id for _, node_id in await two_nodes.stopped()} == two_nodes.nodes


async def test_a_place_is_not_kept_for_a_job_that_was_cancelled(world: World):
    low = await world.running(gpu_count=2)
    high = await world.high()
    await world.world.cycle(high)

    def cancel(tx: Any) -> None:
        job = tx.jobs.get(high)
        tx.jobs.change(high, job.version, status=int(Status.CANCELLED))

    await world.world.database.write(cancel)
    await world.leaves(low)
    await world.world.cycle(low)
    assert await world.world.database.read(lambda tx: tx.preemptions.kept()) == []
    assert (await world.state(low))[0] == "SCHEDULED"


async def test_who_was_stopped_for_it_is_counted_and_not_stopped_again_at_once(world: World):
    await world.preempting(budget=1, back_off=600)
    low = await world.running(gpu_count=2)
    high = await world.high()
    await world.world.cycle(high)
    await world.leaves(low)
    await world.world.cycle(high)
    assert (await world.state(high))[0] == "SCHEDULED"
    await world.world.report(high, "EXITED", cause=1, exit_code=0, log_end=0)
    await world.world.cycle(low)
    await world.world.report(low, "RUNNING")
    world.world.clock.advance(2 * MINUTE)

    next_one = await world.high()
    await world.world.cycle(next_one)
    assert await world.told() == set()
    await world.preempting(budget=2, back_off=600)
    await world.world.cycle(next_one)
    assert await world.told() == set()
    world.world.clock.advance(600)
    await world.world.cycle(next_one)
    assert await world.told() == {low}


@pytest.mark.parametrize("change", ["ended", "cancelling", "leaving", "other attempt", "higher"])
async def test_what_has_changed_since_it_was_planned_is_not_carried_out(world: World, change: str):
    """All or nothing: of two that were to go, one may not any more."""
    first, second = await world.running(), await world.running()
    high = await world.high()
    jobs = {one: await world.world.job(one) for one in (first, second, high)}
    evictions = [Eviction(jobs[one].run_id, one, high, world.node_id) for one in (first, second)]
    runs = world.world.runs
    if change == "ended":
        await world.leaves(second, cause=1, exit_code=0)
    elif change == "leaving":
        await runs.evict(jobs[second].run_id, kill=False, why="the node is drained")
    elif change == "other attempt":
        evictions[1] = Eviction("run-of-old", second, high, world.node_id)
    else:
        values = {"cancelling": {"status": 4}, "higher": {"priority": 101}}[change]
        version = jobs[second].version
        await world.world.database.write(
            lambda tx: tx.jobs.change(second, version, **values)  # type: ignore[arg-type]
        )
    version = jobs[high].version
    assert not await runs.preempt(evictions, version=version, epoch=1)
    assert await world.told() <= {second}
    assert await world.state(first) == ("RUNNING", "STARTED")
    assert not await runs.preempt(evictions[:1], version=version + 1, epoch=1)
    assert not await runs.preempt(evictions[:1], version=version, epoch=2)
    assert await runs.preempt(evictions[:1], version=version, epoch=1)
    assert not await runs.preempt(evictions[:1], version=version, epoch=1)


async def test_who_had_borrowed_is_told_that_it_is_taken_back_and_not_of_a_higher_priority(
    world: World,
):
    low = await world.running(gpu_count=2, priority=100)
    high = await world.high()
    runs, job = world.world.runs, await world.world.job(low)
    version = (await world.world.job(high)).version
    eviction = Eviction(job.run_id, low, high, world.node_id)
    assert await runs.preempt([eviction], version=version, epoch=1)
    why = f"stopped for {high}, which gets back what its project can count on"
    assert (await world.world.job(low)).status_message == f"it is being {why}"
    await world.leaves(low)
    assert (await world.world.job(low)).status_message == f"it was {why}"


async def test_a_job_that_ends_by_itself_while_it_is_stopped_has_ended(world: World):
    low = await world.running(gpu_count=2)
    high = await world.high()
    await world.world.cycle(high)
    await world.leaves(low, cause=1, exit_code=0)
    assert await world.state(low) == ("SUCCEEDED", "COMPLETED")
    await world.world.cycle(high)
    assert (await world.state(high))[0] == "SCHEDULED"


async def test_what_is_long_over_is_forgotten_and_nothing_that_is_under_way(world: World):
    database = world.world.database
    low, other = await world.running(), await world.running()
    high = await world.high()
    await world.world.cycle(high)
    await world.leaves(low)
    upkeep = PreemptionRemoval(database, world.world.clock)

    async def remembered() -> set[str]:
        return {row.job_id for row in await database.read(lambda tx: tx.preemptions.since(0))}

    assert KEPT_FOR > 30 * 24 * 3600 * 1_000_000, "no policy minds longer"
    world.world.clock.advance(KEPT_FOR / 1_000_000 + 1)
    await upkeep.cycle()
    assert await remembered() == {low, other}, "it is still kept, or leaves"
    await database.write(lambda tx: tx.preemptions.let_go([high]))
    await upkeep.cycle()
    assert await remembered() == {other}
    await world.leaves(other)
    await upkeep.cycle()
    assert await remembered() == set()
    assert await world.state(other) == ("QUEUED", "PREEMPTED")


async def test_what_was_not_long_ago_is_remembered(world: World):
    low = await world.running(gpu_count=2)
    high = await world.high()
    await world.world.cycle(high)
    await world.leaves(low)
    await world.world.database.write(lambda tx: tx.preemptions.let_go([high]))
    world.world.clock.advance(KEPT_FOR / 1_000_000 - 1)
    await PreemptionRemoval(world.world.database, world.world.clock).cycle()
    rows = await world.world.database.read(lambda tx: tx.preemptions.since(0))
    assert [row.job_id for row in rows] == [low]
