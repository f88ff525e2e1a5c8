"""Nodes join, come, go and are shown, on both engines."""

import asyncio
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.fake_agent import samples, series
from tests.support.fake_clock import FakeClock
from tests.support.health import health_service
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, add_run, an_inventory, hold_all
from windlass.agents.v1 import agent_pb2
from windlass.agents.v1.agent_pb2 import Series
from windlass.resources.v1 import node_pb2
from windlass.types.v1.gpu_pb2 import Mig, Throttle
from windlass_server.access.authenticator import Authenticator
from windlass_server.access.join_tokens import JoinTokens
from windlass_server.access.policy import Caller, Role
from windlass_server.access.service import AccessService
from windlass_server.access.tokens import UserTokens
from windlass_server.controllers.node_liveness import NodeLiveness
from windlass_server.errors import Conflict, Denied, InvalidInput, NotFound, Unauthenticated
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.resources.layouts import LayoutsService
from windlass_server.resources.membership import Membership
from windlass_server.resources.node_message import node_message
from windlass_server.resources.service import NodeFilter, ResourcesService
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.latest import LatestTelemetry

pytestmark = pytest.mark.usefixtures("acting")

ADMIN = Caller("ada", organisation_role=Role.ADMIN, default_project="default")
KEY = b"k" * 32


@dataclass
class World:
    database: Database
    clock: FakeClock = field(default_factory=FakeClock)
    changes: int = 0

    def __post_init__(self) -> None:
        self.latest = LatestTelemetry(self.clock)
        tokens = UserTokens(Ed25519PrivateKey.generate())
        page_tokens = PageTokens(b"page")
        access = AccessService(
            self.database,
            self.clock,
            Authenticator(self.database, self.clock, b"keys", tokens),
            tokens,
            JoinTokens(b"join"),
            b"keys",
            page_tokens,
        )
        ids = IdSource(self.clock)
        self.membership = Membership(
            self.database,
            access,
            self.latest,
            self.clock,
            ids,
            self.capacity_changed,
            health_service(self.database, self.clock),
            LayoutsService(self.database, self.clock, lambda _node_id: None),
        )
        self.resources = ResourcesService(self.database, access, page_tokens)

    def capacity_changed(self) -> None:
        self.changes += 1

    def liveness(self) -> NodeLiveness:
        """What one server looks after its nodes with."""
        return NodeLiveness(self.membership, self.clock, 30)

    async def looked(self, servers: list[NodeLiveness], *, seconds: int) -> None:
        """Time passes, and these servers look at the same time: once in ten seconds, and then once."""
        for _ in range(seconds // 10):
            await asyncio.gather(*(one.cycle() for one in servers))
            self.clock.advance(10)
        await asyncio.gather(*(one.cycle() for one in servers))

    async def token(self, uses: int = 1) -> str:
        return (await self.resources.create_join_token(ADMIN, None, max_uses=uses)).text

    async def joined(self, key: bytes = KEY, **inventory: object) -> str:
        told = an_inventory(**inventory)  # type: ignore[arg-type]
        return await self.membership.join(await self.token(), key, told)

    async def node(self, node_id: str, who: Caller = ADMIN) -> node_pb2.Node:
        return node_message(await self.resources.get(who, node_id), self.latest, self.clock.now())

    async def events(self, node_id: str) -> list[tuple[str, int]]:
        rows = await self.database.read(lambda tx: tx.events.page(node_id, after=0, size=99))
        return [(row.reason, row.status) for row in rows]


@pytest.fixture
async def world(database: Database) -> World:
    await database.write(lambda tx: add_projects(tx, "default", "secret"))
    return World(database)


async def a_run(world: World, node_id: str, **values: object) -> str:
    def store(tx: Transaction) -> str:
        run_id = add_run(tx, node_id, **values)
        hold_all(tx, run_id)
        return run_id

    return await world.database.write(store)


async def test_a_node_joins_with_a_token_and_waits_for_its_agent(world: World) -> None:
    node_id = await world.joined(gpus=2)

    node = await world.node(node_id)
    assert node_id.startswith("node-")
    assert (node.status, node.status_reason) == (
        node_pb2.Node.UNREACHABLE,
        "AGENT_NEVER_CONNECTED",
    )
    assert (node.capacity.cpu_millis, node.capacity.gpu_count) == (8000, 2)
    assert await world.events(node_id) == [("JOINED", 2)]
    assert world.changes == 1


async def test_a_token_is_good_for_one_node(world: World) -> None:
    token = await world.token()
    await world.membership.join(token, KEY, an_inventory())
    with pytest.raises(Unauthenticated) as refused:
        await world.membership.join(token, b"x" * 32, an_inventory())
    assert refused.value.reason == "JOIN_TOKEN_USED"
    assert len((await world.resources.list(ADMIN, NodeFilter(), size=0, token=""))[0]) == 1


async def test_the_same_key_gets_the_same_node_again(world: World) -> None:
    token = await world.token()
    node_id = await world.membership.join(token, KEY, an_inventory())

    assert await world.membership.join(token, KEY, an_inventory()) == node_id
    fresh = await world.token()
    assert await world.membership.join(fresh, KEY, an_inventory()) == node_id
    with pytest.raises(Unauthenticated):
        await world.membership.join(fresh, b"x" * 32, an_inventory())


async def test_a_token_of_several_uses_is_good_for_so_many_nodes(world: World) -> None:
    token = await world.token(uses=3)
    keys = [bytes([number]) * 32 for number in range(3)]
    nodes = [await world.membership.join(token, key, an_inventory()) for key in keys]
    assert len(set(nodes)) == 3

    assert await world.membership.join(token, keys[1], an_inventory()) == nodes[1]
    with pytest.raises(Unauthenticated, match="used by 3 nodes") as refused:
        await world.membership.join(token, b"x" * 32, an_inventory())
    assert refused.value.reason == "JOIN_TOKEN_USED"


async def test_of_nodes_that_come_at_once_as_many_get_in_as_the_token_has_uses(
    world: World,
) -> None:
    token = await world.token(uses=3)
    joins = [
        world.membership.join(token, bytes([number]) * 32, an_inventory()) for number in range(5)
    ]
    answers = await asyncio.gather(*joins, return_exceptions=True)
    assert len({answer for answer in answers if isinstance(answer, str)}) == 3
    refused = [answer for answer in answers if isinstance(answer, Unauthenticated)]
    assert [answer.reason for answer in refused] == ["JOIN_TOKEN_USED"] * 2


@pytest.mark.parametrize("uses", [1, 9])
async def test_a_node_that_asks_several_times_at_once_is_one_node(world: World, uses: int) -> None:
    token = await world.token(uses)
    joins = [world.membership.join(token, KEY, an_inventory()) for _ in range(4)]
    assert len(set(await asyncio.gather(*joins))) == 1


async def test_a_known_key_without_a_good_token_gets_nothing(world: World) -> None:
    await world.joined()
    used = await world.token()
    await world.membership.join(used, b"x" * 32, an_inventory())
    for token in ("", "wl_join_nonsense", await world.token() + "x", used):
        with pytest.raises(Unauthenticated):
            await world.membership.join(token, KEY, an_inventory())


async def test_a_node_that_says_hello_is_ready_and_one_that_is_lost_is_not(world: World) -> None:
    node_id = await world.joined()
    world.clock.advance(5)
    seen_at = await world.membership.hello(node_id, an_inventory(cpu_millis=4000))

    node = await world.node(node_id)
    assert (node.status, node.status_reason) == (node_pb2.Node.READY, "AGENT_CONNECTED")
    assert node.capacity.cpu_millis == 4000
    assert node.last_seen_time.ToMicroseconds() == seen_at

    again = await world.membership.hello(node_id, an_inventory())
    # Twice, and once by the session before.
    await world.membership.lost(node_id, seen_at=seen_at)
    assert (await world.node(node_id)).status == node_pb2.Node.READY
    await world.membership.lost(node_id, seen_at=again)
    await world.membership.lost(node_id, seen_at=again)

    node = await world.node(node_id)
    assert (node.status, node.status_reason) == (node_pb2.Node.UNREACHABLE, "AGENT_DISCONNECTED")
    assert await world.events(node_id) == [
        ("JOINED", 2),
        ("AGENT_CONNECTED", 1),
        ("AGENT_DISCONNECTED", 2),
    ]


async def test_hello_of_a_node_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(NotFound):
        await world.membership.hello("node-x", an_inventory())


async def test_a_server_that_starts_knows_no_node_to_be_connected(world: World) -> None:
    connected, away = await world.joined(), await world.joined(b"x" * 32)
    await world.membership.hello(connected, an_inventory())
    run_id = await a_run(world, connected)

    await world.membership.server_started()

    node = await world.node(connected)
    assert (node.status, node.status_reason) == (node_pb2.Node.UNREACHABLE, "SERVER_RESTARTED")
    assert [run.run_id for run in node.runs] == [run_id]
    assert (await world.node(away)).status_reason == "AGENT_NEVER_CONNECTED"


async def test_nodes_that_no_server_hears_are_given_up_and_the_others_are_not(world: World) -> None:
    silent, heard, away = [await world.joined(key * 32) for key in (b"1", b"2", b"3")]
    for node_id in (silent, heard):
        await world.membership.hello(node_id, an_inventory())
    servers = [world.liveness(), world.liveness()]
    await world.looked(servers, seconds=10)
    await world.membership.touch(heard)
    await world.looked(servers, seconds=10)
    assert (await world.node(silent)).status == node_pb2.Node.READY
    changes = world.changes

    await world.looked(servers, seconds=10)

    node = await world.node(silent)
    assert (node.status, node.status_reason) == (node_pb2.Node.UNREACHABLE, "AGENT_SILENT")
    assert (await world.node(heard)).status == node_pb2.Node.READY
    assert (await world.node(away)).status_reason == "AGENT_NEVER_CONNECTED"
    assert [reason for reason, _ in await world.events(silent)].count("AGENT_SILENT") == 1
    assert world.changes == changes + 1


async def test_a_node_that_is_heard_after_the_look_is_not_given_up(world: World) -> None:
    node_id = await world.joined()
    await world.membership.hello(node_id, an_inventory())
    heard = await world.membership.heard()
    await world.membership.touch(node_id)
    await world.membership.give_up(heard)
    assert (await world.node(node_id)).status == node_pb2.Node.READY


@pytest.mark.parametrize("jump", [-10_000, 10_000])
async def test_a_servers_clock_that_jumps_makes_no_living_node_silent(
    world: World, jump: int
) -> None:
    silent, heard = await world.joined(), await world.joined(b"x" * 32)
    for node_id in (silent, heard):
        await world.membership.hello(node_id, an_inventory())
    servers = [world.liveness()]
    await world.looked(servers, seconds=10)
    world.clock.jump(jump)
    await world.looked(servers, seconds=10)
    for _ in range(3):
        assert (await world.node(heard)).status == node_pb2.Node.READY
        await world.membership.touch(heard)
        await world.looked(servers, seconds=10)
    assert (await world.node(heard)).status == node_pb2.Node.READY
    assert (await world.node(silent)).status_reason == "AGENT_SILENT"


async def test_a_server_that_stood_still_listens_before_it_gives_anybody_up(world: World) -> None:
    node_id = await world.joined()
    await world.membership.hello(node_id, an_inventory())
    servers = [world.liveness()]
    await world.looked(servers, seconds=10)
    world.clock.advance(3600)
    await world.looked(servers, seconds=0)
    assert (await world.node(node_id)).status == node_pb2.Node.READY


async def test_when_a_node_was_heard_never_goes_back(world: World) -> None:
    node_id = await world.joined()
    before = await world.membership.hello(node_id, an_inventory())
    world.clock.jump(-3600)
    touched = await world.membership.touch(node_id)
    again = await world.membership.hello(node_id, an_inventory())
    assert before < touched < again


async def test_a_node_that_was_given_up_must_say_hello_again(world: World) -> None:
    node_id = await world.joined()
    await world.membership.hello(node_id, an_inventory())
    await world.membership.give_up(await world.membership.heard())
    with pytest.raises(Conflict) as refused:
        await world.membership.touch(node_id)
    assert refused.value.reason == "NODE_GIVEN_UP"
    await world.membership.hello(node_id, an_inventory())
    await world.membership.touch(node_id)
    assert (await world.node(node_id)).status == node_pb2.Node.READY


async def test_a_node_is_shown_with_what_runs_on_it_and_what_was_measured(world: World) -> None:
    node_id = await world.joined(gpus=2)
    await world.membership.hello(node_id, an_inventory(gpus=2))
    run_id = await a_run(world, node_id, gpu_uuids="GPU-1", cpu_millis=3000)
    process = agent_pb2.GpuProcessSample(gpu_uuid="GPU-1", pid=7, name="python", run_id=run_id)
    told = samples(
        series("CPU_USED_MILLIS", "", 2500),
        series("GPU_TEMPERATURE_CELSIUS", "GPU-1", 61),
        series("GPU_MEMORY_USED_BYTES", "GPU-1", 30 * GIB),
        series("GPU_HEALTHY", "GPU-1", 1),
        series("GPU_MEMORY_TEMPERATURE_CELSIUS", "GPU-1", 70),
        series("GPU_ENERGY_JOULES", "GPU-1", 12.5),
        series("GPU_THROTTLE_REASONS", "GPU-1", 0x44),
        processes=[process],
    )
    world.latest.take(node_id, told.samples)
    world.clock.advance(3600)

    node = await world.node(node_id)

    assert (node.available.cpu_millis, node.available.memory_bytes) == (5000, 15 * GIB)
    assert node.available.gpu_count == 1
    idle, busy = node.gpus
    assert (idle.run_id, idle.health, idle.memory_total_bytes) == ("", idle.HEALTHY, 80 * GIB)
    assert not idle.HasField("sample_time")
    assert (busy.run_id, busy.temperature_celsius) == (run_id, 61)
    assert (busy.memory_used_bytes, busy.memory_free_bytes) == (30 * GIB, 50 * GIB)
    assert (busy.processes[0].pid, busy.processes[0].run_id) == (7, run_id)
    assert (busy.memory_temperature_celsius, busy.energy_joules) == (70, 12.5)
    assert list(busy.throttle_reasons) == [Throttle.POWER_CAP, Throttle.HW_THERMAL_SLOWDOWN]
    assert busy.sample_time.seconds == 1_800_000_000
    assert node.host.cpu_used_millis == 2500
    assert list(node.runs[0].gpu_uuids) == ["GPU-1"]


async def test_a_device_is_shown_with_where_it_is_and_what_it_can(world: World) -> None:
    inventory = an_inventory(gpus=2)
    device = inventory.gpus[1]
    device.pci_bus_id, device.compute_capability = "00000000:1B:00.0", "9.0"
    device.nvlink_peers.append("GPU-0")
    device.mig_mode, device.slowdown_celsius = Mig.DISABLED, 87
    inventory.gpu_driver_version, inventory.cuda_version = "570.1", "12.8"
    inventory.can_reset_gpus = True
    node_id = await world.joined()
    assert not (await world.node(node_id)).HasField("gpu_driver")
    await world.membership.hello(node_id, inventory)

    node = await world.node(node_id)

    shown = node.gpus[1]
    assert (shown.pci_bus_id, shown.compute_capability) == ("00000000:1B:00.0", "9.0")
    assert (list(shown.nvlink_peers), shown.mig_mode) == (["GPU-0"], Mig.DISABLED)
    assert shown.slowdown_celsius == 87
    assert (node.gpu_driver.version, node.gpu_driver.cuda_version) == ("570.1", "12.8")
    assert (node.gpu_driver.mig_capable, node.gpu_driver.can_reset_gpus) == (True, True)


async def test_an_unhealthy_gpu_says_so_and_is_not_available(world: World) -> None:
    node_id = await world.joined(gpus=2)
    world.latest.take(node_id, samples(series("GPU_HEALTHY", "GPU-0", 0)).samples)
    node = await world.node(node_id)
    assert [gpu.health for gpu in node.gpus] == [node_pb2.Gpu.UNHEALTHY, node_pb2.Gpu.HEALTHY]
    assert node.gpus[0].health_message
    assert node.available.gpu_count == 1


async def test_a_node_that_shrank_has_nothing_available_rather_than_less(world: World) -> None:
    node_id = await world.joined()
    await world.membership.hello(node_id, an_inventory())
    await a_run(world, node_id, cpu_millis=5000)
    await world.membership.hello(node_id, an_inventory(cpu_millis=2000))
    node = await world.node(node_id)
    assert (node.capacity.cpu_millis, node.available.cpu_millis) == (2000, 0)


async def test_hello_forgets_what_was_measured_of_gpus_that_are_gone(world: World) -> None:
    node_id = await world.joined(gpus=2)
    told = samples(*(series("GPU_POWER_WATTS", f"GPU-{number}", 1) for number in range(2)))
    world.latest.take(node_id, told.samples)
    await world.membership.hello(node_id, an_inventory(gpus=1))
    assert world.latest.gpu(node_id, "GPU-0") is not None
    assert world.latest.gpu(node_id, "GPU-1") is None
    assert world.latest.gpu(node_id, Series.Field.Name(Series.LOAD_1M)) is None


@pytest.mark.parametrize(
    ("who", "visible"),
    [
        (ADMIN, True),
        (Caller("bob", roles={"secret": Role.VIEWER}), True),
        (Caller("eve", roles={"default": Role.ADMIN}), False),
    ],
)
async def test_whose_job_it_is_is_shown_to_those_who_have_a_part_in_its_project(
    world: World, who: Caller, visible: bool
) -> None:
    node_id = await world.joined()
    await world.membership.hello(node_id, an_inventory())
    run_id = await a_run(world, node_id, project="secret")
    (run,) = (await world.node(node_id, who)).runs
    assert run.run_id == (run_id if visible else "")
    assert bool(run.job_id) is visible


async def test_only_those_who_have_a_part_anywhere_see_nodes(world: World) -> None:
    node_id = await world.joined()
    nobody = Caller("mallory")
    with pytest.raises(Denied):
        await world.resources.get(nobody, node_id)
    with pytest.raises(Denied):
        await world.resources.list(nobody, NodeFilter(), size=0, token="")
    with pytest.raises(NotFound):
        await world.resources.get(ADMIN, "node-x")


async def test_pages_lead_through_all_nodes_that_match(world: World) -> None:
    nodes = {}
    for number in range(7):
        kind = "H100" if number % 3 else "A100"
        key = bytes([number]) * 32
        nodes[await world.joined(key, gpus=1, gpu_type=kind)] = kind

    async def through(wanted: NodeFilter, size: int) -> list[list[str]]:
        pages, token = [], ""
        while not pages or token:
            views, token = await world.resources.list(ADMIN, wanted, size=size, token=token)
            pages.append([view.row.node_id for view in views])
        return pages

    assert await through(NodeFilter(), 3) == [
        list(nodes)[:3],
        list(nodes)[3:6],
        list(nodes)[6:],
    ]
    h100 = [node_id for node_id, kind in nodes.items() if kind == "H100"]
    assert await through(NodeFilter(gpu_type="h100"), 2) == [h100[:2], h100[2:]]
    assert await through(NodeFilter(gpu_type="B200"), 2) == [[]]
    assert await through(NodeFilter(status=1), 2) == [[]]


async def test_a_page_token_is_good_for_its_own_list_alone(world: World) -> None:
    await world.joined()
    await world.joined(b"x" * 32)
    _, token = await world.resources.list(ADMIN, NodeFilter(), size=1, token="")
    with pytest.raises(InvalidInput):
        await world.resources.list(ADMIN, NodeFilter(status=2), size=1, token=token)
