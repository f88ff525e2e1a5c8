"""Measures the machine, its GPUs and its runs, once per call, off the event loop where it blocks."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import psutil

from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.bounds import (
    MAX_GPU_PROCESSES,
    MAX_PROCESS_NAME,
    MAX_RUN_STAMPS,
    MAX_SERIES,
    amount,
    text,
)
from windlass_agent.clock import Clock
from windlass_agent.gpu.device import GpuProcess, GpuProvider, GpuSample
from windlass_agent.run_types import Phase, RunRequest, RunState, RunUsage

T = TypeVar("T")

_GPU_FIELDS: tuple[tuple[pb.Series.Field, str], ...] = (
    (pb.Series.GPU_TEMPERATURE_CELSIUS, "temperature_celsius"),
    (pb.Series.GPU_POWER_WATTS, "power_watts"),
    (pb.Series.GPU_POWER_LIMIT_WATTS, "power_limit_watts"),
    (pb.Series.GPU_UTILIZATION_PERCENT, "utilization_percent"),
    (pb.Series.GPU_MEMORY_USED_BYTES, "memory_used_bytes"),
    (pb.Series.GPU_MEMORY_TOTAL_BYTES, "memory_total_bytes"),
    (pb.Series.GPU_SM_CLOCK_MHZ, "sm_clock_mhz"),
    (pb.Series.GPU_MEMORY_CLOCK_MHZ, "memory_clock_mhz"),
    (pb.Series.GPU_HEALTHY, "healthy"),
    (pb.Series.GPU_MEMORY_TEMPERATURE_CELSIUS, "memory_temperature_celsius"),
    (pb.Series.GPU_ENERGY_JOULES, "energy_joules"),
    (pb.Series.GPU_THROTTLE_REASONS, "throttle_reasons"),
)


SLOW_FIELDS = frozenset(
    {
        pb.Series.GPU_MEMORY_TOTAL_BYTES,
        pb.Series.GPU_POWER_LIMIT_WATTS,
        pb.Series.MEMORY_TOTAL_BYTES,
    }
)
"""What hardly ever changes, and need not be sent each second."""

HostReading = Mapping[pb.Series.Field, float]
_LOOPBACK = "lo"


class MeasuredRuns(Protocol):
    """What this needs of the runner; called on the event loop."""

    def states(self) -> list[RunState]: ...

    def usage(self, run_id: str) -> RunUsage | None: ...

    def run_of_pid(self, pid: int) -> str: ...

    def request_of(self, run_id: str) -> RunRequest | None: ...


@dataclass(frozen=True, slots=True)
class _MachineReading:
    time_nanos: int
    host: HostReading
    gpus: Sequence[GpuSample]
    processes: Sequence[GpuProcess]


class Sampler:
    """Takes samples.

    One thread of its own reads the GPUs and the host, so that a driver that hangs delays samples
    and nothing else.

    Args:
        gpus: The GPUs.
        runs: The runs.
        clock: When it was.
        host: Reads the machine; called in the thread.
        thread: Where GPUs and machine are read instead of in a thread of its own.
    """

    def __init__(
        self,
        gpus: GpuProvider,
        runs: MeasuredRuns,
        clock: Clock,
        *,
        host: Callable[[], HostReading] | None = None,
        thread: Executor | None = None,
    ) -> None:
        self._gpus = gpus
        self._runs = runs
        self._clock = clock
        self._host = host or HostReader(clock).read
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="sampling")
        # The first call only sets the start of the interval, for the thread that makes it.
        self._thread.submit(self._host)

    async def sample(self) -> pb.SampleBatch:
        """Everything measured now, as a batch of one time; what changes slowly comes last."""
        loop = asyncio.get_running_loop()
        reading = await loop.run_in_executor(self._thread, self._read)
        running = [one.run_id for one in self._runs.states() if one.phase is Phase.RUNNING]
        series = [*_host_series(reading), *_gpu_series(reading), *self._run_series(running)]
        series.sort(key=lambda one: one.field in SLOW_FIELDS)
        return pb.SampleBatch(
            base_time_nanos=reading.time_nanos,
            time_deltas_nanos=[0],
            series=series[:MAX_SERIES],
            gpu_processes=[
                self._attributed(process) for process in reading.processes[:MAX_GPU_PROCESSES]
            ],
            runs=self._stamps(running[:MAX_RUN_STAMPS]),
        )

    async def on_thread(self, work: Callable[[], T]) -> T:
        """Runs something where the GPUs are read, so that nothing else reads them meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Ends the thread without waiting for a driver that hangs."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self) -> _MachineReading:
        return _MachineReading(
            time_nanos=self._clock.time_nanos(),
            host=self._host(),
            gpus=self._gpus.sample(),
            processes=self._gpus.processes(),
        )

    def _run_series(self, running: Sequence[str]) -> Iterator[pb.Series]:
        for run_id in running:
            usage = self._runs.usage(run_id)
            if usage is not None:
                yield _series(pb.Series.CPU_USED_MILLIS, run_id, usage.cpu_used_millis)
                yield _series(pb.Series.MEMORY_USED_BYTES, run_id, usage.memory_used_bytes)
                yield _series(pb.Series.IO_READ_BYTES_PER_SECOND, run_id, usage.io_read)
                yield _series(pb.Series.IO_WRITE_BYTES_PER_SECOND, run_id, usage.io_write)
                for measured, rate in (
                    (pb.Series.NETWORK_RECEIVE_BYTES_PER_SECOND, usage.network_receive),
                    (pb.Series.NETWORK_SEND_BYTES_PER_SECOND, usage.network_send),
                ):
                    if rate is not None:
                        yield _series(measured, run_id, rate)

    def _stamps(self, running: Sequence[str]) -> Iterator[pb.RunStamp]:
        """What the values are of: said where they are measured, so that nobody has to guess later."""
        for run_id in running:
            request = self._runs.request_of(run_id)
            if request is not None:
                yield pb.RunStamp(
                    run_id=run_id,
                    epoch=request.epoch,
                    job_id=request.job_id,
                    project=request.project,
                    rank=request.rank,
                    gpu_uuids=request.gpu_uuids,
                )

    def _attributed(self, process: GpuProcess) -> pb.GpuProcessSample:
        return pb.GpuProcessSample(
            gpu_uuid=process.uuid,
            pid=process.pid,
            memory_used_bytes=amount(process.memory_used_bytes),
            run_id=self._runs.run_of_pid(process.pid),
            name=text(process.name, MAX_PROCESS_NAME),
        )


class HostReader:
    """Reads the machine, all calls in one thread.

    Args:
        clock: what is counted in a second is so by it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: tuple[float, Mapping[pb.Series.Field, int]] | None = None

    def read(self) -> HostReading:
        """The machine now; its CPU time and what it moves in a second since the call before."""
        memory = psutil.virtual_memory()
        cores = psutil.cpu_count() or 1
        return {
            pb.Series.CPU_USED_MILLIS: psutil.cpu_percent() * cores * 10,
            pb.Series.MEMORY_USED_BYTES: float(memory.total - memory.available),
            pb.Series.MEMORY_TOTAL_BYTES: float(memory.total),
            pb.Series.LOAD_1M: os.getloadavg()[0],
            **self._rates(),
        }

    def _rates(self) -> HostReading:
        now, counted = self._clock.monotonic(), _moved()
        before, self._seen = self._seen or (now, counted), (now, counted)
        seconds = now - before[0]
        if seconds <= 0:
            return dict.fromkeys(counted, 0.0)
        # One that went back began anew.
        return {
            measured: max(0, value - before[1].get(measured, value)) / seconds
            for measured, value in counted.items()
        }


def _moved() -> dict[pb.Series.Field, int]:
    """Bytes that the machine's disks and networks have moved; nothing where it does not tell."""
    moved = {}
    disks = psutil.disk_io_counters()
    if disks is not None:
        moved[pb.Series.IO_READ_BYTES_PER_SECOND] = disks.read_bytes
        moved[pb.Series.IO_WRITE_BYTES_PER_SECOND] = disks.write_bytes
    networks = psutil.net_io_counters(pernic=True)
    others = [one for name, one in networks.items() if name != _LOOPBACK]
    moved[pb.Series.NETWORK_RECEIVE_BYTES_PER_SECOND] = sum(one.bytes_recv for one in others)
    moved[pb.Series.NETWORK_SEND_BYTES_PER_SECOND] = sum(one.bytes_sent for one in others)
    return moved


def _host_series(reading: _MachineReading) -> Iterator[pb.Series]:
    for measured, value in reading.host.items():
        yield _series(measured, "", value)


def _gpu_series(reading: _MachineReading) -> Iterator[pb.Series]:
    for gpu in reading.gpus:
        for measured, name in _GPU_FIELDS:
            yield _series(measured, gpu.uuid, getattr(gpu, name))


def _series(measured: pb.Series.Field, subject: str, value: float) -> pb.Series:
    return pb.Series(field=measured, subject=subject, values=[float(value)])
