"""Keeping a child process alive until it is told to end, or refuses its configuration."""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from windlass_client.errors import WindlassError

T = TypeVar("T")

EXIT_CONFIGURATION = 2

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Launch:
    """What a child is started with."""

    argv: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Backoff:
    """Pauses between restarts, in seconds; one that ran for `healthy` starts over at `first`."""

    first: float = 0.2
    longest: float = 5.0
    healthy: float = 10.0


class Refused(Exception):
    """It cannot run as configured: starting it again cannot help."""


class Child:
    """One supervised process.

    It runs in a session of its own, so that a Ctrl-C of the terminal reaches only us and the order
    of the ends is ours; its own `--die-with-parent` ends it when we are killed, and until it has come
    to that the kernel does.

    Args:
        name: for people.
        prepare: makes the next start's command line; raises WindlassError when it cannot yet.
        say: prints a line for people.
        output: file descriptor for its output; ours by default.
        patience: seconds between SIGTERM and SIGKILL.
        backoff: pauses between restarts.
    """

    def __init__(
        self,
        name: str,
        prepare: Callable[[], Coroutine[Any, Any, Launch]],
        say: Callable[[str], None],
        *,
        output: int | None = None,
        patience: float = 30.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self._prepare = prepare
        self._say = say
        self._output = output
        self._patience = patience
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> "asyncio.Task[None]":
        """Start and keep alive; the task ends after `stop`, or with Refused."""
        self._task = asyncio.create_task(self._keep_alive(), name=f"keep the {self.name} alive")
        return self._task

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL for one that does not end in time; returns when it is gone."""
        self._stopping.set()
        if self._task is None:
            return
        self._signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self._task], timeout=self._patience)
        if not done:
            self._say(f"the {self.name} does not end; killing it")
            self._signal(signal.SIGKILL)
        await asyncio.wait([self._task])

    def kill(self) -> None:
        """End it at once; for those who press Ctrl-C twice."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _keep_alive(self) -> None:
        delay = self._backoff.first
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            why = await self._run_once()
            if self._stopping.is_set():
                return
            if loop.time() - started >= self._backoff.healthy:
                delay = self._backoff.first
            self._say(f"{why}; trying again in {delay:g} s")
            await self._unless_stopping(asyncio.sleep(delay))
            delay = min(delay * 2, self._backoff.longest)

    async def _run_once(self) -> str:
        """Start it and wait for its end; why it ended, in words."""
        try:
            launch = await self._unless_stopping(self._prepare())
        except WindlassError as error:
            return f"the {self.name} cannot be started yet ({error.message})"
        if launch is None:
            return "stopping"
        self._process = await asyncio.create_subprocess_exec(
            *launch.argv,
            env=launch.env,
            stdin=DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
            preexec_fn=_killed_with_parent(),
        )
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        code = await self._process.wait()
        if code == EXIT_CONFIGURATION and not self._stopping.is_set():
            raise Refused(f"the {self.name} refused its configuration; its message is above")
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"the {self.name} {how}"

    async def _unless_stopping(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`; None when `stop` comes first, which cancels it."""
        return await unless(self._stopping, work)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, number)


def _killed_with_parent() -> Callable[[], None] | None:
    """What a child of this process does first: ask the kernel to kill it when this one ends.

    That holds beyond exec, until the program asks for a gentler signal; without it, a program would
    run on whose parent was killed while it started. It runs between fork and exec, so it only calls
    what was looked up before.
    """
    if sys.platform != "linux":
        return None
    prctl, getppid, parent = ctypes.CDLL(None).prctl, os.getppid, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if getppid() != parent:
            os._exit(1)

    return ask


def watch_without_threads() -> None:
    """Let asyncio learn of children's ends from the kernel instead of from a thread for each.

    That is what it does by itself from Python 3.12; see `cluster` for why the threads matter.
    """
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None when the event comes first, which cancels it."""
    task = asyncio.ensure_future(work)
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        await _cancelled(task, waiter)


async def _cancelled(*tasks: Awaitable[Any]) -> None:
    """Cancel what still runs and let it unwind; results and errors were looked at already."""
    for task in tasks:
        assert isinstance(task, asyncio.Future)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
