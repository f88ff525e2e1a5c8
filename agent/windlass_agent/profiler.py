"""Profiles of tasks that run, taken by py-spy from outside: the task needs nothing for it, and is not stopped."""

# The stubs are generic for the type checker alone.
from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import structlog

from windlass.agents.v1 import profile_pb2 as pb
from windlass.types.v1.profile_pb2 import ProfileFormat
from windlass_agent import processes
from windlass_agent.bounds import MAX_DETAIL, text
from windlass_agent.clock import Clock
from windlass_agent.server_calls import Refused, ServerCalls

_log = structlog.get_logger(__name__)

MAX_BYTES = 3 << 20
MAX_SECONDS = 60
# Of all runs of the node.
_AT_ONCE = 4
_PER_SECOND = 100
_PATIENCE_SECONDS = 20
_PROFILE = "profile"
_FORMATS = {
    ProfileFormat.FLAMEGRAPH: "flamegraph",
    ProfileFormat.SPEEDSCOPE: "speedscope",
    ProfileFormat.RAW: "raw",
}
_PYTHON = re.compile(r"python[0-9.]*[a-z]?")
_LIBRARY = re.compile(r"/libpython[0-9.]+[a-z]*\.so")
_FORBIDDEN = ("permission denied", "operation not permitted", "eperm")
Outcome = pb.UploadProfileRequest


@dataclass(frozen=True, slots=True)
class Failed(Exception):
    """There is no profile."""

    failure: Outcome.Failure
    message: str


class Profiler(ServerCalls):
    """Takes profiles as the server asks for them, at most one of a run at a time.

    Args:
        root_of: The topmost process of a run of an epoch; None when it does not run.
        program: py-spy; None looks for it beside Python and on the PATH.
    """

    def __init__(
        self,
        clock: Clock,
        root_of: Callable[[str, int], int | None],
        *,
        program: str | None = None,
    ) -> None:
        super().__init__(clock)
        self._root_of = root_of
        self._program = program
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._looking: set[subprocess.Popen[bytes]] = set()

    def want(self, directive: pb.ProfileDirective) -> None:
        """Take a profile and send it, or why there is none; returns at once."""
        run_id = directive.run_id
        if run_id in self._busy or len(self._busy) >= _AT_ONCE:
            failed = Failed(Outcome.BUSY, "profiles are being taken already")
            self._start(directive.profile_id, self._send(_outcome(directive, failed)))
        else:
            self._start(run_id, self._serve(directive))

    async def close(self) -> None:
        """Look no longer, and send nothing more."""
        for process in list(self._looking):
            process.kill()
        for task in list(self._busy.values()):
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        await super().close()

    def _start(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._busy[key] = task
        task.add_done_callback(lambda _: self._busy.pop(key, None))

    async def _serve(self, directive: pb.ProfileDirective) -> None:
        try:
            outcome = Outcome(
                profile_id=directive.profile_id,
                data=await asyncio.to_thread(self._taken, directive),
            )
        except Failed as failed:
            outcome = _outcome(directive, failed)
        except Exception as error:
            _log.exception("a profile could not be taken", run_id=directive.run_id)
            outcome = _outcome(directive, Failed(Outcome.PROFILER_FAILED, repr(error)))
        await self._send(outcome)

    async def _send(self, outcome: Outcome) -> None:
        # Nobody waits for it any more: that is no trouble.
        with contextlib.suppress(Refused):
            await self.call(lambda stub, who: stub.UploadProfile(outcome, metadata=who))

    def _taken(self, directive: pb.ProfileDirective) -> bytes:
        """The profile; in a thread, as it takes its time."""
        root = self._root_of(directive.run_id, directive.epoch)
        if root is None:
            raise Failed(Outcome.NOT_RUNNING, "the task does not run")
        program = self._program or find_program()
        if program is None:
            message = "this node has no py-spy: install windlass[agent] there"
            raise Failed(Outcome.PROFILER_MISSING, message)
        pid = python_of(root)
        seconds = min(max(directive.duration.seconds, 1), MAX_SECONDS)
        with tempfile.TemporaryDirectory(prefix="windlass-profile-") as folder:
            kind = _FORMATS.get(directive.format, "flamegraph")
            to = self._record(program, pid, seconds, kind, Path(folder))
            if to.stat().st_size > MAX_BYTES:
                message = f"the profile has more than {MAX_BYTES >> 20} MiB: take a shorter one"
                raise Failed(Outcome.TOO_LARGE, message)
            return to.read_bytes()

    def _record(self, program: str, pid: int, seconds: int, kind: str, folder: Path) -> Path:
        """Have a process looked at; returns the file in the folder."""
        # The command line is the drawing's title: no path of this machine is in it.
        command = [
            *("py-spy", "record", "--pid", str(pid), "--subprocesses", "--nonblocking"),
            *("--duration", str(seconds), "--rate", str(_PER_SECOND)),
            *("--format", kind, "--output", _PROFILE),
        ]
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        try:
            process = subprocess.Popen(  # noqa: S603
                command, executable=program, cwd=folder, stdin=null, stdout=null, stderr=pipe
            )
        except OSError as error:
            raise Failed(Outcome.PROFILER_MISSING, f"py-spy cannot be run: {error}") from None
        self._looking.add(process)
        try:
            _, said = process.communicate(timeout=seconds + _PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failed(Outcome.PROFILER_FAILED, "py-spy did not come to an end") from None
        finally:
            self._looking.discard(process)
        to = folder / _PROFILE
        if process.returncode or not to.exists():
            raise _failure(said.decode(errors="replace"), pid)
        return to


def find_program() -> str | None:
    """py-spy, beside this Python or on the PATH."""
    beside = os.path.dirname(sys.executable)  # noqa: PTH120
    return shutil.which("py-spy", path=beside) or shutil.which("py-spy")


def python_of(root: int) -> int:
    """The process of Python's to look at, with those below it.

    Where several stand beside each other, the one that has used the most CPU time.

    Raises:
        Failed: there is none.
    """
    found: list[int] = []
    below: set[int] = set()
    for pid in [root, *processes.descendants(root)]:
        if pid not in below and _is_python(pid):
            found.append(pid)
            below.update(processes.descendants(pid))
    topmost = [pid for pid in found if pid not in below]
    if not topmost:
        raise Failed(Outcome.NOT_PYTHON, "none of the task's processes is Python's")
    return max(topmost, key=_cpu_seconds)


def _is_python(pid: int) -> bool:
    try:
        program = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115
        if _PYTHON.fullmatch(os.path.basename(program)):  # noqa: PTH119
            return True
        with open(f"/proc/{pid}/maps") as file:  # noqa: PTH123
            return any(_LIBRARY.search(line) for line in file)
    except OSError:
        return False


def _cpu_seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return -1.0
    return float(times.user + times.system)


def _failure(said: str, pid: int) -> Failed:
    """What py-spy's words mean."""
    low = said.lower()
    if any(word in low for word in _FORBIDDEN):
        message = (
            "this node's kernel does not let the agent look into the process: it needs CAP_SYS_PTRACE, "
            "or kernel.yama.ptrace_scope = 0"
        )
        return Failed(Outcome.PROFILER_FORBIDDEN, message)
    if not psutil.pid_exists(pid):
        return Failed(Outcome.NOT_RUNNING, "the process ended while it was looked at")
    if "python version" in low or "python interpreter" in low:
        return Failed(Outcome.NOT_PYTHON, "py-spy finds no Python in the process")
    lines: Sequence[str] = said.strip().splitlines() or ["py-spy failed without a word"]
    return Failed(Outcome.PROFILER_FAILED, f"py-spy: {lines[-1]}")


def _outcome(directive: pb.ProfileDirective, failed: Failed) -> Outcome:
    return Outcome(
        profile_id=directive.profile_id,
        failure=failed.failure,
        message=text(failed.message, MAX_DETAIL),
    )
