"""Keeps a run's log within bounds: what its task prints beyond them is left out, and the log says so.

A log may grow by so much a second, and to so much in all. The newest of what comes beyond that is kept
in memory. When there is room again, or when the task has ended, the log goes on with it, behind a line
in each stream that lacks something: how much was left out, when it was printed, and why. The task never
waits, and neither the node's disk nor the server gets more than the bounds.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from windlass_agent.frames import HEADER, MAX_PAYLOAD, STDERR, STDOUT, FrameWriter

_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
# A log may be ahead of its rate by so many seconds' worth, and goes on when half of that is there.
_BURST_SECONDS = 2.0
_LARGEST_TAIL = 4 << 20


@dataclass(slots=True)
class _LeftOut:
    """What one stream lacks."""

    size: int = 0
    lines: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, payload: bytes | bytearray, time_ns: int) -> None:
        if not self.size:
            self.first_ns = time_ns
        self.size += len(payload)
        self.lines += payload.count(b"\n")
        self.last_ns = time_ns


@dataclass(slots=True)
class _Kept:
    """Output that waits for room."""

    stream: int
    time_ns: int
    payload: bytearray


class BoundedLog:
    """A run's log that grows no faster and no larger than it may.

    Args:
        writer: writes the log.
        quota_bytes: how large it may become; 0: as large as it likes.
        rate_bytes: by how much it may grow in a second; 0: by as much as it likes.
        monotonic: seconds that never go back.
        now_ns: the time, in nanoseconds since 1970.
    """

    def __init__(
        self,
        writer: FrameWriter,
        quota_bytes: int,
        rate_bytes: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_REALTIME),
    ) -> None:
        self._writer = writer
        self._quota = quota_bytes
        self._rate = rate_bytes
        self._monotonic = monotonic
        self._now_ns = now_ns
        self._burst = rate_bytes * _BURST_SECONDS
        shares = [quota_bytes // 8] if quota_bytes else []
        shares += [int(self._burst / 4)] if rate_bytes else []
        self._tail = min([_LARGEST_TAIL, *shares])
        self._allowance = self._burst
        self._allowed_at = monotonic()
        self._waiting = False
        self._full = False
        self._kept: deque[_Kept] = deque()
        self._kept_bytes = 0
        self._left_out = {STDOUT: _LeftOut(), STDERR: _LeftOut()}
        self._within_line = {STDOUT: False, STDERR: False}
        self._told_full: set[int] = set()

    @property
    def wake_at(self) -> float | None:
        """When what waits can go on, on the monotonic clock; None when nothing waits for that."""
        if not self._waiting or self._full:
            return None
        missing = self._burst / 2 - self._allowance
        return self._allowed_at + max(0.0, missing / self._rate)

    def append(self, stream: int, payload: bytes) -> None:
        """Take in what a task has printed, at most 64 KiB."""
        if not self._waiting and self._may_write(len(payload)):
            self._write(stream, self._now_ns(), payload)
            return
        self._waiting = True
        if self._full and stream not in self._told_full:
            self._told_full.add(stream)
            self._say(stream, f"{self._quota_words()}; the last of it is shown at the task's end")
        self._keep(stream, payload)
        self.go_on()

    def go_on(self) -> None:
        """Write what waits, if there is room for it now."""
        if not self._waiting or self._full:
            return
        self._earn()
        if self._allowance >= self._burst / 2:
            if self._fits(self._kept_bytes):
                self._write_kept(self._rate_words())
            else:
                self._full = True

    def finish(self) -> None:
        """The task has ended: write the last of what it has printed."""
        if self._waiting:
            self._write_kept(self._quota_words() if self._full else self._rate_words())

    def _may_write(self, size: int) -> bool:
        if not self._fits(size):
            self._full = True
            return False
        self._earn()
        return not self._rate or self._allowance >= size

    def _fits(self, size: int) -> bool:
        return not self._quota or self._writer.end + HEADER.size + size <= self._quota - self._tail

    def _earn(self) -> None:
        now = self._monotonic()
        earned = (now - self._allowed_at) * self._rate
        self._allowance, self._allowed_at = min(self._burst, self._allowance + earned), now

    def _write(self, stream: int, time_ns: int, payload: bytes | bytearray) -> None:
        self._writer.append(stream, payload, time_ns)
        self._within_line[stream] = not payload.endswith(b"\n")
        self._allowance -= len(payload)

    def _keep(self, stream: int, payload: bytes) -> None:
        last = self._kept[-1] if self._kept else None
        now = self._now_ns()
        if last and last.stream == stream and len(last.payload) + len(payload) <= MAX_PAYLOAD:
            last.payload += payload
            last.time_ns = now
        else:
            self._kept.append(_Kept(stream, now, bytearray(payload)))
        self._kept_bytes += len(payload)
        while self._kept_bytes > self._tail and len(self._kept) > 1:
            oldest = self._kept.popleft()
            self._kept_bytes -= len(oldest.payload)
            self._left_out[oldest.stream].add(oldest.payload, oldest.time_ns)

    def _write_kept(self, why: str) -> None:
        self._begin_with_lines()
        for stream, left_out in self._left_out.items():
            if left_out.size:
                self._say(stream, _words(stream, left_out, why))
                self._left_out[stream] = _LeftOut()
        for kept in self._kept:
            if kept.payload:
                self._write(kept.stream, kept.time_ns, kept.payload)
        self._kept.clear()
        self._kept_bytes = 0
        self._waiting = False

    def _begin_with_lines(self) -> None:
        """Leave out the rest of a line whose beginning is left out."""
        for stream, left_out in self._left_out.items():
            first = next((kept for kept in self._kept if kept.stream == stream), None)
            if left_out.size and first is not None:
                rest = first.payload[: first.payload.find(b"\n") + 1]
                if rest:
                    left_out.add(rest, first.time_ns)
                    del first.payload[: len(rest)]

    def _say(self, stream: int, text: str) -> None:
        """Write a line of our own."""
        begin = "\n" if self._within_line[stream] else ""
        self._write(stream, self._now_ns(), f"{begin}[windlass: {text}]\n".encode())

    def _rate_words(self) -> str:
        return f"more than {_amount(self._rate)} a second"

    def _quota_words(self) -> str:
        return f"the quota of {_amount(self._quota)} for this log is used up"


def _words(stream: int, left_out: _LeftOut, why: str) -> str:
    return (
        f"{left_out.size} bytes ({left_out.lines} lines) of {_NAMES[stream]} are left out, printed from "
        f"{_moment(left_out.first_ns)} to {_moment(left_out.last_ns)}: {why}"
    )


def _moment(time_ns: int) -> str:
    moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
    return f"{moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def _amount(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
