import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.support.fake_control_plane import NODE_ID, FakeControlPlane
from tests.support.fake_runner import FakeRunner
from windlass_agent.agent import Agent
from windlass_agent.clock import SystemClock
from windlass_agent.config import load_config
from windlass_agent.gpu.profiles import PROFILES
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.identity import Identity, NodeKey
from windlass_agent.inventory import inventory_of
from windlass_agent.reconnect import Backoff
from windlass_agent.run_types import Isolation
from windlass_agent.stop_signals import StopSignals

# Short enough not to be waited for, and the same in kind.
QUICK = Backoff(initial=0.01, cap=0.02, refused=0.05)


@pytest.fixture
async def plane():
    async with FakeControlPlane() as plane:
        yield plane
    assert plane.violations == []


@pytest.fixture
def runner():
    return FakeRunner()


class Node:
    """An agent in this process, with a fake runner, that has joined."""

    def __init__(self, plane, runner, data_dir, *flags, clock=None):
        data_dir.mkdir(exist_ok=True)
        self.config = load_config(
            ["--server", plane.address, "--data-dir", str(data_dir), *flags], {}
        )
        clock = clock or SystemClock()
        key = NodeKey.load_or_create(data_dir / "node.key")
        plane.keys[NODE_ID] = key.public_bytes
        self.stop = StopSignals()
        self.gpus = SimulatedGpus([PROFILES["H100"]] * 2, key.public_bytes, clock.monotonic)
        self.inventory = inventory_of(self.config, self.gpus, Isolation(), "0.1.0")
        identity = Identity(NODE_ID, key, clock)
        self.agent = Agent(
            self.config, identity, runner, self.gpus, self.inventory, clock, backoff=QUICK
        )

    @asynccontextmanager
    async def running(self):
        task = asyncio.ensure_future(self.agent.run(self.stop))
        try:
            yield task
        finally:
            self.stop.ask()
            self.stop.ask()
            await task


@pytest.fixture
async def node(plane, runner, tmp_path):
    node = Node(plane, runner, tmp_path / "agent")
    async with node.running():
        yield node
