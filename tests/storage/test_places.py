"""Where jobs are placed that ask for labels, for types of GPUs by wish, or for a node of their own."""

from pathlib import Path

import pytest

from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ADA, ScheduledWorld
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import resources_service_pb2
from windlass_server.errors import Conflict
from windlass_server.jobs.places import group_of, place_columns
from windlass_server.jobs.states import Status
from windlass_server.scheduler.plan import Placement
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> ScheduledWorld:
    return await ScheduledWorld.start(database, tmp_path)


async def add_node(world: ScheduledWorld, name: str, *, gpus: int = 2, **labels: str) -> str:
    inventory = an_inventory(gpus=gpus)
    inventory.labels.update(labels)
    return await world.add_node(name, inventory=inventory.SerializeToString())


async def add_job(world: ScheduledWorld, **asked) -> str:
    spec = job_pb2.Job(**asked)
    return await world.add_job(spec=spec.SerializeToString(), **place_columns(spec))


ZONE = {"node_labels": [{"key": "zone", "operator": "IN", "values": ["eu"]}]}


async def test_a_job_runs_where_the_labels_are_as_it_asks(world: ScheduledWorld):
    await add_node(world, "a", zone="us")
    wanted = await add_node(world, "b", zone="eu")
    job = await world.cycle(await add_job(world, constraints=ZONE))
    assert job.node_id == wanted


async def test_a_node_whose_labels_have_changed_since_the_plan_is_not_taken(world: ScheduledWorld):
    node_id = await add_node(world, "a", zone="us")
    job = await world.job(await add_job(world, constraints=ZONE))
    epoch = world.lease.epoch
    placement = Placement(job.job_id, node_id, ())
    assert not await world.runs.place(placement, attempt=1, version=job.version, epoch=epoch)
    assert (await world.job(job.job_id)).status == Status.QUEUED


async def test_who_has_a_node_alone_holds_all_of_it_until_the_end(world: ScheduledWorld):
    node_id = await add_node(world, "a")
    job = await world.cycle(await add_job(world, exclusive_node=True))
    assert job.gpu_uuids == "GPU-0,GPU-1"
    node = await world.database.read(lambda tx: tx.nodes.get(node_id))
    assert node is not None
    run = await world.database.read(lambda tx: tx.runs.get(job.run_id))
    assert run is not None
    assert (run.cpu_millis, run.memory_bytes) == (node.cpu_millis, node.memory_bytes)
    other = await world.cycle(await add_job(world))
    assert (other.status, other.status_reason) == (Status.QUEUED, "INSUFFICIENT_MEMORY")
    await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0)
    assert (await world.cycle(other.job_id)).node_id == node_id


async def test_a_node_that_grows_is_still_of_the_one_who_has_it_alone(world: ScheduledWorld):
    node_id = await add_node(world, "a")
    job = await world.cycle(await add_job(world, exclusive_node=True))
    larger = an_inventory(cpu_millis=64_000, memory_bytes=1 << 40, gpus=4)
    await world.database.write(lambda tx: world.store_hello(tx, node_id, larger))
    other = await world.cycle(await add_job(world))
    assert other.status == Status.QUEUED
    request = resources_service_pb2.AllocateRequest(project="default")
    with pytest.raises(Conflict):
        await world.allocations.allocate(ADA, request)
    epoch = world.lease.epoch
    placement = Placement(other.job_id, node_id, ())
    assert not await world.runs.place(placement, attempt=1, version=other.version, epoch=epoch)
    await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0)
    assert (await world.cycle(other.job_id)).node_id == node_id


async def test_a_node_is_not_had_alone_by_whom_was_beaten_to_it(world: ScheduledWorld):
    node_id = await add_node(world, "a")
    first = await world.cycle(await add_job(world))
    late = await world.job(await add_job(world, exclusive_node=True))
    epoch = world.lease.epoch
    placement = Placement(late.job_id, node_id, ("GPU-0", "GPU-1"))
    assert not await world.runs.place(placement, attempt=1, version=late.version, epoch=epoch)
    waiting = await world.cycle(late.job_id)
    assert (first.node_id, waiting.status_reason) == (node_id, "NODE_NOT_EMPTY")


async def test_jobs_that_are_spread_together_keep_apart_while_they_run(world: ScheduledWorld):
    for name, rack in (("a", "r1"), ("b", "r1"), ("c", "r2")):
        await add_node(world, name, rack=rack)
    spread = {"job_label": "app", "node_label": "rack", "max_per_domain": 1}
    like = {"labels": {"app": "x"}, "spread": spread}
    first = await world.cycle(await add_job(world, **like))
    second = await world.cycle(await add_job(world, **like))
    racks = await world.database.read(
        lambda tx: {node.node_id: node.name for node in tx.nodes.all()}
    )
    assert {racks[first.node_id], racks[second.node_id]} in ({"a", "c"}, {"b", "c"})
    third = await world.cycle(await add_job(world, **like))
    assert (third.status, third.status_reason) == (Status.QUEUED, "SPREAD_UNAVAILABLE")
    # Others of the label, and of another value of it, do not mind.
    other = await world.cycle(await add_job(world, labels={"app": "y"}, spread=spread))
    assert (await world.cycle(await add_job(world, labels={"app": "x"}))).node_id
    assert other.node_id
    groups = [
        group_of(job_pb2.Job(**like)),
        group_of(job_pb2.Job(labels={"app": "y"}, spread=spread)),
    ]
    counted = await world.database.read(lambda tx: tx.runs.in_groups(groups))
    assert counted == {
        groups[0]: {first.node_id: 1, second.node_id: 1}, groups[1]: {other.node_id: 1},
    }  # fmt: skip
    await world.report(first.job_id, "EXITED", cause="COMPLETED", exit_code=0)
    assert (await world.cycle(third.job_id)).status == Status.SCHEDULED


@pytest.mark.parametrize(("most", "placed"), [(1, False), (2, True)])
async def test_a_limit_is_asked_again_when_a_place_is_given(
    world: ScheduledWorld, most: int, placed: bool
):
    """The rack of a node is another one than it was for the plan."""
    nodes = {name: await add_node(world, name, rack=name) for name in "ab"}
    spread = {"job_label": "app", "node_label": "rack", "max_per_domain": most}
    like = {"labels": {"app": "x"}, "spread": spread}
    first = await world.cycle(await add_job(world, **like))
    (free,) = (node_id for node_id in nodes.values() if node_id != first.node_id)
    second = await world.job(await add_job(world, **like))
    moved = an_inventory(gpus=2)
    moved.labels["rack"] = "both"
    for node_id in nodes.values():
        await world.database.write(lambda tx, one=node_id: world.store_hello(tx, one, moved))
    placement, epoch = Placement(second.job_id, free, ()), world.lease.epoch
    version = second.version
    assert await world.runs.place(placement, attempt=1, version=version, epoch=epoch) is placed


async def test_gpus_that_must_reach_each_other_are_given_by_what_their_node_says(
    world: ScheduledWorld,
):
    inventory = an_inventory(gpus=4)
    for one, other in ((0, 2), (1, 3)):
        inventory.gpus[one].nvlink_peers.append(f"GPU-{other}")
        inventory.gpus[other].nvlink_peers.append(f"GPU-{one}")
    await world.add_node("a", inventory=inventory.SerializeToString())
    job = await world.cycle(await world.add_job(gpu_count=2, topology_required=1))
    assert job.gpu_uuids == "GPU-0,GPU-2"
    # One alone is of the other island, so that no two of those that are left reach each other.
    assert (await world.cycle(await world.add_job(gpu_count=1))).gpu_uuids == "GPU-1"
    late = await world.cycle(await world.add_job(gpu_count=2, topology_required=1))
    assert (late.status, late.status_reason) == (Status.QUEUED, "INSUFFICIENT_GPUS")
    await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0)
    assert (await world.cycle(late.job_id)).gpu_uuids == "GPU-0,GPU-2"
