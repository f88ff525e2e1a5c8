"""Checkpoints without a server: the test says when one is kept or brought, and what goes wrong."""

import asyncio
from pathlib import Path

from windlass_agent.run_types import RunExit, RunRequest


class FakeCheckpoints:
    """What a runner asks for, with what lay in the folders.

    Args:
        problem: What is answered to everything; empty when all goes well.
        files: What is restored, by name.
    """

    def __init__(self, problem: str = "", **files: str) -> None:
        self.problem = problem
        self.files = files
        self.defect: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()
        self.asked = asyncio.Event()
        self.saved: list[tuple[str, RunExit | None, dict[str, str]]] = []

    async def save(self, run: RunRequest, end: RunExit | None, folder: Path) -> str:
        """Keep what lies in the folder, when the test lets it."""
        self.asked.set()
        await self.go.wait()
        if self.defect is not None:
            raise self.defect
        self.saved.append((run.run_id, end, _content(folder)))
        return self.problem

    async def restore(self, run: RunRequest, folder: Path) -> str:
        """Bring the files, when the test lets it."""
        self.asked.set()
        await self.go.wait()
        for name, text in self.files.items():
            (folder / name).write_text(text)
        return self.problem


def _content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != ".save"}
