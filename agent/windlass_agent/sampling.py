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
        self._host = host or read_host
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


def read_host() -> HostReading:
    """The machine now; its CPU time since the call before in the same thread."""
    memory = psutil.virtual_memory()
    cores = psutil.cpu_count() or 1
    return {
        pb.Series.CPU_USED_MILLIS: psutil.cpu_percent() * cores * 10,
        pb.Series.MEMORY_USED_BYTES: float(memory.total - memory.available),
        pb.Series.MEMORY_TOTAL_BYTES: float(memory.total),
        pb.Series.LOAD_1M: os.getloadavg()[0],
    }


def _host_series(reading: _MachineReading) -> Iterator[pb.Series]:
    for measured, value in reading.host.items():
        yield _series(measured, "", value)


def _gpu_series(reading: _MachineReading) -> Iterator[pb.Series]:
    for gpu in reading.gpus:
        for measured, name in _GPU_FIELDS:
            yield _series(measured, gpu.uuid, getattr(gpu, name))


def _series(measured: pb.Series.Field, subject: str, value: float) -> pb.Series:
    return pb.Series(field=measured, subject=subject, values=[float(value)])
