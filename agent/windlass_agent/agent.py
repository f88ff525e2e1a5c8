"""How the agent is put together: read it from top to bottom as the tour."""

import asyncio
import contextlib
import importlib.metadata
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import structlog

from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import health_pb2
from windlass_agent import canary
from windlass_agent.artifacts import ArtifactCollector
from windlass_agent.channel import channel_to
from windlass_agent.checkpoints import CheckpointKeeper
from windlass_agent.clock import Clock, SystemClock
from windlass_agent.config import AgentConfig, OnExit
from windlass_agent.data_dir import DataDir
from windlass_agent.desired import DesiredRuns
from windlass_agent.environments import Packaging, installer
from windlass_agent.gpu.device import GpuProvider, memory_of
from windlass_agent.gpu.fault_script import missing_cards
from windlass_agent.gpu.nvml import open_nvml
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.health import Health, disk_of
from windlass_agent.identity import Identity, NodeKey, join, join_request, remember, stored_node_id
from windlass_agent.inventory import inventory_of, with_devices
from windlass_agent.layouts import Layouts, held_by
from windlass_agent.log_shipper import LogShipper
from windlass_agent.metric_sockets import MetricSockets
from windlass_agent.profiler import Profiler
from windlass_agent.reconnect import Backoff, Liveliness, keep_connected
from windlass_agent.run_types import Cause, Phase, RunState
from windlass_agent.runner import Runner
from windlass_agent.sampling import Sampler
from windlass_agent.session import ControlLink
from windlass_agent.simulation import SimulatedFaults, SimulatedLayouts, SimulatedLoad
from windlass_agent.sources import SourceKeeper
from windlass_agent.stop_signals import StopSignals
from windlass_agent.telemetry import TelemetryLink
from windlass_agent.trust import with_trusted_ca

_log = structlog.get_logger(__name__)

STOP_GRACE_SECONDS = 5.0
_FAREWELL_SECONDS = 5.0
_LAST_METRICS_SECONDS = 2.0


async def run_agent(config: AgentConfig) -> int:
    """Runs the agent until SIGTERM or SIGINT.

    Returns:
        The process's exit code: 0.

    Raises:
        ConfigError: the agent cannot start as it is configured; the text is one line for people.
    """
    stop = StopSignals()
    with DataDir(config.data_dir), stop.installed():
        await _run(config, stop, SystemClock())
    return 0


async def _run(config: AgentConfig, stop: StopSignals, clock: Clock) -> None:
    # 1. Who this is. A node that can never join says so before anything is started.
    key = NodeKey.load_or_create(config.data_dir / "node.key")
    node_id = stored_node_id(config.data_dir / "node.json")
    if node_id is None:
        join_request(config.join_token, key, pb.Inventory())
    _warn_of_plain_text(config)
    trusting = await stop.unless_asked(with_trusted_ca(config, clock))
    if trusting is None:
        return
    config = trusting

    # 2. What it has, and what earlier agents left running.
    gpus = _open_gpus(config, key, clock)
    isolation = await asyncio.to_thread(canary.detect, config.data_dir)
    checkpoints, artifacts = CheckpointKeeper(clock), ArtifactCollector(clock)
    metrics = MetricSockets(clock)
    sources = SourceKeeper(clock)
    runner = Runner(
        config.data_dir,
        isolation,
        checkpoints=checkpoints,
        artifacts=artifacts,
        metrics=metrics,
        sources=sources,
        packages=Packaging(installer(), config.python_index_url, config.environment_limit_bytes),
        hidden_paths=config.hide_paths,
        shared_paths=config.share_paths,
        log_quota_bytes=config.log_quota_bytes,
        debug_keep_seconds=config.debug_keep_seconds,
        log_rate_bytes=config.log_rate_bytes,
    )
    profiler = Profiler(clock, runner.root_of)
    inventory = inventory_of(config, gpus, isolation, importlib.metadata.version("windlass"))
    try:
        adopted = await runner.start_up()
        _log.info(
            "started", gpus=len(gpus.devices()), driver=gpus.driver_version, runs=len(adopted)
        )

        # 3. Join once; then hold the streams until told to end.
        if node_id is None:
            node_id = await stop.unless_asked(_join(config, key, inventory, clock))
        if node_id is not None:
            identity = Identity(node_id, key, clock)
            checkpoints.connect(lambda: channel_to(config), identity)
            artifacts.connect(lambda: channel_to(config), identity)
            sources.connect(lambda: channel_to(config), identity)
            profiler.connect(lambda: channel_to(config), identity)
            agent = Agent(config, identity, runner, gpus, inventory, clock, metrics, profiler)
            await agent.run(stop)
    finally:
        await runner.close(stop_tasks=False)
        await checkpoints.close()
        await artifacts.close()
        await profiler.close()
        metrics.close_all()
        await sources.close()
        gpus.close()


class Agent:
    """A node that has joined.

    Args:
        config: What the operator set.
        identity: Who the node is.
        runner: Its tasks; the caller closes it.
        gpus: Its GPUs; the caller closes them.
        inventory: What it offers.
        clock: Its time.
        metrics: What its tasks say of themselves in numbers; the caller closes it.
        profiler: Looks into its tasks; the caller closes it.
    """

    def __init__(
        self,
        config: AgentConfig,
        identity: Identity,
        runner: Runner,
        gpus: GpuProvider,
        inventory: pb.Inventory,
        clock: Clock,
        metrics: MetricSockets | None = None,
        profiler: Profiler | None = None,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        def open_channel() -> grpc.aio.Channel:
            return channel_to(config)

        self._config = config
        self._runner = runner
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._shipper = LogShipper(runner.log, clock)
        self._metrics = metrics or MetricSockets(clock)
        self._desired = DesiredRuns(
            runner,
            gpus.device_paths,
            gpu_memory=lambda uuid: memory_of(gpus, uuid),
            report=self._report,
            dropped=self._shipper.drop,
            clock=clock,
        )
        self._sampler = Sampler(gpus, runner, clock)
        disk = disk_of(config.data_dir)
        self._faults: SimulatedFaults | None = None
        if isinstance(gpus, SimulatedGpus):
            self._faults = SimulatedFaults(config.simulate_faults, gpus, disk, clock)
            disk = self._faults.disk
        self._health = Health(gpus, disk, self._sampler.on_thread, clock, self._tell_health)
        self._layouts = Layouts(
            gpus,
            lambda: held_by(runner),
            self._sampler.on_thread,
            self._devices_changed,
            allowed=config.divide_gpus,
        )

        def inventory_now() -> pb.Inventory:
            may, outcome = config.divide_gpus, self._layouts.outcome
            return with_devices(inventory, gpus, may_divide=may, outcome=outcome)

        self._control = ControlLink(
            open_channel,
            identity,
            self._desired,
            inventory_now,
            clock,
            self._health,
            self._layouts,
            profiler,
        )
        self._telemetry = TelemetryLink(
            open_channel, identity, self._sampler, self._shipper, clock, self._metrics
        )
        self._listeners: list[Callable[[RunState], None]] = [
            self._desired.on_change,
            self._shipper.track,
        ]
        if isinstance(gpus, SimulatedGpus):
            runs_dir = Path(config.data_dir) / "runs"
            self._listeners.append(SimulatedLoad(gpus, runs_dir).on_change)
        self._ended: set[str] = set()
        self._changed = asyncio.Event()

    async def run(self, stop: StopSignals) -> None:
        """Holds the streams until asked to stop; then ends as the operator configured it."""
        parts = [
            asyncio.ensure_future(part)
            for part in (
                self._follow_runs(),
                self._health.run(),
                self._keep("control", self._control.connect),
                self._keep("telemetry", self._telemetry.connect),
            )
        ]
        asked = asyncio.ensure_future(stop.asked.wait())
        faults = asyncio.ensure_future(self._make_faults())
        try:
            done, _ = await asyncio.wait([asked, *parts], return_when=asyncio.FIRST_COMPLETED)
            if asked not in done:
                done.pop().result()  # a part of the agent failed: let its error out
            if self._stops_tasks(stop):
                await stop.unless_hurried(self._stop_tasks())
            else:
                await stop.unless_hurried(self._send_last_metrics())
        finally:
            for task in (asked, faults, *parts):
                task.cancel()
            await asyncio.gather(asked, faults, *parts, return_exceptions=True)
            await self._desired.close()
            await self._layouts.close()
            self._sampler.close()

    async def _make_faults(self) -> None:
        if self._faults is not None:
            await self._faults.run()

    def _keep(
        self, what: str, connect: Callable[[Liveliness], Coroutine[Any, Any, None]]
    ) -> Coroutine[Any, Any, None]:
        return keep_connected(what, connect, backoff=self._backoff, clock=self._clock)

    def _report(self, report: pb.RunReport) -> None:
        self._control.report(report)

    def _tell_health(self, report: health_pb2.HealthReport) -> None:
        self._control.tell_health(report)

    def _devices_changed(self) -> None:
        self._control.tell_inventory()
        self._health.look_soon()

    async def _follow_runs(self) -> None:
        changes = self._runner.changes()
        for state in self._runner.states():
            self._tell(state)
        async for state in changes:
            self._tell(state)
        raise RuntimeError("the runner tells no more changes")

    def _tell(self, state: RunState) -> None:
        for listener in self._listeners:
            listener(state)
        if state.phase is Phase.EXITED:
            self._ended.add(state.run_id)
        else:
            self._ended.discard(state.run_id)
        self._changed.set()

    def _stops_tasks(self, stop: StopSignals) -> bool:
        """A supervisor that was killed did not decide anything: its tasks live on."""
        return self._config.on_exit is OnExit.STOP and not stop.orphaned

    async def _stop_tasks(self) -> None:
        """Stops every task, and tells the server while there is one to hear it."""
        self._desired.accept_no_more()
        active = [s.run_id for s in self._runner.states() if s.phase is not Phase.EXITED]
        for run_id in active:
            await self._runner.stop(run_id, STOP_GRACE_SECONDS, cause=Cause.NODE_SHUTDOWN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_SECONDS + 1):
                await self._heard_the_end_of(active)
        if self._control.welcomed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_SECONDS):
                    await self._control.flushed()
                    await self._shipper.settled()
                    await self._metrics.settled()

    async def _send_last_metrics(self) -> None:
        """What tasks have said is in this process alone: it goes before the process does."""
        self._metrics.close_all()
        if self._control.welcomed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_METRICS_SECONDS):
                    await self._metrics.settled()

    async def _heard_the_end_of(self, run_ids: Sequence[str]) -> None:
        while not self._ended.issuperset(run_ids):
            self._changed.clear()
            await self._changed.wait()


async def _join(config: AgentConfig, key: NodeKey, inventory: pb.Inventory, clock: Clock) -> str:
    request = join_request(config.join_token, key, inventory)
    node_id = await join(lambda: channel_to(config), request, wait=Backoff(), sleep=clock.sleep)
    remember(config.data_dir / "node.json", node_id, config.server)
    _log.info("joined", node_id=node_id, server=config.server)
    return node_id


def _open_gpus(config: AgentConfig, key: NodeKey, clock: Clock) -> GpuProvider:
    if config.simulate_gpus:
        layouts = SimulatedLayouts(config.data_dir / "simulated-layouts.json")
        return SimulatedGpus(
            config.simulate_gpus,
            key.public_bytes,
            clock.monotonic,
            missing=missing_cards(config.simulate_faults, len(config.simulate_gpus)),
            layouts=layouts.load(),
            remember=layouts.save,
        )
    return open_nvml(clock.time_nanos)


def _warn_of_plain_text(config: AgentConfig) -> None:
    if config.insecure and not config.loopback:
        _log.warning("NO TLS: everybody on the way can read and change what is said to the server")
