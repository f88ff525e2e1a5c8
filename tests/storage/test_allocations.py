"""Parts of nodes that are held without a job, on both engines."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass.resources.v1 import allocation_pb2, resources_service_pb2
from windlass.types.v1 import topology_pb2, types_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Conflict, Denied, InvalidInput, NotFound, WrongState
from windlass_server.jobs.states import Status as JobStatus
from windlass_server.resources.allocation_message import allocation_message
from windlass_server.resources.allocation_states import Status
from windlass_server.scheduler.plan import Placement
from windlass_server.storage.allocations import AllocationFilter
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import AllocationRow

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

ADA = Caller("ada", default_project="default", roles={"default": Role.DEVELOPER})
BOB = Caller("bob", default_project="default", roles={"default": Role.DEVELOPER})
STRANGER = Caller("eve", default_project="other", roles={"other": Role.ADMIN})
SECOND = 1_000_000


class World(ScheduledWorld):
    """A cluster of which parts are allocated."""

    async def add_gpu_node(
        self, name: str, gpus: int = 2, zone: str = "", island: int = 1, **more: Any
    ) -> str:
        """One whose GPUs reach so many neighbours; `labels` as in `rack=7,block=a`."""
        labels = more.pop("labels", "")
        inventory = an_inventory(gpus=gpus, **more)
        for number, gpu in enumerate(inventory.gpus):
            first = number // island * island
            peers = range(first, min(first + island, gpus))
            gpu.nvlink_peers.extend(f"GPU-{other}" for other in peers if other != number)
        inventory.labels.update(dict(part.split("=") for part in labels.split(",") if part))
        if zone:
            inventory.labels["zone"] = zone
        return await self.add_node(
            name,
            inventory=inventory.SerializeToString(),
            cpu_millis=inventory.cpu_millis,
            memory_bytes=inventory.memory_bytes,
        )

    async def allocate(
        self, who: Caller = ADA, *, request_id: str = "", ttl: int = 0, **wanted: Any
    ) -> AllocationRow:
        constraints = allocation_pb2.AllocationConstraints(
            exclusive_node=wanted.pop("exclusive", False),
            **{name: wanted.pop(name, ()) for name in ("zones", "racks", "blocks")},
            topology=topology_pb2.Topology(
                required=wanted.pop("required", None),
                preferred=wanted.pop("preferred", None),
                near_allocation_id=wanted.pop("near", ""),
            ),
        )
        request = resources_service_pb2.AllocateRequest(
            resources=types_pb2.ResourceRequest(**wanted),
            constraints=constraints,
            request_id=request_id,
        )
        if ttl:
            request.ttl.FromSeconds(ttl)
        return await self.allocations.allocate(who, request)

    async def held(self, node_id: str) -> tuple[int, int, int]:
        """CPU, memory in GiB and GPUs that are held of a node."""
        node = await self.database.read(lambda tx: tx.nodes.get(node_id))
        claims = await self.database.read(lambda tx: tx.nodes.claims_on(node_id))
        assert node is not None
        return node.cpu_held, node.memory_held // GIB, len(claims)

    async def shares_of(self, node_id: str) -> list[int]:
        """The shares of the GPUs of a node."""
        rows = await self.database.read(lambda tx: tx.gpu_shares.all())
        return [row.millis for row in rows if row.node_id == node_id]

    async def status(self, row: AllocationRow) -> str:
        return Status((await self.allocations.get(ADMIN, row.allocation_id)).status).name


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "other"))
    yield world
    await world.logs.close()


async def test_what_is_allocated_is_held_and_shown(world: World):
    node = await world.add_gpu_node("n")
    row = await world.allocate(cpu_millis=500, memory_bytes=GIB, gpu_count=2, gpu_type="h100")
    assert await world.held(node) == (500, 1, 2)
    shown = allocation_message(row)
    assert (shown.node_id, shown.user, shown.project) == (node, "ada", "default")
    assert list(shown.gpu_uuids) == ["GPU-0", "GPU-1"]
    assert shown.status == allocation_pb2.Allocation.ACTIVE
    assert shown.expire_time.ToSeconds() - shown.create_time.ToSeconds() == shown.ttl.seconds == 600


async def test_jobs_do_not_get_what_is_allocated_until_it_is_given_back(world: World):
    await world.add_gpu_node("n", cpu_millis=64_000)
    row = await world.allocate(gpu_count=2)
    job = await world.add_job(gpu_count=1)
    assert (await world.cycle(job)).status_reason == "INSUFFICIENT_GPUS"
    await world.allocations.release(ADA, row.allocation_id, force=False)
    assert (await world.cycle(job)).status == JobStatus.SCHEDULED


async def test_the_end_of_a_job_beside_it_takes_nothing_from_an_allocation(world: World):
    node = await world.add_gpu_node("n")
    await world.allocate(cpu_millis=500, memory_bytes=GIB, gpu_count=1)
    job = await world.add_job(gpu_count=1)
    await world.cycle(job)
    await world.report(job, "EXITED", cause="COMPLETED", exit_code=0)
    assert await world.held(node) == (500, 1, 1)


@pytest.mark.parametrize(
    ("wanted", "error", "reason", "dimension"),
    [
        ({"gpu_count": 3}, InvalidInput, "UNSATISFIABLE_RESOURCES", "gpu_count"),
        ({"gpu_count": 1, "gpu_type": "B200"}, InvalidInput, "UNSATISFIABLE_RESOURCES", "gpu_type"),
        ({"cpu_millis": 9000}, InvalidInput, "UNSATISFIABLE_RESOURCES", "cpu_millis"),
        ({"zones": ["moon"]}, InvalidInput, "UNSATISFIABLE_RESOURCES", "zones"),
        ({"gpu_count": 2}, Conflict, "INSUFFICIENT_GPUS", "gpu_count"),
        ({"cpu_millis": 8000}, Conflict, "INSUFFICIENT_CPU", "cpu_millis"),
        ({"exclusive": True}, Conflict, "NO_EMPTY_NODE", "exclusive_node"),
    ],
)
async def test_more_than_there_is_is_refused_by_its_dimension_and_nothing_is_held(
    world: World, wanted: dict[str, Any], error: type[Any], reason: str, dimension: str
):
    node = await world.add_gpu_node("n", zone="earth")
    await world.allocate(gpu_count=1)
    before = await world.held(node)
    with pytest.raises(error) as refused:
        await world.allocate(**wanted)
    assert (refused.value.reason, refused.value.metadata["dimension"]) == (reason, dimension)
    assert await world.held(node) == before


async def test_without_a_node_an_allocation_is_refused_and_does_not_wait(world: World):
    with pytest.raises(Conflict) as refused:
        await world.allocate()
    assert refused.value.reason == "NO_NODES"


async def test_an_exclusive_node_is_held_whole(world: World):
    node = await world.add_gpu_node("n")
    row = await world.allocate(exclusive=True, gpu_count=1)
    assert await world.held(node) == (8000, 16, 2)
    assert allocation_message(row).resources.gpu_count == 2
    job = await world.add_job(cpu_millis=1)
    assert (await world.cycle(job)).status == JobStatus.QUEUED


async def test_allocations_and_jobs_share_a_gpu_until_it_is_full(world: World):
    await world.share_gpus()
    node = await world.add_gpu_node("n", gpus=1)
    row = await world.allocate(gpu_millis=600, gpu_type="H100")
    shown = allocation_message(row)
    assert (shown.resources.gpu_count, shown.resources.gpu_millis) == (1, 600)
    job = await world.cycle(await world.add_job(gpu_count=1, gpu_millis=400))
    assert (job.status, job.gpu_uuids) == (JobStatus.SCHEDULED, row.gpu_uuids)
    with pytest.raises(Conflict) as refused:
        await world.allocate(gpu_millis=1)
    dimension = refused.value.metadata["dimension"]
    assert (refused.value.reason, dimension) == ("INSUFFICIENT_GPU_SHARE", "gpu_millis")
    with pytest.raises(Conflict) as refused:
        await world.allocate(gpu_count=1)
    assert refused.value.reason == "INSUFFICIENT_GPUS"
    await world.allocations.release(ADA, row.allocation_id, force=False)
    assert await world.shares_of(node) == [400]


@pytest.mark.parametrize(("millis", "placed"), [(250, 4), (400, 2), (999, 1)])
async def test_of_many_that_ask_at_once_as_many_get_a_share_as_fit(
    world: World, millis: int, placed: int
):
    await world.share_gpus()
    node = await world.add_gpu_node("n", gpus=1)
    asked = (world.allocate(gpu_millis=millis, cpu_millis=1) for _ in range(6))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    reasons = [one.reason for one in answers if isinstance(one, Conflict)]
    assert reasons == ["INSUFFICIENT_GPU_SHARE"] * (6 - placed)
    claims = await world.database.read(lambda tx: tx.nodes.claims_on(node))
    assert [claim.shared_millis for claim in claims] == [millis * placed]


@pytest.mark.parametrize(
    ("most", "enabled", "refusal"),
    [(0, False, "GPU_SHARING_NOT_ALLOWED"), (2, True, "INSUFFICIENT_GPU_SHARE")],
)
async def test_a_share_is_had_only_as_the_pool_allows_and_what_is_shared_stays(
    world: World, most: int, enabled: bool, refusal: str
):
    await world.share_gpus()
    node = await world.add_gpu_node("n", gpus=1)
    held = [await world.allocate(gpu_millis=100) for _ in range(2)]
    await world.share_gpus(most, enabled=enabled)
    with pytest.raises((InvalidInput, Conflict)) as refused:
        await world.allocate(gpu_millis=100)
    assert refused.value.reason == refusal
    assert await world.shares_of(node) == [100, 100]
    renewed = await world.allocations.renew(ADA, held[0].allocation_id, None)
    assert Status(renewed.status) is Status.ACTIVE


async def test_a_placement_that_was_planned_before_sharing_was_switched_off_is_refused(
    world: World,
):
    await world.share_gpus()
    node = await world.add_gpu_node("n", gpus=1)
    job = await world.job(await world.add_job(gpu_count=1, gpu_millis=400))
    await world.share_gpus(enabled=False)
    placement = Placement(job.job_id, node, ("GPU-0",))
    assert not await world.runs.place(placement, attempt=1, version=job.version, epoch=1)
    assert await world.held(node) == (0, 0, 0)


async def test_only_nodes_of_the_zones_are_taken(world: World):
    await world.add_gpu_node("a", zone="a")
    wanted = await world.add_gpu_node("b", zone="b", cpu_millis=64_000)
    assert (await world.allocate(zones=["b", "c"])).node_id == wanted


async def test_of_many_that_ask_at_once_as_many_get_a_gpu_as_there_are(world: World):
    node = await world.add_gpu_node("n", gpus=2)
    answers = await asyncio.gather(
        *(world.allocate(gpu_count=1, cpu_millis=1) for _ in range(5)), return_exceptions=True
    )
    given = [one for one in answers if not isinstance(one, BaseException)]
    assert sorted(one.gpu_uuids for one in given) == ["GPU-0", "GPU-1"]
    assert all(isinstance(one, Conflict) for one in answers if isinstance(one, BaseException))
    assert (await world.held(node))[::2] == (2, 2)


async def test_fencing_tokens_only_rise(world: World):
    await world.add_gpu_node("n")
    tokens = []
    for _ in range(3):
        row = await world.allocate()
        tokens.append(row.sequence)
        await world.allocations.release(ADA, row.allocation_id, force=False)
    assert tokens == sorted(set(tokens))


async def test_what_is_not_renewed_is_taken_back(world: World):
    node = await world.add_gpu_node("n")
    gone, stays = await world.allocate(ttl=60), await world.allocate(ttl=60)
    world.clock.advance(30)
    renewed = await world.allocations.renew(ADA, stays.allocation_id, 90 * SECOND)
    assert renewed.expires_at == world.clock.now() + 90 * SECOND
    world.clock.advance(30)
    await world.allocations.expire()
    assert [await world.status(one) for one in (gone, stays)] == ["EXPIRED", "ACTIVE"]
    assert (await world.held(node))[0] == 1000
    world.clock.advance(60)
    await world.allocations.expire()
    assert await world.status(stays) == "EXPIRED"
    assert await world.held(node) == (0, 0, 0)


async def test_what_is_overdue_cannot_be_renewed_though_nobody_has_looked(world: World):
    await world.add_gpu_node("n")
    row = await world.allocate(ttl=60)
    world.clock.advance(60)
    with pytest.raises(WrongState, match="an allocation that is EXPIRED cannot be renewed"):
        await world.allocations.renew(ADA, row.allocation_id, None)


async def test_a_release_is_harmless_when_repeated_and_does_not_hide_an_earlier_end(world: World):
    node = await world.add_gpu_node("n")
    row = await world.allocate(ttl=60)
    for _ in range(2):
        released = await world.allocations.release(ADA, row.allocation_id, force=False)
        assert released.status == Status.RELEASED
    late = await world.allocate(ttl=60)
    world.clock.advance(60)
    await world.allocations.expire()
    released = await world.allocations.release(ADA, late.allocation_id, force=True)
    assert released.status == Status.EXPIRED
    assert await world.held(node) == (0, 0, 0)


@pytest.mark.parametrize(
    ("who", "force", "error"),
    [
        (ADA, False, None),
        (ADA, True, None),
        (BOB, False, Denied),
        (BOB, True, Denied),
        (ADMIN, False, Denied),
        (ADMIN, True, None),
        (STRANGER, True, NotFound),
    ],
)
async def test_its_holder_gives_it_back_or_an_administrator_by_force(
    world: World, who: Caller, force: bool, error: type[Exception] | None
):
    await world.add_gpu_node("n")
    row = await world.allocate()
    if error is None:
        await world.allocations.release(who, row.allocation_id, force=force)
        assert await world.status(row) == "RELEASED"
        return
    with pytest.raises(error):
        await world.allocations.release(who, row.allocation_id, force=force)
    assert await world.status(row) == "ACTIVE"


async def test_a_foreign_allocation_is_answered_like_one_that_there_is_not(world: World):
    await world.add_gpu_node("n")
    row = await world.allocate()
    said = []
    for allocation_id in (row.allocation_id, "alloc-none"):
        with pytest.raises(NotFound) as refused:
            await world.allocations.get(STRANGER, allocation_id)
        said.append(refused.value.message.replace(allocation_id, "…"))
    assert said[0] == said[1]


async def test_a_request_id_makes_one_allocation(world: World):
    await world.add_gpu_node("n")
    first = await world.allocate(request_id="once", gpu_count=1)
    again = await world.allocate(request_id="once", gpu_count=1)
    assert first.allocation_id == again.allocation_id
    with pytest.raises(Conflict) as refused:
        await world.allocate(request_id="once", gpu_count=2)
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_an_unknown_project_is_not_found(world: World):
    await world.add_gpu_node("n")
    request = resources_service_pb2.AllocateRequest(project="none")
    with pytest.raises(NotFound, match="there is no project 'none'"):
        await world.allocations.allocate(ADMIN, request)


async def test_pages_lead_through_the_allocations_that_match_newest_first(world: World):
    node = await world.add_gpu_node("n", cpu_millis=64_000)
    made = [await world.allocate() for _ in range(5)]
    await world.allocations.release(ADA, made[2].allocation_id, force=False)
    wanted = AllocationFilter("default", status=int(Status.ACTIVE), node_id=node, user="ada")
    seen, token = [], ""
    while True:
        page, token = await world.allocations.list(ADA, wanted, size=2, token=token)
        seen += [row.allocation_id for row in page]
        if not token:
            break
    assert seen == [made[index].allocation_id for index in (4, 3, 1, 0)]
    nobodys = AllocationFilter("default", user="nobody")
    assert await world.allocations.list(ADA, nobodys, size=2, token="") == ([], "")
    with pytest.raises(Denied):
        await world.allocations.list(STRANGER, wanted, size=2, token="")


def shown_level(row: AllocationRow) -> str:
    return topology_pb2.Topology.Level.Name(allocation_message(row).topology_level)


async def test_gpus_are_given_so_that_islands_stay_whole(world: World):
    await world.add_gpu_node("n", gpus=8, island=4)
    assert (await world.allocate(gpu_count=3)).gpu_uuids == "GPU-0,GPU-1,GPU-2"
    four = await world.allocate(gpu_count=4)
    assert (four.gpu_uuids, shown_level(four)) == ("GPU-4,GPU-5,GPU-6,GPU-7", "NVLINK")
    assert shown_level(await world.allocate()) == "LEVEL_UNSPECIFIED"


async def test_gpus_that_reach_each_other_are_preferred_wherever_they_are_and_can_be_required(
    world: World,
):
    await world.add_gpu_node("a", gpus=4, island=2, cpu_millis=4000)
    wide = await world.add_gpu_node("b", gpus=4, island=4, cpu_millis=64_000)
    held = await world.allocate(gpu_count=4, preferred="NVLINK")
    assert (held.node_id, shown_level(held)) == (wide, "NVLINK")
    apart = await world.allocate(gpu_count=3, preferred="NVLINK")
    assert shown_level(apart) == "NODE"
    await world.allocations.release(ADA, apart.allocation_id, force=False)
    with pytest.raises(Conflict) as refused:
        await world.allocate(gpu_count=3, required="NVLINK")
    assert refused.value.reason == "TOPOLOGY_UNAVAILABLE"
    assert refused.value.metadata["dimension"] == "topology"
    assert "there is room, but not within one NVLink island" in refused.value.message
    with pytest.raises(Conflict) as lacking:
        await world.allocate(gpu_count=4, cpu_millis=32_000, required="NVLINK")
    assert lacking.value.metadata["dimension"] == "gpu_count"  # wherever they were
    await world.allocations.release(ADA, held.allocation_id, force=False)
    assert shown_level(await world.allocate(gpu_count=3, required="NVLINK")) == "NVLINK"


@pytest.mark.parametrize(
    ("wanted", "error", "reason", "says"),
    [
        (
            {"gpu_count": 3, "required": "NVLINK"},
            InvalidInput,
            "UNSATISFIABLE_RESOURCES",
            "within one NVLink island: needs 3 GPUs; the most on one node is 2 (node n)",
        ),
        (
            {"gpu_count": 1, "exclusive": True, "required": "NVLINK"},
            InvalidInput,
            "UNSATISFIABLE_RESOURCES",
            "there is no node that meets what else is asked for",
        ),
        ({"racks": ["8"]}, InvalidInput, "UNSATISFIABLE_RESOURCES", "no node is in rack 8"),
        (
            {"blocks": ["b", "a"], "racks": ["7"]},
            InvalidInput,
            "UNSATISFIABLE_RESOURCES",
            "no node is in block a or b",
        ),
        ({"required": "NVLINK"}, InvalidInput, "TOPOLOGY_WITHOUT_GPUS", "asks for none"),
        ({"required": "NODE", "near": "alloc-0"}, NotFound, "ALLOCATION_NOT_FOUND", ""),
    ],
)
async def test_a_topology_that_cannot_be_is_refused_with_its_reason(
    world: World, wanted: dict[str, Any], error: type[Any], reason: str, says: str
):
    await world.add_gpu_node("n", gpus=4, island=2, labels="rack=7")
    with pytest.raises(error) as refused:
        await world.allocate(**wanted)
    assert refused.value.reason == reason
    assert says in refused.value.message


async def test_racks_and_blocks_are_labels_of_nodes(world: World):
    nodes = {
        name: await world.add_gpu_node(name, labels=labels)
        for name, labels in {"a": "rack=1,block=x", "b": "rack=2,block=x", "c": ""}.items()
    }
    assert (await world.allocate(racks=["2", "3"])).node_id == nodes["b"]
    assert (await world.allocate(blocks=["x"], racks=["1"])).node_id == nodes["a"]


@pytest.mark.parametrize(
    ("level", "where"), [("NODE", ["n1"]), ("RACK", ["n1", "n2"]), ("BLOCK", ["n1", "n2", "n3"])]
)
async def test_an_allocation_is_near_to_another(world: World, level: str, where: list[str]):
    names = {await world.add_gpu_node("n1", gpus=1, labels="zone=z,block=x,rack=1"): "n1"}
    anchor = (await world.allocate()).allocation_id
    for name, labels in {
        "n2": "zone=z,block=x,rack=1",
        "n3": "zone=z,block=x,rack=2",
        "n4": "zone=z,block=y,rack=1",  # another block's rack of that name
        "n5": "zone=y,block=x,rack=1",
        "n6": "",
    }.items():
        names[await world.add_gpu_node(name, gpus=1, labels=labels)] = name
    near = {"gpu_count": 1, "near": anchor}
    given = [await world.allocate(required=level, **near) for _ in where]
    assert sorted(names[one.node_id] for one in given) == where
    with pytest.raises(Conflict) as refused:
        await world.allocate(required=level, **near)
    assert f"the {level.lower()} of {anchor}" in refused.value.message
    assert names[(await world.allocate(preferred=level, **near)).node_id] not in where


async def test_gpus_can_be_had_on_the_island_of_another_allocation(world: World):
    await world.add_gpu_node("n", gpus=8, island=4)
    anchor = await world.allocate(gpu_count=1)
    near = {"near": anchor.allocation_id, "required": "NVLINK"}
    assert (await world.allocate(gpu_count=2, **near)).gpu_uuids == "GPU-1,GPU-2"
    with pytest.raises(Conflict) as refused:
        await world.allocate(gpu_count=2, **near)
    assert f"not within the NVLink island of {anchor.allocation_id}" in refused.value.message
    with pytest.raises(InvalidInput) as never:
        await world.allocate(gpu_count=4, **near)
    assert never.value.metadata["dimension"] == "topology"


async def test_nobody_is_near_to_what_is_given_back_or_foreign(world: World):
    await world.add_gpu_node("n")
    row = await world.allocate(gpu_count=1)
    near = {"near": row.allocation_id, "preferred": "NODE"}
    with pytest.raises(NotFound):
        await world.allocate(STRANGER, **near)
    await world.allocations.release(ADA, row.allocation_id, force=False)
    with pytest.raises(WrongState) as ended:
        await world.allocate(**near)
    assert ended.value.reason == "ALLOCATION_ENDED"
