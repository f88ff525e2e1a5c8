"""Runs real tasks under a real runner, and says in one line what became of them."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass_agent.checkpoints import Checkpoints
from windlass_agent.frames import Frame, frames
from windlass_agent.run_types import Isolation, Phase, RunExit, RunRequest, RunState
from windlass_agent.runner import Runner

PATIENCE_SECONDS = 30


def a_run(*command: str, **changes: object) -> RunRequest:
    """A run of a command with an id of its own."""
    fields: dict[str, object] = {"run_id": f"run-{secrets.token_hex(13)}", "epoch": 1}
    return RunRequest(**{**fields, "command": command, **changes})  # type: ignore[arg-type]


def a_script(source: str, *arguments: str, **changes: object) -> RunRequest:
    """A run of shell source."""
    return a_run("/bin/sh", "-c", source, "script", *arguments, **changes)


def processes_with(marker: str) -> list[int]:
    """Processes of this machine that have a text in their command line."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208  (names only)
        try:
            if marker.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


@dataclass
class Bench:
    """A runner with its states kept, so that a test can wait for any of them."""

    runner: Runner
    newest: dict[str, RunState] = field(default_factory=dict)
    history: list[RunState] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self) -> None:
        async for state in self.runner.changes():
            async with self.changed:
                self.newest[state.run_id] = state
                self.history.append(state)
                self.changed.notify_all()

    async def reaches(self, run_id: str, phase: Phase) -> RunState:
        """Wait for a run to get at least so far."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.changed:
            await self.changed.wait_for(
                lambda: run_id in self.newest and self.newest[run_id].phase >= phase
            )
            return self.newest[run_id]

    async def does(self, run_id: str, words: str) -> None:
        """Wait until a run says that this is done for it before its command starts."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.changed:
            await self.changed.wait_for(
                lambda: run_id in self.newest and words in self.newest[run_id].doing
            )

    async def start(self, request: RunRequest) -> RunState:
        """Start a run and wait until its command runs or could not."""
        await self.runner.run(request)
        return await self.reaches(request.run_id, Phase.RUNNING)

    async def end(self, request: RunRequest) -> RunExit:
        """Start a run if it is new, and wait for its end."""
        await self.runner.run(request)
        state = await self.reaches(request.run_id, Phase.EXITED)
        assert state.exit is not None
        return state.exit

    async def output(self, request: RunRequest) -> str:
        """Everything that a run said on both streams, once it has ended."""
        await self.end(request)
        return b"".join(frame.payload for frame in self.frames(request.run_id)).decode()

    def frames(self, run_id: str) -> list[Frame]:
        """The whole log as it is now."""
        reader, data = self.runner.log(run_id), b""
        while part := reader.read(len(data)):
            data += part
        return list(frames(data))

    async def says(self, run_id: str, text: str) -> str:
        """Wait until a text is in the log."""
        reader, data = self.runner.log(run_id), b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text.encode() not in data:
                assert await reader.wait(len(data)), f"ended without {text!r}: {data!r}"
                data += reader.read(len(data))
        return b"".join(frame.payload for frame in frames(data)).decode()


@asynccontextmanager
async def a_bench(
    data_dir: Path,
    isolation: Isolation,
    *,
    pids_limit: int = 256,
    checkpoints: Checkpoints | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    """A runner that is started, and that takes its tasks down at the end."""
    runner = Runner(data_dir, isolation, pids_limit=pids_limit, checkpoints=checkpoints, **options)
    bench = Bench(runner)
    following = asyncio.create_task(bench.follow())
    await asyncio.sleep(0)
    for state in await runner.start_up():
        bench.newest[state.run_id] = state
    try:
        yield bench
    finally:
        for state in runner.states():
            await runner.stop(state.run_id, 0)
        await runner.close(stop_tasks=True)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
