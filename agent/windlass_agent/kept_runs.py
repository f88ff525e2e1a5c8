"""Folders of runs in debug mode, which are kept for a while after their end for who looks for a fault."""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

MOST = 20
"""So many are kept on a node, whatever their age: the newest."""


@dataclass(frozen=True, slots=True)
class KeptRuns:
    """What is kept on a node.

    Attributes:
        folder: where, on the file system of the runs; hidden from tasks as they are.
        seconds: for how long; 0: not at all.
    """

    folder: Path
    seconds: float

    def keep(self, run: Path) -> bool:
        """Take over the folder of a run that is over; whether it is kept."""
        if not self.seconds:
            return False
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = self.folder / run.name
        with contextlib.suppress(FileNotFoundError):
            run.rename(kept)
            os.utime(kept)
        self.tidy()
        return True

    def tidy(self, now: float | None = None) -> None:
        """Remove what is too old, and what is too much."""
        now = time.time() if now is None else now  # noqa: TID251 - as files have it
        newest = sorted(self._ages(now))
        for place, (age, kept) in enumerate(newest):
            if place >= MOST or age >= self.seconds:
                shutil.rmtree(kept, ignore_errors=True)

    def _ages(self, now: float) -> list[tuple[float, Path]]:
        try:
            found = list(self.folder.iterdir())
        except OSError:
            return []
        ages = []
        for kept in found:
            with contextlib.suppress(OSError):
                ages.append((now - kept.stat().st_mtime, kept))
        return ages
