"""Watches how well the node's devices are, tells the server, and resets GPUs when it says so.

What is told is the whole state, so a lost or repeated report does no harm. What becomes of it is
decided by the server, which knows what runs where; here is no policy.
"""

import asyncio
import shutil
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from windlass.agents.v1 import health_pb2
from windlass.types.v1 import gpu_pb2
from windlass_agent.bounds import amount, text
from windlass_agent.clock import Clock
from windlass_agent.gpu.device import GpuProvider
from windlass_agent.gpu.facts import GpuFacts, GpuResetError, GpuXid

_log = structlog.get_logger(__name__)

T = TypeVar("T")

# An XID is looked at at once; the rest is no matter of seconds.
LOOK_SECONDS = 10.0
# A program may bring forth XIDs all the time.
_REST_SECONDS = 1.0
# XIDs of a card that are kept and told: those before them have been told long since.
_KEPT_XIDS = 32
_MAX_XID = 65_535
_MAX_INT32 = (1 << 31) - 1
_MAX_INT64 = (1 << 63) - 1

Disk = Callable[[], tuple[int, int]]
"""Size of a file system and what of it is free, in bytes."""


class GpuThread(Protocol):
    """Runs something on the thread that reads the GPUs."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]: ...


def disk_of(folder: Path) -> Disk:
    """The file system that a folder is on; nothing is known of one that cannot be read."""

    def measure() -> tuple[int, int]:
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            return 0, 0
        return usage.total, usage.free

    return measure


class Health:
    """The state of the devices.

    Args:
        gpus: The GPUs.
        disk: The file system that the tasks of this node write to.
        on_gpu_thread: Where the GPUs may be read and reset.
        clock: Paces the looks.
        send: Called with each report that is news.
    """

    def __init__(
        self,
        gpus: GpuProvider,
        disk: Disk,
        on_gpu_thread: GpuThread,
        clock: Clock,
        send: Callable[[health_pb2.HealthReport], None],
    ) -> None:
        self._gpus = gpus
        self._disk = disk
        self._on_gpu_thread = on_gpu_thread
        self._clock = clock
        self._send = send
        self._start = clock.time_nanos()
        self._xids: dict[str, deque[health_pb2.Xid]] = {}
        self._resets: dict[str, tuple[int, str]] = {}
        self._resetting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self.report: health_pb2.HealthReport | None = None
        """What was told last; None before the first look."""

    async def run(self) -> None:
        """Looks every ten seconds, and at once after an XID that is the first in a second."""
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.call_soon_threadsafe(self._woken.set)

        self._gpus.on_xid(heard)
        try:
            while True:
                self._woken.clear()
                began = self._clock.monotonic()
                await self._look()
                await self._pause()
                rest = began + _REST_SECONDS - self._clock.monotonic()
                if rest > 0:
                    await self._clock.sleep(rest)
        finally:
            self._gpus.on_xid(lambda: None)
            for task in self._tasks:
                task.cancel()

    def want(self, order: health_pb2.ResetDirective) -> None:
        """Takes in an order to reset a GPU; one that was carried out is answered by a report."""
        uuid = order.gpu_uuid
        done, _ = self._resets.get(uuid, (0, ""))
        if order.generation > done and uuid not in self._resetting:
            self._resetting.add(uuid)
            task = asyncio.ensure_future(self._reset(uuid, order.generation))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif self.report is not None:
            self._send(self.report)

    def look_soon(self) -> None:
        """Looks at the next opportunity, as after an XID: the devices are others than before."""
        self._woken.set()

    async def _pause(self) -> None:
        """Returns when it is time to look again, or when something has happened."""
        waits = [
            asyncio.ensure_future(self._woken.wait()),
            asyncio.ensure_future(self._clock.sleep(LOOK_SECONDS)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _look(self) -> None:
        facts = await self._on_gpu_thread(self._gpus.facts)
        total, free = self._disk()
        for xid in self._gpus.take_xids():
            self._take_xid(xid)
        report = health_pb2.HealthReport(
            agent_start=self._start,
            gpus=[self._gpu(one) for one in facts],
            disk_total_bytes=amount(total),
            disk_free_bytes=amount(free),
        )
        if self.report is None or _is_news(self.report, report):
            self.report = report
            self._send(report)

    def _take_xid(self, xid: GpuXid) -> None:
        kept = self._xids.setdefault(xid.uuid, deque(maxlen=_KEPT_XIDS))
        number = kept[-1].number + 1 if kept else 1
        code = min(max(xid.code, 0), _MAX_XID)
        kept.append(health_pb2.Xid(number=number, time_nanos=max(xid.time_nanos, 0), code=code))
        _log.warning("the driver reports an XID", gpu=xid.uuid, code=code)

    def _gpu(self, facts: GpuFacts) -> health_pb2.GpuReport:
        done, error = self._resets.get(facts.uuid, (0, ""))
        return health_pb2.GpuReport(
            uuid=facts.uuid,
            lost=facts.lost,
            reset_required=facts.reset_required,
            too_hot=facts.too_hot,
            ecc_errors=_ecc(facts),
            remapped_rows=_rows(facts),
            pcie_link=_pcie(facts),
            xids=self._xids.get(facts.uuid, ()),
            reset_done=done,
            reset_error=error,
        )

    async def _reset(self, uuid: str, generation: int) -> None:
        error = await self._on_gpu_thread(lambda: self._reset_now(uuid))
        self._resetting.discard(uuid)
        self._resets[uuid] = (generation, text(error))
        _log.info("reset a GPU" if not error else "cannot reset a GPU", gpu=uuid, reason=error)
        self._woken.set()

    def _reset_now(self, uuid: str) -> str:
        """Why it could not be done; empty when it was."""
        users = [str(process.pid) for process in self._gpus.processes() if process.uuid == uuid]
        if users:
            return f"it is in use by {', '.join(users)}"
        try:
            self._gpus.reset(uuid)
        except GpuResetError as error:
            return str(error) or "it could not be reset"
        return ""


def _is_news(before: health_pb2.HealthReport, now: health_pb2.HealthReport) -> bool:
    """Whether something else than a little of the disk has changed."""
    if before.gpus != now.gpus or before.disk_total_bytes != now.disk_total_bytes:
        return True
    return abs(before.disk_free_bytes - now.disk_free_bytes) * 100 > now.disk_total_bytes


def _ecc(facts: GpuFacts) -> gpu_pb2.EccErrors | None:
    if facts.ecc is None:
        return None
    return gpu_pb2.EccErrors(
        corrected_volatile=amount(facts.ecc.corrected_volatile, _MAX_INT64),
        corrected_aggregate=amount(facts.ecc.corrected_aggregate, _MAX_INT64),
        uncorrected_volatile=amount(facts.ecc.uncorrected_volatile, _MAX_INT64),
        uncorrected_aggregate=amount(facts.ecc.uncorrected_aggregate, _MAX_INT64),
    )


def _rows(facts: GpuFacts) -> gpu_pb2.RemappedRows | None:
    if facts.rows is None:
        return None
    return gpu_pb2.RemappedRows(
        correctable=amount(facts.rows.correctable, _MAX_INT32),
        uncorrectable=amount(facts.rows.uncorrectable, _MAX_INT32),
        pending=facts.rows.pending,
        failure=facts.rows.failure,
    )


def _pcie(facts: GpuFacts) -> gpu_pb2.PcieLink | None:
    if facts.pcie is None:
        return None
    return gpu_pb2.PcieLink(
        generation=amount(facts.pcie.generation, _MAX_INT32),
        width=amount(facts.pcie.width, _MAX_INT32),
        max_generation=amount(facts.pcie.max_generation, _MAX_INT32),
        max_width=amount(facts.pcie.max_width, _MAX_INT32),
        replays=amount(facts.pcie.replays, _MAX_INT64),
    )
