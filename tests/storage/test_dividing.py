"""Cards are divided for jobs: from the queue to the node and back, on both engines."""

from pathlib import Path
from typing import Any

import pytest

from tests.storage.test_preemption import store_policy
from tests.support.divisible import divisible
from tests.support.resources_world import ADMIN, ResourcesWorld
from windlass.agents.v1 import agent_pb2
from windlass.resources.v1 import node_pb2, resources_service_pb2, scheduling_policy_pb2
from windlass_server.errors import Conflict
from windlass_server.jobs.states import Status
from windlass_server.resources.node_message import node_message
from windlass_server.scheduler.partition import Change
from windlass_server.scheduler.plan import Placement
from windlass_server.scheduler.snapshot import Instance
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow

pytestmark = pytest.mark.usefixtures("acting")


class World:
    """A node that says what a test lets it say."""

    def __init__(self, world: ResourcesWorld) -> None:
        self.world = world
        self.node_id = ""

    async def joined(self, *layouts: str | None) -> None:
        token = await self.world.resources.create_join_token(ADMIN, None)
        inventory = divisible(*layouts)
        self.node_id = await self.world.membership.join(token.text, b"k" * 32, inventory)
        await self.world.membership.hello(self.node_id, inventory)

    async def says(self, *layouts: str | None, **values: Any) -> None:
        """The node has something else, within its session."""
        await self.world.membership.restock(self.node_id, divisible(*layouts, **values))

    async def submitted(self, **values: Any) -> str:
        asked = {"gpu_count": 1, "cpu_millis": 100, "memory_bytes": 1} | values
        return await self.world.scheduled.add_job(**asked)

    async def cycle(self, job_id: str) -> JobRow:
        return await self.world.scheduled.cycle(job_id)

    async def told(self) -> list[tuple[str, int, str]]:
        """What the node is told: card, generation, and instances."""
        return [
            (
                one.card_uuid,
                one.generation,
                " ".join(f"{each.profile}@{each.memory_start}" for each in one.instances),
            )
            for one in await self.world.membership.layouts(self.node_id)
        ]

    async def shown(self) -> node_pb2.Node:
        view = await self.world.resources.get(ADMIN, self.node_id)
        return node_message(view, self.world.latest, self.world.clock.now())

    async def events(self) -> list[str]:
        rows = await self.world.database.read(
            lambda tx: tx.events.page(self.node_id, after=0, size=100)
        )
        return [row.reason for row in rows if row.reason.startswith("GPU_LAYOUT")]


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    return World(await ResourcesWorld.start(database, tmp_path))


async def test_a_card_is_divided_for_a_job_and_made_whole_for_another(world: World) -> None:
    await world.joined(None)
    part = await world.submitted(mig_profile="1g.10gb")

    job = await world.cycle(part)
    assert (job.status_reason, job.status_message) == (
        "GPU_LAYOUT_CHANGING",
        "a card of node rack1-n1 is being divided for it",
    )
    assert await world.told() == [("GPU-0", 1, "1g.10gb@6")]
    assert world.world.scheduled.layouts_changed == [world.node_id]
    # Nothing more is wanted while that is under way, and nobody gets the card.
    whole = await world.submitted(gpu_type="H100")
    assert (await world.cycle(whole)).status_reason == "INSUFFICIENT_GPUS"
    assert await world.told() == [("GPU-0", 1, "1g.10gb@6")]
    shown = await world.shown()
    assert shown.cards[0].layout_state == node_pb2.GpuCard.CHANGING
    assert shown.available.gpu_count == 0

    await world.says("1g.10gb@6", generations={0: 1})
    job = await world.cycle(part)
    assert (job.status_reason, job.gpu_uuids) == ("PLACED", "MIG-0-6")
    assert await world.told() == []
    (run,) = await world.world.database.read(lambda tx: tx.runs.of_job(part))
    assert run.gpu_types == "H100-1g.10gb"

    # The whole card is wanted, and comes when nobody has a part of it any more.
    world.world.clock.advance(10)
    assert (await world.cycle(whole)).status_reason == "INSUFFICIENT_GPUS"
    await world.world.scheduled.report(part, "EXITED", exit_code=0, cause=1, log_end=0)
    job = await world.cycle(whole)
    assert job.status_message == "a card of node rack1-n1 is being made whole for it"
    assert await world.told() == [("GPU-0", 2, "")]
    await world.says(None, generations={0: 2})
    assert (await world.cycle(whole)).gpu_uuids == "GPU-0"
    assert await world.events() == ["GPU_LAYOUT_CHANGING", "GPU_LAYOUT_DONE"] * 2
    assert (await world.shown()).maintenance.state == node_pb2.Maintenance.OPEN


async def test_a_card_is_made_free_of_another_job_and_divided(world: World) -> None:
    spec = scheduling_policy_pb2.Preemption(enabled=True)
    spec.min_run_time.FromSeconds(60)
    await store_policy(world.world.database, spec)
    await world.joined(None)
    low = await world.submitted(gpu_type="H100")
    await world.cycle(low)
    await world.world.scheduled.report(low, "RUNNING")
    world.world.clock.advance(120)

    part = await world.submitted(mig_profile="1g.10gb", priority=100)
    job = await world.cycle(part)
    assert (job.status_reason, job.status_message) == (
        "MAKING_ROOM",
        "1 job is being stopped for it on node rack1-n1",
    )
    await world.cycle(part)
    assert await world.told() == []
    # When it has left the card is nobody else's, also not while it is being divided.
    await world.world.scheduled.report(low, "EXITED", cause=2, log_end=0)
    small = await world.submitted(gpu_type="H100")
    for _ in range(2):
        job = await world.cycle(part)
        assert job.status_reason == "GPU_LAYOUT_CHANGING"
        assert (await world.world.scheduled.job(small)).status == Status.QUEUED
    assert await world.told() == [("GPU-0", 1, "1g.10gb@6")]
    # One that was only just submitted does not get it either.
    late = await world.submitted(mig_profile="1g.10gb")
    await world.says("1g.10gb@6", generations={0: 1})
    world.world.scheduled.scheduling.job_queued(late)
    await world.world.scheduled.scheduling.cycle()
    kept = await world.world.database.read(lambda tx: tx.preemptions.kept())
    assert [row.for_job_id for row in kept] == [part]
    job = await world.cycle(part)
    assert (job.status_reason, job.gpu_uuids) == ("PLACED", "MIG-0-6")
    await world.cycle(small)
    assert await world.world.database.read(lambda tx: tx.preemptions.kept()) == []


async def test_nothing_is_kept_when_the_card_cannot_be_divided(world: World) -> None:
    spec = scheduling_policy_pb2.Preemption(enabled=True)
    spec.min_run_time.FromSeconds(60)
    await store_policy(world.world.database, spec)
    await world.joined(None)
    low = await world.submitted(gpu_type="H100")
    await world.cycle(low)
    await world.world.scheduled.report(low, "RUNNING")
    world.world.clock.advance(120)
    part = await world.submitted(mig_profile="1g.10gb", priority=100)
    await world.cycle(part)
    await world.world.scheduled.report(low, "EXITED", cause=2, log_end=0)
    await world.cycle(part)
    await world.says(None, generations={0: 1}, problems={0: "another process uses the card"})
    for _ in range(2):
        assert (await world.cycle(part)).status_reason == "INSUFFICIENT_GPUS"
    assert await world.world.database.read(lambda tx: tx.preemptions.kept()) == []
    assert (await world.world.scheduled.job(low)).status == Status.SCHEDULED


async def test_the_smallest_part_that_is_enough_is_made(world: World) -> None:
    await world.joined(None)
    await world.cycle(await world.submitted(gpu_memory_bytes=15 << 30))
    assert await world.told() == [("GPU-0", 1, "3g.40gb@4")]


async def test_a_card_that_cannot_be_divided_is_given_back_and_left_alone(world: World) -> None:
    await world.joined(None)
    part = await world.submitted(mig_profile="1g.10gb")
    await world.cycle(part)
    await world.says(None, generations={0: 1}, problems={0: "another process uses the card"})

    assert await world.told() == []
    (card,) = (await world.shown()).cards
    assert card.layout_state == node_pb2.GpuCard.FAILED
    assert card.layout_message == "another process uses the card"
    assert (await world.cycle(part)).status_reason == "INSUFFICIENT_GPUS"
    # Whoever only needs the memory takes it as it is.
    big = await world.submitted(gpu_memory_bytes=5 << 30)
    assert (await world.cycle(big)).gpu_uuids == "GPU-0"
    assert await world.events() == ["GPU_LAYOUT_CHANGING", "GPU_LAYOUT_FAILED"]


async def test_it_is_tried_again_after_a_while(world: World) -> None:
    await world.joined(None)
    part = await world.submitted(mig_profile="1g.10gb")
    await world.cycle(part)
    await world.says(None, generations={0: 1}, problems={0: "another process uses the card"})
    world.world.clock.advance(301)
    await world.cycle(part)
    assert await world.told() == [("GPU-0", 2, "1g.10gb@6")]


@pytest.mark.parametrize("generation", [0, 1])
async def test_a_node_that_comes_back_says_what_became_of_it(world: World, generation: int) -> None:
    """An agent that was started anew knows no generation, and is told again."""
    await world.joined(None)
    await world.cycle(await world.submitted(mig_profile="1g.10gb"))
    has = divisible("1g.10gb@6", generations={0: generation})
    await world.world.membership.lost(world.node_id, seen_at=world.world.clock.now() + 1)
    world.world.clock.advance(1)
    await world.world.membership.hello(world.node_id, has)
    assert await world.told() == ([] if generation else [("GPU-0", 1, "1g.10gb@6")])


@pytest.mark.parametrize(
    ("_case", "has"),
    [
        ("it may not be divided any more", divisible(None, may_be_divided=False)),
        ("it is gone", divisible()),
    ],
)
async def test_what_can_not_be_divided_any_more_is_given_up(
    world: World, _case: str, has: agent_pb2.Inventory
) -> None:
    await world.joined(None)
    await world.cycle(await world.submitted(mig_profile="1g.10gb"))
    await world.world.membership.hello(world.node_id, has)
    assert await world.told() == []
    assert await world.world.database.read(lambda tx: tx.nodes.all_claims()) == []


async def test_a_node_that_was_told_by_another_server_is_told_a_higher_generation(
    world: World,
) -> None:
    await world.joined(None)
    await world.says(None, generations={0: 40})
    await world.cycle(await world.submitted(mig_profile="1g.10gb"))
    assert await world.told() == [("GPU-0", 41, "1g.10gb@6")]


async def test_a_plan_that_the_world_has_overtaken_changes_nothing(world: World) -> None:
    await world.joined("1g.10gb@6")
    layouts = world.world.scheduled.layouts

    def merge(*seen: str, card: str = "GPU-0", node_id: str = "") -> Change:
        return Change(node_id or world.node_id, card, frozenset(seen), ())

    part = await world.submitted(mig_profile="1g.10gb")
    assert (await world.cycle(part)).gpu_uuids == "MIG-0-6"
    for late in (
        merge(),
        merge("MIG-0-6", "MIG-0-5"),
        merge("MIG-0-6"),
        merge("MIG-0-6", card="GPU-9"),
        merge("MIG-0-6", node_id="node-gone"),
    ):
        assert not await layouts.begin(late, 1)
    await world.world.scheduled.report(part, "EXITED", exit_code=0, cause=1, log_end=0)
    await world.world.database.write(lambda tx: tx.nodes.change(world.node_id, maintenance=2))
    assert not await layouts.begin(merge("MIG-0-6"), 1)
    await world.world.database.write(lambda tx: tx.nodes.change(world.node_id, maintenance=1))
    assert await layouts.begin(merge("MIG-0-6"), 1)
    # While it is under way no other is, whichever server planned it.
    assert not await layouts.begin(
        Change(world.node_id, "GPU-0", frozenset({"MIG-0-6"}), (Instance("3g.40gb", 0),)), 1
    )
    assert await world.told() == [("GPU-0", 1, "")]


async def test_no_run_is_placed_on_what_is_gone(world: World) -> None:
    """The plan was made before the card was divided, and is carried out behind it."""
    await world.joined(None)
    job_id = await world.submitted(gpu_type="H100")
    await world.says("1g.10gb@6", generations={0: 1})
    placed = await world.world.scheduled.runs.place(
        Placement(job_id, world.node_id, ("GPU-0",)), attempt=1, version=1, epoch=1
    )
    assert not placed
    assert await world.world.database.read(lambda tx: tx.nodes.all_claims()) == []


async def test_an_allocation_gets_an_instance_or_is_refused(world: World) -> None:
    await world.joined("1g.10gb@6")
    request = resources_service_pb2.AllocateRequest(project="default")
    request.resources.mig_profile = "1g.10gb"
    request.resources.cpu_millis = 100
    held = await world.world.scheduled.allocations.allocate(ADMIN, request)
    assert (held.gpu_uuids, held.gpu_types, held.mig_profile) == (
        "MIG-0-6",
        "H100-1g.10gb",
        "1g.10gb",
    )
    request.resources.mig_profile = "7g.80gb"
    with pytest.raises(Conflict) as refused:
        await world.world.scheduled.allocations.allocate(ADMIN, request)
    assert refused.value.reason == "INSUFFICIENT_GPUS"


async def test_an_allocation_is_not_kept_waiting_for_a_card_to_be_divided(world: World) -> None:
    await world.joined(None)
    request = resources_service_pb2.AllocateRequest(project="default")
    request.resources.mig_profile, request.resources.cpu_millis = "1g.10gb", 100
    with pytest.raises(Conflict) as refused:
        await world.world.scheduled.allocations.allocate(ADMIN, request)
    assert refused.value.reason == "INSUFFICIENT_GPUS"
    request.resources.ClearField("mig_profile")
    request.resources.gpu_memory_bytes = 5 << 30
    held = await world.world.scheduled.allocations.allocate(ADMIN, request)
    assert held.gpu_uuids == "GPU-0"
    assert await world.told() == []


async def test_a_removed_node_leaves_nothing_behind(world: World) -> None:
    await world.joined(None)
    await world.cycle(await world.submitted(mig_profile="1g.10gb"))
    await world.world.membership.lost(world.node_id, seen_at=world.world.clock.now() + 1)
    await world.world.removal.delete(ADMIN, world.node_id, force=False)
    assert await world.world.database.read(lambda tx: tx.nodes.all_claims()) == []
    assert await world.world.database.read(lambda tx: tx.layouts.all()) == []


async def test_a_node_that_was_given_up_says_hello_before_anything_else(world: World) -> None:
    await world.joined(None)
    await world.world.membership.lost(world.node_id, seen_at=world.world.clock.now() + 1)
    with pytest.raises(Conflict) as refused:
        await world.says("1g.10gb@6")
    assert refused.value.reason == "NODE_GIVEN_UP"
