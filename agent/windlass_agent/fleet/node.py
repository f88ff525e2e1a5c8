"""One simulated node: the agent's own links around simulated tasks and GPUs."""

import asyncio
import contextlib
import importlib.metadata
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import grpc.aio

from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.clock import Clock
from windlass_agent.desired import DesiredRuns
from windlass_agent.fleet.config import FleetConfig
from windlass_agent.fleet.counts import Counts
from windlass_agent.fleet.faults import Fault, FaultKind
from windlass_agent.fleet.runner import ISOLATION, SimulatedRunner
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.identity import Identity, NodeKey, join, join_request
from windlass_agent.inventory import inventory_of, with_devices
from windlass_agent.layouts import Layouts, held_by
from windlass_agent.log_shipper import LogShipper
from windlass_agent.reconnect import (
    Backoff,
    Liveliness,
    StreamLostError,
    first_to_end,
    keep_connected,
)
from windlass_agent.sampling import HostReading, Sampler
from windlass_agent.session import ControlLink
from windlass_agent.telemetry import TelemetryLink

_FAREWELL_SECONDS = 5.0
_IDLE_MEMORY_BYTES = 8 << 30


class Inline(Executor):
    """Runs what it is given at once: simulated cards never block, and nodes need no threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The result, there already."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class FleetNode:
    """A node of the fleet.

    Args:
        number: which one of the fleet it is.
        config: the fleet.
        key: who it is.
        open_channel: makes a connection that nothing else uses.
        clock: its time.
    """

    def __init__(
        self,
        number: int,
        config: FleetConfig,
        key: NodeKey,
        open_channel: Callable[[], grpc.aio.Channel],
        clock: Clock,
    ) -> None:
        self._key = key
        self._open_channel = open_channel
        self._clock = clock
        self._config = config
        self._counts = Counts(nodes=1)
        self._gpus = SimulatedGpus(
            config.gpus, key.public_bytes, clock.monotonic, program=lambda _: "python3"
        )
        self._inventory = inventory(number, config, self._gpus)
        self._runner = SimulatedRunner(config.task_seconds, self._gpus, clock, self._counts)
        self._sampler = Sampler(
            self._gpus, self._runner, clock, host=self._read_host, thread=Inline()
        )
        self._shipper = LogShipper(self._runner.log, clock)
        self._control: ControlLink | None = None
        self._telemetry: TelemetryLink | None = None
        self._fault: asyncio.Future[Fault] | None = None
        self._finishing = False
        self._finished = asyncio.Event()

    async def join(self, token: str) -> str:
        """Trade the token for an id; with a key that is known, always the same one.

        Raises:
            ConfigError: the server refuses the token.
        """
        request = join_request(token, self._key, self._inventory)
        return await join(self._open_channel, request, wait=Backoff(), sleep=self._clock.sleep)

    async def run(self, node_id: str) -> None:
        """Be this node until cancelled."""
        identity = Identity(node_id, self._key, self._clock)
        self._counts.joined = 1
        desired = DesiredRuns(
            self._runner,
            self._gpus.device_paths,
            report=self._report,
            dropped=self._shipper.drop,
            clock=self._clock,
        )
        layouts = Layouts(
            self._gpus,
            lambda: held_by(self._runner),
            self._sampler.on_thread,
            self._devices_changed,
            allowed=self._config.divide_gpus,
        )

        def inventory_now() -> pb.Inventory:
            may, outcome = self._config.divide_gpus, layouts.outcome
            return with_devices(self._inventory, self._gpus, may_divide=may, outcome=outcome)

        self._control = ControlLink(
            self._open_channel, identity, desired, inventory_now, self._clock, divider=layouts
        )
        self._telemetry = TelemetryLink(
            self._open_channel,
            identity,
            self._sampler,
            self._shipper,
            self._clock,
            sample_seconds=self._config.interval,
        )
        try:
            await first_to_end(self._follow_runs(desired), self._stay_connected())
        finally:
            await desired.close()
            await layouts.close()
            await self._runner.close()

    def suffer(self, fault: Fault) -> None:
        """Bring a fault about; nothing while another one lasts."""
        if self._fault is not None and not self._fault.done():
            self._fault.set_result(fault)

    async def finish(self) -> None:
        """Send no more samples; return when the server has said what became of those it got."""
        self._finishing = True
        if self._telemetry is not None:
            self._telemetry.finish()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._finished.wait()

    def counts(self) -> Counts:
        """What it has done so far."""
        counts = self._counts
        counts.connected = int(self._control is not None and self._control.welcomed)
        if self._telemetry is not None:
            tally = self._telemetry.tally
            counts.batches_sent, counts.values_sent = tally.sent, tally.values
            counts.batches_acknowledged, counts.batches_lost = tally.kept, tally.lost
            counts.batches_unanswered = tally.unanswered
            counts.batches_on_their_way = tally.on_their_way
        return counts

    def _report(self, report: pb.RunReport) -> None:
        if self._control is not None:
            self._control.report(report)

    def _devices_changed(self) -> None:
        if self._control is not None:
            self._control.tell_inventory()

    async def _follow_runs(self, desired: DesiredRuns) -> None:
        async for state in self._runner.changes():
            desired.on_change(state)
            self._shipper.track(state)

    async def _stay_connected(self) -> None:
        while True:
            fault = await self._connected_until_a_fault()
            self._counts.faults += 1
            if fault.kind is FaultKind.KILL:
                self._runner.lose_all()
            await self._clock.sleep(fault.seconds)

    async def _connected_until_a_fault(self) -> Fault:
        fault: asyncio.Future[Fault] = asyncio.get_running_loop().create_future()
        self._fault = fault

        async def wait() -> None:
            await fault

        await first_to_end(
            keep_connected("control", self._hold_control, backoff=Backoff(), clock=self._clock),
            keep_connected("telemetry", self._hold_telemetry, backoff=Backoff(), clock=self._clock),
            wait(),
        )
        return fault.result()

    async def _hold_control(self, alive: Liveliness) -> None:
        assert self._control is not None
        self._counts.connections += 1
        await self._control.connect(alive)

    async def _hold_telemetry(self, alive: Liveliness) -> None:
        assert self._telemetry is not None
        if not self._finishing:
            try:
                await self._telemetry.connect(alive)
            except StreamLostError:
                if not self._finishing:
                    raise
        if self._finishing:
            self._finished.set()
            await asyncio.get_running_loop().create_future()

    def _read_host(self) -> HostReading:
        """A machine on which nothing happens but its runs."""
        running = [self._runner.usage(state.run_id) for state in self._runner.states()]
        uses = [usage for usage in running if usage is not None]
        cpu_millis = sum(usage.cpu_used_millis for usage in uses)
        return {
            pb.Series.CPU_USED_MILLIS: cpu_millis,
            pb.Series.MEMORY_USED_BYTES: float(
                _IDLE_MEMORY_BYTES + sum(usage.memory_used_bytes for usage in uses)
            ),
            pb.Series.MEMORY_TOTAL_BYTES: float(self._config.memory_bytes),
            pb.Series.LOAD_1M: cpu_millis / 1000,
        }


def inventory(number: int, config: FleetConfig, gpus: SimulatedGpus) -> pb.Inventory:
    """What a node of the fleet offers: nothing of it is this machine's."""
    version = importlib.metadata.version("windlass")
    made = inventory_of(config.agent(), gpus, ISOLATION, version)
    made.hostname = f"sim-{number:05d}"
    made.boot_id = str(uuid.uuid4())
    return made
