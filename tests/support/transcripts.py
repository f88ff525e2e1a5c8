"""Transcripts of pages under docs/: blocks of `console` with commands, and what each of them prints."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster import Cluster

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Begins the further lines of a command.
_GOES_ON = "> "
# Stands for whatever is different each time.
_ANYTHING = "…"


@dataclass(frozen=True)
class Step:
    """A command and the lines that the page says it prints; of these it prints at least these, in their order."""

    command: str
    told: tuple[str, ...]


def steps(page: str) -> list[Step]:
    """The commands of a page, in their order."""
    found = []
    for block in _BLOCK.findall((DOCS / page).read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *told = part.splitlines()
            while told and told[0].startswith(_GOES_ON):
                command += "\n" + told.pop(0).removeprefix(_GOES_ON)
            found.append(Step(command, tuple(told)))
    return found


async def follow(page: str, cluster: Cluster, folder: Path) -> int:
    """Run a page's commands in a shell, in a folder, and compare; returns how many."""
    binaries = Path(sys.executable).parent
    environment = {
        "PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "COLUMNS": "300",
        "WINDLASS_SERVER": cluster.grpc,
        "WINDLASS_TOKEN": cluster.token,
        "URL": f"http://{cluster.http}",
    }
    taken = steps(page)
    for step in taken:
        running = await asyncio.create_subprocess_exec(
            *("bash", "-c", step.command), stdout=PIPE, stderr=STDOUT, cwd=folder, env=environment
        )
        output, _ = await running.communicate()
        _require_told(step, [_plain(line) for line in output.decode().splitlines()])
    return len(taken)


def _require_told(step: Step, printed: list[str]) -> None:
    left = iter(printed)
    for line in step.told:
        pattern = re.compile(".*".join(re.escape(part) for part in _plain(line).split(_ANYTHING)))
        assert any(pattern.fullmatch(one) for one in left), (
            f"$ {step.command}\nshould print {line!r}, and printed:\n" + "\n".join(printed)
        )


def _plain(line: str) -> str:
    """A line with one space where a table has several."""
    return " ".join(line.split())
