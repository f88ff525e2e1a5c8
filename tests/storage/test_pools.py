"""Pools are made, changed and removed, and nodes go where they belong, on both engines."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_agent import samples, series
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, an_inventory
from tests.support.resources_world import ADMIN, VIEWER, ResourcesWorld
from windlass.resources.v1 import resources_service_pb2
from windlass.resources.v1.cluster_pb2 import Cluster
from windlass.resources.v1.pool_pb2 import GpuSharing, Overcommit, Pool, PoolSelector
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
from windlass_server.resources.node_message import node_message
from windlass_server.resources.pool_message import pool_message
from windlass_server.resources.pools import MAX_POOLS
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> ResourcesWorld:
    started = await ResourcesWorld.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "vision", "speech"))
    return started


def a_pool(pool_id: str = "big", **said: Any) -> Pool:
    said.setdefault("selector", PoolSelector(zones=["a"]))
    return Pool(pool_id=pool_id, **said)


async def shown(world: ResourcesWorld, pool_id: str, who: Caller = ADMIN) -> Pool:
    return pool_message(await world.pools.get(who, pool_id), world.latest, who)


async def test_the_default_pool_is_there_however_often_a_server_starts(world: ResourcesWorld):
    made = await shown(world, "default")
    world.clock.advance(5)
    await world.pools.ensure_default()
    assert await shown(world, "default") == made


async def test_whether_gpus_are_shared_is_said_of_a_pool_and_changed_alone(world: ResourcesWorld):
    made = await world.pools.create(ADMIN, a_pool(sharing=GpuSharing(enabled=True)))
    assert pool_message(made, world.latest, ADMIN).sharing == GpuSharing(enabled=True)
    most = Pool(pool_id="big", sharing=GpuSharing(enabled=True, max_jobs_per_gpu=4))
    await world.pools.update(ADMIN, most, ["sharing"])
    changed = await shown(world, "big")
    assert (changed.sharing.max_jobs_per_gpu, changed.selector.zones) == (4, ["a"])
    await world.pools.update(ADMIN, Pool(pool_id="big"), ["sharing"])
    assert not (await shown(world, "big")).HasField("sharing")


async def test_what_shares_leave_of_a_card_is_idle_and_what_waits_for_shares_is_a_class(
    world: ResourcesWorld,
):
    await world.pools.update(ADMIN, Pool(pool_id="default", sharing=GpuSharing(enabled=True)), [])
    await world.joined("n1", gpus=2)
    for number in range(3):
        job = await world.scheduled.add_job(gpu_count=1, gpu_millis=600 + number)
        await world.scheduled.cycle(job)
    pool = await shown(world, "default")
    assert (pool.allocated.gpu_count, pool.available.gpu_count) == (2, 0)
    (waiting,) = [one for one in pool.fragmentation.classes if one.waiting_jobs]
    assert (waiting.resources.gpu_count, waiting.resources.gpu_millis) == (1, 602)
    assert pool.fragmentation.summary == (
        "0.799 GPUs idle, all of them useless to your 0.602-GPU jobs"
    )


async def test_a_new_pool_takes_the_nodes_that_it_selects_and_amounts_add_up(
    world: ResourcesWorld,
):
    await world.clusters.create(ADMIN, Cluster(cluster_id="east"))
    await world.joined("a1", labels={"zone": "a"}, gpus=2)
    await world.joined("a2", labels={"zone": "a"}, gpus=1, gpu_type="L4", connected=False)
    await world.joined("b1", labels={"zone": "b"}, gpus=4)
    await world.joined("e1", cluster="east")
    before = await shown(world, "default")

    made = await world.pools.create(ADMIN, a_pool())
    big, rest = pool_message(made, world.latest, ADMIN), await shown(world, "default")
    assert await shown(world, "big") == big
    assert dict(big.node_counts) == {"READY": 1, "UNREACHABLE": 1}
    assert dict(big.gpu_counts) == {"H100": 2, "L4": 1}
    assert await world.names(pool="big") == ["a1", "a2"]
    for name in ("cpu_millis", "memory_bytes", "gpu_count"):
        for part in ("capacity", "allocatable", "allocated", "available"):
            amounts = [getattr(getattr(pool, part), name) for pool in (before, big, rest)]
            assert amounts[0] == amounts[1] + amounts[2]
    assert big.capacity.gpu_count == 3
    # What cannot be reached cannot be had.
    assert (big.available.gpu_count, big.available.cpu_millis) == (2, 8000)


async def test_a_node_goes_where_its_word_leads_it(world: ResourcesWorld):
    await world.pools.create(ADMIN, a_pool())
    node_id = await world.joined("n1", labels={"zone": "a"})
    assert await world.names(pool="big") == ["n1"]
    told = an_inventory()
    told.hostname = "n1"
    await world.membership.hello(node_id, told)
    assert await world.names(pool="default") == ["n1"]


async def test_nodes_go_back_when_their_pool_is_changed_or_removed(world: ResourcesWorld):
    await world.joined("n1", labels={"zone": "a"})
    await world.joined("n2", labels={"zone": "b"})
    await world.pools.create(ADMIN, a_pool())
    await world.pools.update(ADMIN, a_pool(selector=PoolSelector(zones=["b"])), [])
    assert await world.names(pool="big") == ["n2"]
    await world.pools.create(ADMIN, a_pool("first", priority=1, selector=PoolSelector(zones=["b"])))
    assert await world.names(pool="first") == ["n2"]
    await world.pools.delete(ADMIN, "first", "")
    assert await world.names(pool="big") == ["n2"]
    await world.pools.delete(ADMIN, "big", "2")
    assert await world.names(pool="default") == ["n1", "n2"]
    with pytest.raises(NotFound):
        await shown(world, "big")


async def test_however_nodes_and_pools_come_at_once_each_node_is_where_it_belongs(
    world: ResourcesWorld,
):
    pools = [
        a_pool(f"p{number}", selector=PoolSelector(labels={"n": str(number)}))
        for number in range(4)
    ]
    work = [world.pools.create(ADMIN, pool) for pool in pools]
    joining = [world.joined(f"n{number}", labels={"n": str(number)}) for number in range(4)]
    await asyncio.gather(*work, *joining)
    for number in range(4):
        assert await world.names(pool=f"p{number}") == [f"n{number}"]


async def test_a_node_that_changes_its_word_while_pools_change_is_where_it_belongs(
    world: ResourcesWorld,
):
    node_ids = [await world.joined(f"n{number}") for number in range(10)]
    for number, node_id in enumerate(node_ids):
        told = an_inventory()
        told.hostname = f"n{number}"
        told.labels["n"] = str(number)
        pool = a_pool(f"p{number}", selector=PoolSelector(labels={"n": str(number)}))
        await asyncio.gather(world.membership.hello(node_id, told), world.pools.create(ADMIN, pool))
        assert await world.names(pool=f"p{number}") == [f"n{number}"]


async def test_overcommit_is_handed_out_and_no_more(world: ResourcesWorld):
    node_id = await world.joined("n1", labels={"zone": "a"}, cpu_millis=2000)
    await world.pools.create(ADMIN, a_pool(overcommit=Overcommit(cpu_ratio=1.5)))
    jobs = [await world.scheduled.add_job(cpu_millis=1000) for _ in range(4)]
    rows = [await world.scheduled.cycle(job_id) for job_id in jobs]
    assert [bool(row.node_id) for row in rows] == [True, True, True, False]
    big = await shown(world, "big")
    assert (big.capacity.cpu_millis, big.allocatable.cpu_millis) == (2000, 3000)
    assert (big.allocated.cpu_millis, big.available.cpu_millis) == (3000, 0)
    assert big.utilization.cpu_allocated == 1.5
    node = node_message(await world.resources.get(ADMIN, node_id), world.latest, 0)
    assert (node.capacity.cpu_millis, node.allocatable.cpu_millis) == (2000, 3000)
    assert (node.available.cpu_millis, node.pool_id) == (0, "big")


async def test_less_overcommit_under_what_is_held_places_nothing_until_it_fits(
    world: ResourcesWorld,
):
    node_id = await world.joined("n1", labels={"zone": "a"}, cpu_millis=1000)
    await world.pools.create(ADMIN, a_pool(overcommit=Overcommit(cpu_ratio=3)))
    jobs = [await world.scheduled.add_job(cpu_millis=1000) for _ in range(2)]
    for job_id in jobs:
        assert (await world.scheduled.cycle(job_id)).node_id
    await world.pools.update(ADMIN, a_pool(), ["overcommit"])
    node = await world.database.read(lambda tx: tx.nodes.get(node_id))
    assert node is not None
    assert (node.cpu_held, node.cpu_millis, node.shrunk) == (2000, 1000, True)
    late = await world.scheduled.add_job(cpu_millis=1000)
    assert not (await world.scheduled.cycle(late)).node_id
    await world.scheduled.report(jobs[0], "EXITED", exit_code=0, cause=1)
    assert not (await world.scheduled.cycle(late)).node_id
    await world.scheduled.report(jobs[1], "EXITED", exit_code=0, cause=1)
    assert (await world.scheduled.cycle(late)).node_id


async def test_an_exclusive_allocation_holds_all_that_may_be_handed_out(world: ResourcesWorld):
    await world.joined("n1", labels={"zone": "a"}, cpu_millis=2000)
    await world.pools.create(ADMIN, a_pool(overcommit=Overcommit(cpu_ratio=2, memory_ratio=1.5)))
    request = resources_service_pb2.AllocateRequest(project="default")
    request.constraints.exclusive_node = True
    held = await world.scheduled.allocations.allocate(ADMIN, request)
    assert (held.cpu_millis, held.memory_bytes) == (4000, 24 * GIB)


async def test_jobs_are_counted_where_they_are_and_where_they_could_be(world: ResourcesWorld):
    await world.joined("n1", labels={"zone": "a"}, gpus=1)
    await world.pools.create(ADMIN, a_pool(allowed_projects=["default"]))
    running = await world.scheduled.add_job(gpu_count=1)
    await world.scheduled.cycle(running)
    await world.scheduled.report(running, "RUNNING")
    for project in ("default", "vision", "vision"):
        await world.scheduled.add_job(gpu_count=1, project=project)
    big, rest = await shown(world, "big"), await shown(world, "default")
    assert (dict(big.job_counts), big.queue_depth) == ({"RUNNING": 1, "QUEUED": 1}, 1)
    assert (dict(rest.job_counts), rest.queue_depth) == ({"QUEUED": 3}, 3)
    assert (big.allocated.gpu_count, big.available.gpu_count) == (1, 0)
    assert big.utilization.gpu_allocated == 1


async def test_a_job_runs_only_where_its_project_may_and_as_it_chose(world: ResourcesWorld):
    big = await world.joined("a1", labels={"zone": "a"})
    small = await world.joined("b1", labels={"zone": "b"})
    await world.pools.create(ADMIN, a_pool(allowed_projects=["vision"]))
    jobs = world.scheduled
    placed = {
        said: (await jobs.cycle(await jobs.add_job(project=said[0], pool=said[1]))).node_id
        for said in [
            ("default", ""),
            ("vision", "big"),
            ("vision", "default"),
            ("default", "default"),
        ]
    }
    assert placed == {
        ("default", ""): small,
        ("vision", "big"): big,
        ("vision", "default"): small,
        ("default", "default"): small,
    }
    shut_out = await jobs.cycle(await jobs.add_job(project="default", pool="big"))
    assert (shut_out.node_id, shut_out.status_reason) == ("", "POOL_UNAVAILABLE")
    assert shut_out.status_message.startswith("needs a pool that its project may use")


async def test_a_waiting_job_starts_when_its_project_is_let_in(world: ResourcesWorld):
    await world.joined("a1", labels={"zone": "a"})
    await world.pools.create(ADMIN, a_pool(allowed_projects=["vision"]))
    job_id = await world.scheduled.add_job(project="speech")
    waiting = await world.scheduled.cycle(job_id)
    assert waiting.status_reason == "POOL_UNAVAILABLE"
    assert "a node of pool default; no node is in it" in waiting.status_message
    said = a_pool(allowed_projects=["vision", "speech"])
    await world.pools.update(ADMIN, said, ["allowed_projects"])
    assert (await world.scheduled.cycle(job_id)).node_id


async def test_a_job_of_a_pool_that_is_gone_waits_for_one_of_its_name(world: ResourcesWorld):
    await world.joined("a1", labels={"zone": "a"}, cpu_millis=1000)
    await world.pools.create(ADMIN, a_pool())
    await world.scheduled.cycle(await world.scheduled.add_job(pool="big"))
    job_id = await world.scheduled.add_job(pool="big")
    assert (await world.scheduled.cycle(job_id)).status_reason == "INSUFFICIENT_CPU"
    assert (await shown(world, "big")).queue_depth == 1
    assert (await shown(world, "default")).queue_depth == 0
    await world.pools.delete(ADMIN, "big", "")
    waiting = await world.scheduled.cycle(job_id)
    assert waiting.status_reason == "POOL_UNAVAILABLE"
    assert "needs a node of pool big" in waiting.status_message


@pytest.mark.parametrize(
    ("project", "pool", "error", "reason"),
    [
        ("speech", "big", Denied, "POOL_NOT_ALLOWED"),
        ("vision", "gone", InvalidInput, "POOL_NOT_FOUND"),
        ("vision", "default", InvalidInput, "UNSATISFIABLE_RESOURCES"),
        ("speech", "", InvalidInput, "UNSATISFIABLE_RESOURCES"),
    ],
)
async def test_an_allocation_where_it_can_never_be_is_refused(
    world: ResourcesWorld, project: str, pool: str, error: type[WindlassError], reason: str
):
    await world.joined("a1", labels={"zone": "a"})
    await world.pools.create(ADMIN, a_pool(allowed_projects=["vision"]))
    request = resources_service_pb2.AllocateRequest(project=project)
    request.constraints.pool = pool
    with pytest.raises(error) as refused:
        await world.scheduled.allocations.allocate(ADMIN, request)
    assert refused.value.reason == reason
    if reason == "UNSATISFIABLE_RESOURCES":
        assert isinstance(refused.value, InvalidInput)
        assert [one.field for one in refused.value.violations] == ["constraints.pool"]
    request = resources_service_pb2.AllocateRequest(project="vision")
    request.constraints.pool = "big"
    assert (await world.scheduled.allocations.allocate(ADMIN, request)).pool_id == "big"


async def test_what_is_held_is_noted_with_the_pool_that_it_was_taken_from(world: ResourcesWorld):
    await world.joined("n1", labels={"zone": "a"})
    await world.pools.create(ADMIN, a_pool())
    job_id = await world.scheduled.add_job()
    await world.scheduled.cycle(job_id)
    held = await world.scheduled.allocations.allocate(
        ADMIN, resources_service_pb2.AllocateRequest(project="default")
    )
    await world.pools.delete(ADMIN, "big", "")
    (run,) = await world.database.read(lambda tx: tx.runs.of_job(job_id))
    assert (run.pool_id, held.pool_id) == ("big", "big")


async def test_what_idle_gpus_are_worth_to_those_who_wait_for_them(world: ResourcesWorld):
    await world.joined("a1", labels={"zone": "a"}, gpus=8)
    await world.joined("a2", labels={"zone": "a"}, gpus=8)
    await world.joined("b1", labels={"zone": "b"}, gpus=2)
    await world.pools.create(ADMIN, a_pool())
    for _ in range(2):
        await world.scheduled.cycle(await world.scheduled.add_job(gpu_count=6, pool="big"))
    for pool in ("big", "big", ""):
        await world.scheduled.add_job(gpu_count=4, gpu_type="H100", pool=pool)
    await world.scheduled.add_job(gpu_count=1, project="vision", pool="default")

    big = (await shown(world, "big")).fragmentation
    assert big.summary == "4 GPUs idle, all of them useless to your 4-GPU H100 jobs"
    assert (big.idle_gpus, big.index) == (4, 1)
    assert [
        (one.resources.gpu_count, one.waiting_jobs, one.useless_gpus) for one in big.classes
    ] == [(1, 0, 0), (2, 0, 0), (4, 0, 4), (8, 0, 4), (4, 3, 4)]
    rest = (await shown(world, "default")).fragmentation
    assert [(one.waiting_jobs, one.useless_gpus) for one in rest.classes] == [
        (1, 0),
        (0, 0),
        (1, 2),
    ]
    assert rest.summary == "2 GPUs idle, all of them useless to your 4-GPU H100 jobs"
    assert rest.index == 0.5


async def test_what_is_used_is_what_was_measured(world: ResourcesWorld):
    node_id = await world.joined("n1", gpus=2)
    await world.joined("n2", gpus=2)
    unmeasured = (await shown(world, "default")).utilization
    assert not any(unmeasured.HasField(name) for name in ("cpu_used", "memory_used", "gpu_used"))
    world.latest.take(
        node_id,
        samples(
            series("CPU_USED_MILLIS", "", 2000.0),
            series("MEMORY_USED_BYTES", "", 4.0 * GIB),
            series("MEMORY_TOTAL_BYTES", "", 16.0 * GIB),
            series("GPU_UTILIZATION_PERCENT", "GPU-0", 50.0),
            series("GPU_UTILIZATION_PERCENT", "GPU-1", 100.0),
        ).samples,
    )
    used = (await shown(world, "default")).utilization
    assert (used.cpu_used, used.memory_used, used.gpu_used) == (0.25, 0.25, 0.75)


async def test_who_sees_a_pool_sees_only_projects_that_are_its_own(world: ResourcesWorld):
    await world.pools.create(ADMIN, a_pool(allowed_projects=["vision", "default"]))
    assert list((await shown(world, "big")).allowed_projects) == ["vision", "default"]
    theirs = await shown(world, "big", VIEWER)
    assert (list(theirs.allowed_projects), theirs.restricted) == (["default"], True)
    stranger = Caller("s", roles={"speech": Role.VIEWER})
    assert list((await shown(world, "big", stranger)).allowed_projects) == []
    assert not (await shown(world, "default")).restricted


async def test_a_list_goes_by_name_and_by_pages(world: ResourcesWorld):
    for name in ("west", "a", "x"):
        await world.pools.create(ADMIN, a_pool(name))
    first, token = await world.pools.list(VIEWER, size=3, token="")
    second, end = await world.pools.list(VIEWER, size=3, token=token)
    assert [one.row.pool_id for one in first] == ["a", "default", "west"]
    assert ([one.row.pool_id for one in second], end) == (["x"], "")


async def test_there_are_no_more_pools_than_nodes_can_be_asked_about(world: ResourcesWorld):
    for number in range(MAX_POOLS - 1):
        await world.pools.create(ADMIN, a_pool(f"p{number}"))
    with pytest.raises(WrongState) as refused:
        await world.pools.create(ADMIN, a_pool("straw"))
    assert refused.value.reason == "TOO_MANY_POOLS"
    await world.pools.delete(ADMIN, "p7", "")
    await world.pools.create(ADMIN, a_pool("straw"))


BAD: list[tuple[str, Any, type[WindlassError], str]] = [
    (
        "one of that name",
        lambda w: w.pools.create(ADMIN, a_pool("default", selector=None)),
        AlreadyExists,
        "POOL_EXISTS",
    ),
    (
        "selects nothing",
        lambda w: w.pools.create(ADMIN, a_pool(selector=PoolSelector())),
        InvalidInput,
        "pool.selector",
    ),
    (
        "no such project",
        lambda w: w.pools.create(ADMIN, a_pool(allowed_projects=["vision", "no"])),
        InvalidInput,
        "pool.allowed_projects[1]",
    ),
    (
        "the default one selects",
        lambda w: w.pools.update(ADMIN, a_pool("default"), []),
        InvalidInput,
        "pool.selector",
    ),
    (
        "the default one has a priority",
        lambda w: w.pools.update(ADMIN, a_pool("default", selector=None, priority=1), []),
        InvalidInput,
        "pool.priority",
    ),
    (
        "not changeable",
        lambda w: w.pools.update(ADMIN, a_pool("default"), ["capacity"]),
        InvalidInput,
        "update_mask",
    ),
    ("get none", lambda w: w.pools.get(ADMIN, "no"), NotFound, "POOL_NOT_FOUND"),
    ("update none", lambda w: w.pools.update(ADMIN, a_pool("no"), []), NotFound, "POOL_NOT_FOUND"),
    ("delete none", lambda w: w.pools.delete(ADMIN, "no", ""), NotFound, "POOL_NOT_FOUND"),
    ("default", lambda w: w.pools.delete(ADMIN, "default", ""), WrongState, "DEFAULT_POOL"),
    ("etag", lambda w: w.pools.delete(ADMIN, "default", "7"), Conflict, "ETAG_MISMATCH"),
    (
        "etag of an update",
        lambda w: w.pools.update(ADMIN, a_pool("default", selector=None, etag="7"), []),
        Conflict,
        "ETAG_MISMATCH",
    ),
    ("may not make", lambda w: w.pools.create(VIEWER, a_pool()), Denied, "PERMISSION_DENIED"),
    ("may not change", lambda w: w.pools.update(VIEWER, a_pool(), []), Denied, "PERMISSION_DENIED"),
    ("may not remove", lambda w: w.pools.delete(VIEWER, "x", ""), Denied, "PERMISSION_DENIED"),
]


@pytest.mark.parametrize(("call", "error", "why"), [each[1:] for each in BAD])
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    world: ResourcesWorld, call: Any, error: type[WindlassError], why: str
):
    await world.joined("n1", labels={"zone": "a"})
    before = [view.row for view in (await world.pools.list(ADMIN, size=9, token=""))[0]]
    with pytest.raises(error) as refused:
        await call(world)
    violations = [one.field for one in getattr(refused.value, "violations", ())]
    assert why in (refused.value.reason, *violations)
    after = [view.row for view in (await world.pools.list(ADMIN, size=9, token=""))[0]]
    assert after == before
    assert await world.names(pool="default") == ["n1"]
