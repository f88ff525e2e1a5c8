"""A runner without processes: the test says when a task starts, writes and ends."""

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import replace

from windlass_agent.run_types import (
    Cause,
    Isolation,
    Level,
    Phase,
    RunExit,
    RunNotEnded,
    RunNotFound,
    RunRequest,
    RunState,
    RunUsage,
)

_HEADER = struct.Struct(">BQI")
NOW_NANOS = 1_800_000_000_000_000_000


def frame(payload: bytes, stream: int = 1) -> bytes:
    """A log frame of the contract."""
    return _HEADER.pack(stream, NOW_NANOS, len(payload)) + payload


class FakeLog:
    """A log in memory."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.complete = False
        self.fails: OSError | None = None
        self._end = 0
        self.read_from: list[int] = []
        self._grown = asyncio.Event()

    def append(self, payload: bytes) -> None:
        """Adds one frame."""
        self.content += frame(payload)
        self.wake()

    def ends_at(self, position: int) -> None:
        """The run has ended and wrote so much, whatever is left of it."""
        self.complete, self._end = True, position
        self.wake()

    def wake(self) -> None:
        """Lets waiting readers look again."""
        self._grown.set()
        self._grown = asyncio.Event()

    def read(self, position: int, max_bytes: int = 1 << 20) -> bytes:
        if self.fails is not None:
            raise self.fails
        self.read_from.append(position)
        end = position
        while end + _HEADER.size <= len(self.content):
            size = _HEADER.size + _HEADER.unpack_from(self.content, end)[2]
            if end + size - position > max_bytes or end + size > len(self.content):
                break
            end += size
        return bytes(self.content[position:end])

    async def wait(self, position: int) -> bool:
        while len(self.content) <= position:
            if self.complete:
                return self._end > position
            await self._grown.wait()
        return True


class FakeRunner:
    """What a test steers (`begin`, `end`, `logs`) and what it looks at (`requests`, `stops`)."""

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []
        self.stops: list[tuple[str, float, Cause]] = []
        self.forgotten: list[str] = []
        self.logs: dict[str, FakeLog] = {}
        self.fail_with: Exception | None = None
        self.pids: dict[int, str] = {}
        self.obeys_stop = False
        self._states: dict[str, RunState] = {}
        self._changes: asyncio.Queue[RunState] = asyncio.Queue()
        self.called = asyncio.Condition()

    # --- steered by the test ---------------------------------------------------------------------

    def adopt(self, state: RunState) -> FakeLog:
        """A run that was there before."""
        self._states[state.run_id] = state
        self.logs[state.run_id] = FakeLog()
        return self.logs[state.run_id]

    def begin(self, run_id: str) -> None:
        """The command starts."""
        isolation = Isolation(Level.NAMESPACES, ("memory",), "v2")
        self._set(
            replace(
                self._states[run_id],
                phase=Phase.RUNNING,
                isolation=isolation,
                start_time_ns=NOW_NANOS,
            )
        )

    def end(self, run_id: str, cause: Cause = Cause.COMPLETED, exit_code: int | None = 0) -> None:
        """The task ends."""
        log = self.logs[run_id]
        log.complete = True
        log.wake()
        end = RunExit(cause, NOW_NANOS, exit_code, log_end=len(log.content))
        self._set(replace(self._states[run_id], phase=Phase.EXITED, exit=end))

    async def until(self, count: int, calls: list[object]) -> None:
        """Returns when a list of calls has so many entries."""
        async with self.called:
            await self.called.wait_for(lambda: len(calls) >= count)

    # --- the runner's interface ------------------------------------------------------------------

    async def start_up(self) -> list[RunState]:
        return self.states()

    async def run(self, request: RunRequest) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.requests.append(request)
        known = self._states.get(request.run_id)
        if known is None or known.epoch < request.epoch:
            self.logs[request.run_id] = FakeLog()
            self._set(RunState(request.run_id, request.epoch, Phase.PREPARING))
        await self._note()

    async def stop(
        self, run_id: str, grace_seconds: float, *, epoch: int = 0, cause: Cause = Cause.STOPPED
    ) -> None:
        self.stops.append((run_id, grace_seconds, cause))
        if run_id not in self._states and epoch:
            end = RunExit(Cause.STOPPED, NOW_NANOS)
            self._set(RunState(run_id, epoch, Phase.EXITED, exit=end))
        elif self.obeys_stop:
            self.end(run_id, cause, None)
        await self._note()

    async def freeze(self, run_id: str, *, epoch: int, frozen: bool) -> None:
        state = self._states.get(run_id)
        if state is not None and state.epoch == epoch and state.frozen != frozen:
            self._set(replace(state, frozen=frozen))

    async def forget(self, run_id: str) -> None:
        state = self._states.get(run_id)
        if state is not None and state.phase is not Phase.EXITED:
            raise RunNotEnded(run_id)
        self._states.pop(run_id, None)
        self.forgotten.append(run_id)
        await self._note()

    def states(self) -> list[RunState]:
        return list(self._states.values())

    async def changes(self) -> AsyncIterator[RunState]:
        while True:
            yield await self._changes.get()

    def log(self, run_id: str) -> FakeLog:
        if run_id not in self.logs:
            raise RunNotFound(run_id)
        return self.logs[run_id]

    def usage(self, run_id: str) -> RunUsage | None:
        return RunUsage(1500.0, 64 << 20, 3) if run_id in self._states else None

    def request_of(self, run_id: str) -> RunRequest | None:
        return next((one for one in self.requests if one.run_id == run_id), None)

    def run_of_pid(self, pid: int) -> str:
        return self.pids.get(pid, "")

    async def close(self, *, stop_tasks: bool) -> None:
        return

    def _set(self, state: RunState) -> None:
        self._states[state.run_id] = state
        self._changes.put_nowait(state)

    async def _note(self) -> None:
        async with self.called:
            self.called.notify_all()
