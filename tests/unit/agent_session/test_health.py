"""What an agent tells of its devices, and how it resets them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from tests.support.fake_agent_clock import FakeAgentClock
from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import agents_service_pb2 as service_pb
from windlass.agents.v1 import health_pb2
from windlass_agent.config import ConfigError, load_config
from windlass_agent.gpu.fault_script import parse_faults
from windlass_agent.gpu.profiles import PROFILES
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.health import Health
from windlass_agent.session import Outbox
from windlass_agent.simulation import SimulatedFaults
from windlass_server.rpc.validation import Validation

T = TypeVar("T")
RULES = Validation()
GIB = 1 << 30


async def at_once(work: Callable[[], T]) -> T:
    return work()


class Node:
    """Two simulated cards and a disk, looked after."""

    def __init__(self, script: str = "") -> None:
        self.clock = FakeAgentClock()
        self.gpus = SimulatedGpus([PROFILES["H100"]] * 2, b"n", self.clock.monotonic)
        self.uuids = [device.uuid for device in self.gpus.devices()]
        self.free = 60 * GIB
        self.stalled: list[float] = []
        self.faults = SimulatedFaults(
            parse_faults(script), self.gpus, self.disk, self.clock, self.stalled.append
        )
        self.sent: list[health_pb2.HealthReport] = []
        self.health = Health(self.gpus, self.faults.disk, at_once, self.clock, self.sent.append)

    def disk(self) -> tuple[int, int]:
        return 100 * GIB, self.free

    def inject(self, *faults: str) -> None:
        for fault in faults:
            for parsed in parse_faults(f"0s {fault}"):
                self.gpus.inject(parsed)

    def reset(self, index: int, generation: int) -> None:
        order = health_pb2.ResetDirective(gpu_uuid=self.uuids[index], generation=generation)
        self.health.want(order)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(work) for work in (self.health.run(), self.faults.run())]
        try:
            await self.clock.advance(0)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    async with made.running():
        await made.clock.advance(1)
        yield made


async def test_the_whole_state_is_told_once_and_then_only_news(node: Node) -> None:
    (first,) = node.sent
    assert [gpu.uuid for gpu in first.gpus] == node.uuids
    assert (first.disk_total_bytes, first.disk_free_bytes) == (100 * GIB, 60 * GIB)
    assert first.gpus[0].pcie_link.max_generation == 5
    await node.clock.advance(60)
    assert len(node.sent) == 1
    node.inject("1 ecc-corrected 3")
    await node.clock.advance(10)
    assert [gpu.ecc_errors.corrected_volatile for gpu in node.sent[1].gpus] == [0, 3]
    assert node.health.report is node.sent[-1]
    assert len(node.sent) == 2


async def test_an_xid_is_told_at_once_and_numbered(node: Node) -> None:
    node.inject("0 xid 31", "0 xid 79")
    await node.clock.advance(0)
    told = node.sent[-1].gpus[0].xids
    assert [(xid.number, xid.code) for xid in told] == [(1, 31), (2, 79)]
    for _ in range(40):
        node.inject("0 xid 13")
    await node.clock.advance(0.9)
    assert len(node.sent) == 2  # once in a second is enough
    await node.clock.advance(0.1)
    numbers = [xid.number for xid in node.sent[-1].gpus[0].xids]
    assert numbers == list(range(11, 43))


async def test_a_little_of_the_disk_is_no_news(node: Node) -> None:
    node.free -= GIB
    await node.clock.advance(10)
    assert len(node.sent) == 1
    node.free -= GIB
    await node.clock.advance(10)
    assert node.sent[-1].disk_free_bytes == 58 * GIB


async def test_a_reset_is_carried_out_once_and_reported(node: Node) -> None:
    node.inject("0 reset-required")
    await node.clock.advance(10)
    assert node.sent[-1].gpus[0].reset_required
    node.reset(0, 1)
    node.reset(0, 1)
    await node.clock.advance(1)
    gpu = node.sent[-1].gpus[0]
    assert (gpu.reset_done, gpu.reset_error, gpu.reset_required) == (1, "", False)
    node.inject("0 reset-required")
    node.reset(0, 1)  # heard again: the answer was lost
    await node.clock.advance(10)
    assert node.sent[-1].gpus[0].reset_required
    node.reset(0, 2)
    await node.clock.advance(1)
    assert (node.sent[-1].gpus[0].reset_done, node.sent[-1].gpus[0].reset_required) == (2, False)
    assert node.sent[-1].gpus[1].reset_done == 0


async def test_an_order_that_was_carried_out_is_answered_again(node: Node) -> None:
    node.reset(1, 4)
    await node.clock.advance(1)
    count = len(node.sent)
    node.reset(1, 3)
    assert node.sent[count:] == [node.sent[count - 1]]


async def test_a_gpu_in_use_is_not_reset_and_the_report_says_by_whom(node: Node) -> None:
    node.gpus.set_busy(node.uuids[0], "run-1", 4242)
    node.reset(0, 1)
    await node.clock.advance(1)
    gpu = node.sent[-1].gpus[0]
    assert (gpu.reset_done, gpu.reset_error) == (1, "it is in use by 4242")


async def test_a_script_makes_its_faults_happen_each_at_its_time() -> None:
    node = Node("30s 0 lost; 1m node disk-full; 2m node stall 9; 3m node disk-free; 3m * heal")
    async with node.running():
        await node.clock.advance(29)
        assert len(node.sent) == 1
        await node.clock.advance(11)
        assert [gpu.lost for gpu in node.sent[-1].gpus] == [True, False]
        await node.clock.advance(60)
        assert node.sent[-1].disk_free_bytes == 0
        assert node.stalled == []
        await node.clock.advance(60)
        assert node.stalled == [9]
        await node.clock.advance(60)
        assert node.sent[-1].disk_free_bytes == 60 * GIB
        assert [gpu.lost for gpu in node.sent[-1].gpus] == [False, False]


async def test_every_report_keeps_to_the_rules_of_the_contract() -> None:
    script = "; ".join(
        f"1s * {fault}"
        for fault in (
            "xid 65536", "ecc-corrected 999999999", "remap-pending", "remap-failure", "hot",
            "reset-required", "reset-fails 1", "lost",
        )
    )  # fmt: skip
    node = Node(script)
    async with node.running():
        await node.clock.advance(300)
        node.reset(0, 1)
        await node.clock.advance(10)
    for report in node.sent:
        message = pb.AgentMessage(health=report)
        RULES.check(service_pb.OpenSessionRequest(message=message))
    assert node.sent[-1].gpus[0].reset_error


def test_the_state_of_the_devices_goes_out_before_what_it_may_explain() -> None:
    outbox = Outbox()
    outbox.put(pb.RunReport(run_id="run-1"))
    outbox.put_beat()
    for start in (1, 2):
        outbox.put_health(health_pb2.HealthReport(agent_start=start))
    kinds = [message.WhichOneof("content") for message in outbox.take()]
    assert kinds == ["health", "run_report", "heartbeat"]
    assert outbox.take() == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--simulate-faults", "1s 0 hot"], "needs --simulate-gpus"),
        (["--simulate-gpus", "2xH100", "--simulate-faults", "1s 2 hot"], "no GPU 2, only 2"),
        (["--simulate-gpus", "2xH100", "--simulate-faults", "@/nowhere"], "cannot read /nowhere"),
        (["--simulate-gpus", "2xH100", "--simulate-faults", "bad"], "is not TIME CARD FAULT"),
    ],
)
def test_a_script_that_cannot_be_is_refused_at_the_start(flags: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_config(["--server", "a:1", *flags], {})
