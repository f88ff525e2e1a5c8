"""Runs tasks on this node, each under its own shim, and knows their state across restarts."""

from collections.abc import AsyncIterator
from pathlib import Path

from windlass_agent.run_types import (
    Cause,
    Isolation,
    RunRequest,
    RunState,
    RunUsage,
)


class LogReader:
    """Reads a run's log in whole frames. See `LogBatch` in agent.proto for the format."""

    def read(self, position: int, max_bytes: int = 1 << 20) -> bytes:
        """Whole frames from `position` (a frame's first byte), at most `max_bytes`; b"" if none.

        A single frame has at most 64 KiB + 13 bytes; `max_bytes` must not be less.
        """
        raise NotImplementedError

    async def wait(self, position: int) -> bool:
        """Wait until the log is longer than `position` (True), or complete and not (False)."""
        raise NotImplementedError


class Runner:
    """Starts, stops, adopts and forgets tasks. All methods belong to one event loop.

    Args:
        data_dir: The agent's own folder; run folders are made in `data_dir/runs`.
        isolation: What `canary.detect()` proved.
        hidden_paths: Folders that no task may see, beside `data_dir` (such as the server's).
    """

    def __init__(
        self, data_dir: Path, isolation: Isolation, *, hidden_paths: tuple[Path, ...] = ()
    ) -> None:
        raise NotImplementedError

    async def start_up(self) -> list[RunState]:
        """Adopt what earlier agents started, mark as LOST what has neither shim nor result."""
        raise NotImplementedError

    async def run(self, request: RunRequest) -> None:
        """Start a task; returns when the intent is on disk. Idempotent per (run_id, epoch).

        A higher epoch than the known one replaces the run once that has ended (it is stopped at
        once if it has not); a lower one is ignored.

        Raises:
            BadRunId: If the run id is malformed.
        """
        raise NotImplementedError

    async def stop(
        self, run_id: str, grace_seconds: float, *, epoch: int = 0, cause: Cause = Cause.STOPPED
    ) -> None:
        """Ask a task to end: SIGTERM now, SIGKILL after `grace_seconds`. Returns at once.

        Idempotent; a repeat with a shorter grace shortens it. With an `epoch`, a run that the node
        does not know becomes EXITED with STOPPED, so that a start which comes late is refused.
        """
        raise NotImplementedError

    async def forget(self, run_id: str) -> None:
        """Remove everything about an ended run; an unknown one is fine.

        Raises:
            RunNotEnded: If it still has processes.
        """
        raise NotImplementedError

    def states(self) -> list[RunState]:
        """Every run that the node knows, in no particular order."""
        raise NotImplementedError

    def changes(self) -> AsyncIterator[RunState]:
        """New states as they come, from the call on; only the newest of each run is kept."""
        raise NotImplementedError

    def log(self, run_id: str) -> LogReader:
        """The log of a run.

        Raises:
            RunNotFound: If the node knows no such run.
        """
        raise NotImplementedError

    def usage(self, run_id: str) -> RunUsage | None:
        """What a running task uses; None if it does not run."""
        raise NotImplementedError

    def run_of_pid(self, pid: int) -> str:
        """The run that a process of this machine belongs to; empty when none."""
        raise NotImplementedError

    async def close(self, *, stop_tasks: bool) -> None:
        """Let go of the tasks, or with `stop_tasks` stop them (NODE_SHUTDOWN) and wait."""
        raise NotImplementedError
