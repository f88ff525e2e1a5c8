"""What docs/jobs.md shows is what a server answers: each of its commands is run, in their order."""

import asyncio
import fnmatch
import json
import os
import re
import shutil
import signal
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.cluster import Cluster

PAGE = Path(__file__).parents[3] / "docs" / "jobs.md"
_END = "-- end of answer --"
_MISSING = object()
_COMMAND_SECONDS = 60


def steps() -> list[tuple[str, str]]:
    """Each command with what is said to come of it."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        command, answer = "", ""
        for line in [*block.splitlines(), "$ "]:
            if line.startswith("$ "):
                if command:
                    found.append((command, answer.strip()))
                command, answer = line.removeprefix("$ "), ""
            elif not answer and (command.endswith("\\") or command.count("'") % 2):
                command += "\n" + line
            else:
                answer += line + "\n"
    return found


def differences(shown: Any, real: Any, path: str = "") -> list[str]:
    """Where an answer is not what is shown of it: fields that are not shown may be there, too."""
    if isinstance(shown, dict) and isinstance(real, dict):
        return [
            each
            for key, value in shown.items()
            for each in differences(value, real.get(key, _MISSING), f"{path}.{key}")
        ]
    if isinstance(shown, list) and isinstance(real, list):
        open_ended = bool(shown) and shown[-1] == "…"
        shown = shown[:-1] if open_ended else shown
        if len(real) < len(shown) or (len(real) > len(shown) and not open_ended):
            return [f"{path}: {len(real)} elements"]
        pairs = enumerate(zip(shown, real, strict=False))
        return [each for n, (a, b) in pairs for each in differences(a, b, f"{path}[{n}]")]
    if isinstance(shown, str) and isinstance(real, str):
        return [] if like(shown, real) else [f"{path}: {real!r}"]
    return [] if shown == real else [f"{path}: {real!r}"]


def like(shown: str, real: str) -> bool:
    pattern = "".join("*" if part == "…" else glob(part) for part in re.split("(…)", shown))
    return fnmatch.fnmatchcase(real, pattern)


def glob(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def wrong(shown: str, real: str) -> list[str]:
    try:
        expected = json.loads(shown)
    except ValueError:
        lines = shown.splitlines()
        if len(lines) != len(real.splitlines()):
            return [real]
        return [b for a, b in zip(lines, real.splitlines(), strict=True) if not like(a, b)]
    try:
        return differences(expected, json.loads(real))
    except ValueError:
        return [real]


class Shell:
    """One shell for all commands, as a reader has."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path) -> AsyncIterator[Self]:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-u"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            limit=1 << 24,
            cwd=folder,
            start_new_session=True,
        )
        try:
            yield cls(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # A command that waits, waits in vain now.
            await process.wait()

    async def run(self, command: str) -> str:
        try:
            async with asyncio.timeout(_COMMAND_SECONDS):
                return await self._run(command)
        except TimeoutError:
            raise AssertionError(f"no answer in {_COMMAND_SECONDS} s: {command}") from None

    async def _run(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho; echo '{_END}'\n".encode())
        lines = []
        async for line in self._process.stdout:
            if line.decode().strip() == _END:
                return "".join(lines).strip()
            lines.append(line.decode())
        raise AssertionError(f"the shell ended: {''.join(lines)}")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="no curl, or no jq")
async def test_every_command_of_the_page_is_answered_as_it_says(shared: Cluster, tmp_path: Path):
    walked = steps()
    assert len(walked) > 30
    async with Shell.opened(tmp_path) as shell:
        for command, shown in walked:
            here = command.replace("http://127.0.0.1:8080", f"http://{shared.http}")
            here = here.replace("windlass-data/", f"{shared.directory}/data/")
            real = await shell.run(here)
            assert not wrong(shown, real), f"{command}\n{real}"


def test_an_answer_that_is_another_one_is_told():
    assert wrong('{"a": "job-…"}', '{"a": "job-1", "b": 2}') == []
    assert wrong('{"a": "job-…"}', '{"a": "run-1"}') == [".a: 'run-1'"]
    assert wrong('{"a": [1, "…"]}', '{"a": [1, 2, 3]}') == []
    assert wrong('{"a": [1]}', '{"a": [1, 2]}') == [".a: 2 elements"]
    assert wrong('{"a": {"b": null}}', '{"a": {}}')
    assert wrong("a…\nb", "ax\nb") == []
    assert wrong("a\nb", "a") == ["a"]
    assert wrong('{"a": "x*"}', '{"a": "xyz"}')
