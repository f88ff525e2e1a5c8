"""What a node brings about before a command starts, in the command's isolation, with a runner and no server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agent_tasks.conftest import weaker
from tests.support.served_files import Gate, a_repository, add_wheel, gate_to, served
from tests.support.tasks import Bench, a_bench, a_script
from windlass_agent.environments import Packaging, installer
from windlass_agent.run_types import (
    Cause,
    Commit,
    Isolation,
    Level,
    Packages,
    Phase,
    RunRequest,
)
from windlass_agent.runner import Runner
from windlass_agent.sources import BadArchive

LEVELS = [Level.SANDBOX, Level.NAMESPACES, Level.RLIMITS]
MIB = 1 << 20


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest, machine: Isolation) -> Isolation:
    """Each rung of the ladder that this machine has."""
    if machine.level < request.param:
        pytest.skip(f"this machine has no {request.param.name}: {machine.degraded_reason}")
    return weaker(machine, request.param)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The URL of an index with one package."""
    add_wheel(tmp_path / "index", "greeting", "def main(): print('hello from a package')\n")
    with served(tmp_path / "index") as url:
        yield url


def packaging(index: str) -> Packaging:
    return Packaging(installer(), index)


def scripted(text: str, **values: object) -> RunRequest:
    return replace(a_script("", **values), command=(), script=text)


def with_packages(script: str, *requirements: str, **values: object) -> RunRequest:
    run = a_script(script, project="vision", memory_bytes=256 * MIB, **values)
    return replace(run, packages=Packages(requirements))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/usr/bin/env python3\nprint(6 * 7)", "42\n"),
        ("echo plain $0 | tr -d /", None),
        ('#!/bin/sh\ntest -x "$WINDLASS_SCRIPT" && echo found\n', "found\n"),
        ("echo caf\u00e9\r", "caf\u00e9\r\n"),
    ],
)
async def test_a_script_is_run_by_its_first_line_or_by_sh(
    bench: Bench, text: str, says: str | None
):
    output = await bench.output(scripted(text))
    assert output == says if says else output.startswith("plain ")


async def test_a_script_cannot_be_changed_by_its_run(level: Isolation, data_dir: Path):
    if level.level is Level.RLIMITS:
        pytest.skip("nothing keeps a task from its files there")
    async with a_bench(data_dir, level) as bench:
        run = scripted('(echo x > "$WINDLASS_SCRIPT") 2>/dev/null || echo kept')
        assert await bench.output(run) == "kept\n"


async def test_a_script_whose_interpreter_is_not_there_is_a_bad_command(bench: Bench):
    end = await bench.end(scripted("#!/no/such/program\n"))
    assert end.cause is Cause.BAD_COMMAND
    assert "the interpreter that its first line names" in end.message


async def test_a_commit_is_checked_out_where_the_command_starts(
    level: Isolation, data_dir: Path, tmp_path: Path
):
    commit = a_repository(tmp_path / "repository.git", **{"train.txt": "weights"})
    with served(tmp_path) as url:
        run = a_script(
            'cat train.txt; echo; test "$PWD" = "$WINDLASS_SOURCE" && git rev-parse HEAD'
        )
        run = replace(run, commit=Commit(f"{url}/repository.git", commit))
        async with a_bench(data_dir, level) as bench:
            assert await bench.output(run) == f"weights\n{commit}\n"


@pytest.mark.parametrize("path", ["/repository.git", "/nothing.git"])
async def test_a_commit_that_cannot_be_fetched_ends_the_run_with_gits_words_in_its_log(
    bench: Bench, tmp_path: Path, path: str
):
    a_repository(tmp_path / "repository.git", file="x")
    with served(tmp_path) as url:
        run = replace(a_script("echo never"), commit=Commit(url + path, "0" * 40))
        end = await bench.end(run)
    assert (end.cause, end.exit_code) == (Cause.SOURCE_FETCH_FAILED, None)
    output = await bench.output(run)
    assert "fatal" in output
    assert "never" not in output.splitlines()


async def test_other_protocols_are_refused_also_behind_the_contracts_back(
    data_dir: Path, machine: Isolation, tmp_path: Path
):
    commit = a_repository(tmp_path / "repository.git", file="x")
    repositories = (
        f"file://{tmp_path}/repository.git",
        str(tmp_path / "repository.git"),
        f"ext::sh -c touch% {tmp_path}/ran",
        f"--upload-pack=touch {tmp_path}/ran",
    )
    # Where nothing but git itself keeps a task from the files of this machine.
    async with a_bench(data_dir, weaker(machine, Level.RLIMITS)) as bench:
        for repository in repositories:
            run = replace(a_script("echo never"), commit=Commit(repository, commit))
            assert (await bench.end(run)).cause is Cause.SOURCE_FETCH_FAILED, repository
            assert not (tmp_path / "ran").exists()


async def test_packages_are_installed_once_and_come_first_in_the_path(
    level: Isolation, data_dir: Path, index: str
):
    async with a_bench(data_dir, level, packages=packaging(index)) as bench:
        first = with_packages("greeting-says; echo $VIRTUAL_ENV", "greeting==1.0")
        output = await bench.output(first)
        assert "hello from a package\n" in output
        assert "greeting==1.0" in output
        again = with_packages(
            'greeting-says; (echo x > "$VIRTUAL_ENV/x") && echo wrote', "greeting==1.0"
        )
        output = await bench.output(again)
        assert output.startswith("hello from a package\n")
        assert ("wrote" in output) == (level.level is Level.RLIMITS)
        environments = [one for one in (data_dir / "environments").iterdir() if one.is_dir()]
        assert len(environments) == 1
        other = with_packages("greeting-says", "greeting==1.0")
        output = await bench.output(replace(other, project="speech"))
        assert "greeting==1.0" in output, "one project has what another has installed"


async def test_runs_at_once_install_once(bench_with_packages: Bench, data_dir: Path):
    runs = [with_packages("greeting-says", "greeting") for _ in range(3)]
    outputs = await asyncio.gather(*(bench_with_packages.output(run) for run in runs))
    assert all("hello from a package" in output for output in outputs)
    assert sum("greeting==1.0" in output for output in outputs) == 1


async def test_packages_that_there_are_not_end_the_run_with_the_installers_words(
    bench_with_packages: Bench, data_dir: Path
):
    run = with_packages("echo never", "nowhere-to-be-found")
    end = await bench_with_packages.end(run)
    assert (end.cause, end.exit_code) == (Cause.ENVIRONMENT_BUILD_FAILED, None)
    assert "installing 1 requirement" in end.message
    assert "nowhere-to-be-found" in await bench_with_packages.output(run)
    assert not [one for one in (data_dir / "environments").iterdir() if one.is_dir()]


async def test_a_python_that_the_node_has_not_is_said(bench_with_packages: Bench):
    run = replace(a_script("true"), packages=Packages((), "3.99"))
    end = await bench_with_packages.end(run)
    assert (end.cause, end.message) == (
        Cause.ENVIRONMENT_BUILD_FAILED,
        "This node has no Python 3.99.",
    )


async def test_the_time_limit_counts_from_the_commands_start_and_what_is_done_is_told(
    bench_with_packages: Bench,
):
    # No step of a preparation is done in a millisecond.
    run = with_packages("greeting-says", "nowhere", time_limit_seconds=0.001)
    await bench_with_packages.runner.run(run)
    await bench_with_packages.does(run.run_id, "installing 1 requirement")
    end = await bench_with_packages.end(run)
    assert end.cause is Cause.ENVIRONMENT_BUILD_FAILED


@pytest.fixture
async def bench_with_packages(data_dir: Path, machine: Isolation, index: str):
    async with a_bench(data_dir, machine, packages=packaging(index)) as bench:
        yield bench


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    """A repository that nobody reads before the test says so; its commit is `COMMIT` of the folder."""
    commit = a_repository(tmp_path / "repository.git", file="content")
    (tmp_path / "COMMIT").write_text(commit)
    with served(tmp_path) as url:
        async with gate_to(url) as gate:
            yield gate


def behind(gate: Gate, tmp_path: Path, script: str = "cat file") -> RunRequest:
    commit = Commit(f"{gate.url}/repository.git", (tmp_path / "COMMIT").read_text())
    return replace(a_script(script), commit=commit)


async def test_a_run_is_stopped_while_it_is_prepared(bench: Bench, gate: Gate, tmp_path: Path):
    run = behind(gate, tmp_path)
    await bench.runner.run(run)
    await gate.asked.wait()
    await bench.runner.stop(run.run_id, 0)
    end = (await bench.reaches(run.run_id, Phase.EXITED)).exit
    assert end is not None
    assert (end.cause, end.exit_code, end.exit_signal) == (Cause.STOPPED, None, None)
    assert "fetching commit" in end.message


async def test_a_preparation_outlives_its_agent_and_the_next_one_adopts_it(
    data_dir: Path, level: Isolation, gate: Gate, tmp_path: Path
):
    run = behind(gate, tmp_path)
    first = Runner(data_dir, level)
    await first.start_up()
    await first.run(run)
    await gate.asked.wait()
    await first.close(stop_tasks=False)
    async with a_bench(data_dir, level) as bench:
        state = bench.newest[run.run_id]
        assert state.phase is Phase.PREPARING
        assert "fetching commit" in state.doing
        gate.open.set()
        assert await bench.output(run) == "content"


class HeldSources:
    """Archives of one file, which come when the test says so."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def bring(self, run: RunRequest, file: Path, folder: Path) -> str:
        self.asked.set()
        if not self.go.is_set():
            (folder / "half").write_text("half")
        await self.go.wait()
        (folder / "file").write_text(f"of {run.source_id}")
        return self.problem


def with_archive(script: str, **values: Any) -> RunRequest:
    return replace(a_script(script), source_id="source-1", **values)


async def test_files_that_were_on_their_way_come_anew_to_the_next_agent(
    data_dir: Path, machine: Isolation
):
    run = with_archive("ls; cat file")
    held, ready = HeldSources(), HeldSources()
    first = Runner(data_dir, machine, sources=held)
    await first.start_up()
    await first.run(run)
    await held.asked.wait()
    await first.close(stop_tasks=False)
    ready.go.set()
    async with a_bench(data_dir, machine, sources=ready) as bench:
        assert await bench.output(run) == "file\nof source-1"


async def test_a_run_whose_secrets_are_forgotten_is_lost_instead(
    data_dir: Path, machine: Isolation
):
    run = with_archive("true", has_secrets=True)
    held = HeldSources()
    first = Runner(data_dir, machine, sources=held)
    await first.start_up()
    await first.run(run)
    await held.asked.wait()
    await first.close(stop_tasks=False)
    async with a_bench(data_dir, machine, sources=held) as bench:
        assert (await bench.end(run)).cause is Cause.LOST


@pytest.mark.parametrize(
    ("problem", "cause"),
    [
        (BadArchive("bad"), Cause.SOURCE_UNPACK_FAILED),
        ("not there", Cause.SOURCE_UNAVAILABLE),
    ],
)
async def test_files_that_do_not_come_end_the_run(
    data_dir: Path, machine: Isolation, problem: str, cause: Cause
):
    sources = HeldSources(problem)
    sources.go.set()
    async with a_bench(data_dir, machine, sources=sources) as bench:
        end = await bench.end(with_archive("true"))
    assert (end.cause, end.message) == (cause, problem)


async def test_a_run_is_stopped_while_its_files_come(data_dir: Path, machine: Isolation):
    held = HeldSources()
    async with a_bench(data_dir, machine, sources=held) as bench:
        run = with_archive("true")
        await bench.runner.run(run)
        await held.asked.wait()
        await bench.runner.stop(run.run_id, 0)
        end = (await bench.reaches(run.run_id, Phase.EXITED)).exit
    assert end is not None
    assert end.cause is Cause.STOPPED
