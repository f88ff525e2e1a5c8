"""Real tasks are looked into by the real py-spy, and where that does not go it is said why."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.tasks import Bench, a_run, a_script
from windlass.agents.v1 import profile_pb2 as pb
from windlass.types.v1.profile_pb2 import ProfileFormat
from windlass_agent.clock import SystemClock
from windlass_agent.profiler import Profiler

PYTHON = sys.executable
BUSY = """
import time
print("ready", flush=True)
def the_hot_loop():
    while True:
        sum(range(1000))
the_hot_loop()
"""
Outcome = pb.UploadProfileRequest


class Telling(Profiler):
    """Keeps what it would send."""

    async def _send(self, outcome: Outcome) -> None:
        self.outcome = outcome


async def taken(bench: Bench, run_id: str, epoch: int = 1, **options) -> Outcome:
    profiler = Telling(SystemClock(), bench.runner.root_of, **options)
    await profiler._serve(a_directive(run_id, epoch))
    return profiler.outcome


def a_directive(run_id: str, epoch: int = 1, kind=ProfileFormat.FLAMEGRAPH):
    directive = pb.ProfileDirective(profile_id="profile-1", run_id=run_id, epoch=epoch, format=kind)
    directive.duration.seconds = 1
    return directive


def a_program(tmp_path: Path, source: str) -> str:
    program = tmp_path / "py-spy"
    program.write_text(f"#!/bin/sh\n{source}\n")
    program.chmod(0o755)
    return str(program)


async def test_a_task_is_looked_into_on_every_rung(any_bench: Bench):
    run = a_run(PYTHON, "-c", BUSY)
    await any_bench.start(run)
    await any_bench.says(run.run_id, "ready")
    outcome = await taken(any_bench, run.run_id)
    assert outcome.message == ""
    assert outcome.profile_id == "profile-1"
    assert outcome.data.startswith(b"<?xml")
    assert b"the_hot_loop" in outcome.data
    # Nothing of the node is in it but what the task itself is.
    assert b"--output profile" in outcome.data


async def test_the_python_below_a_shell_that_works_is_the_one_that_is_looked_into(bench: Bench):
    script = '"$1" -c "import time; time.sleep(100)" & exec "$1" -c "$2"'
    run = a_script(script, PYTHON, BUSY)
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    assert b"the_hot_loop" in (await taken(bench, run.run_id)).data


@pytest.mark.parametrize(
    ("kind", "begins"),
    [(ProfileFormat.SPEEDSCOPE, b"{"), (ProfileFormat.RAW, b"process ")],
)
async def test_a_profile_has_other_forms(bench: Bench, kind: ProfileFormat.Kind, begins: bytes):
    run = a_run(PYTHON, "-c", BUSY)
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    profiler = Telling(SystemClock(), bench.runner.root_of)
    await profiler._serve(a_directive(run.run_id, kind=kind))
    assert profiler.outcome.data.startswith(begins)


async def test_what_is_not_pythons_is_not_looked_into(bench: Bench):
    run = a_script("echo ready; sleep 100")
    await bench.start(run)
    outcome = await taken(bench, run.run_id)
    assert outcome.failure == Outcome.NOT_PYTHON


async def test_what_does_not_run_is_not_looked_into(bench: Bench):
    run = a_run(PYTHON, "-c", "pass")
    await bench.end(run)
    assert (await taken(bench, run.run_id)).failure == Outcome.NOT_RUNNING
    assert (await taken(bench, "run-" + "0" * 26)).failure == Outcome.NOT_RUNNING


async def test_an_epoch_that_is_over_is_not_looked_into(bench: Bench):
    run = a_run(PYTHON, "-c", BUSY, epoch=2)
    await bench.start(run)
    assert (await taken(bench, run.run_id, epoch=1)).failure == Outcome.NOT_RUNNING


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        ("echo 'Error: Permission Denied: Try running again' >&2; exit 1", "PROFILER_FORBIDDEN"),
        ("echo 'Operation not permitted (os error 1)' >&2; exit 1", "PROFILER_FORBIDDEN"),
        ("echo 'Error: Failed to find python version from' >&2; exit 1", "NOT_PYTHON"),
        ("echo 'something else' >&2; exit 1", "PROFILER_FAILED"),
        ("exit 0", "PROFILER_FAILED"),
        ("head -c 3145729 /dev/zero > profile", "TOO_LARGE"),
    ],
)
async def test_what_keeps_py_spy_from_it_is_told(
    bench: Bench, tmp_path: Path, source: str, failure: str
):
    run = a_run(PYTHON, "-c", BUSY)
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    outcome = await taken(bench, run.run_id, program=a_program(tmp_path, source))
    assert Outcome.Failure.Name(outcome.failure) == failure
    assert outcome.message
    assert not outcome.data


async def test_a_node_without_py_spy_says_so(bench: Bench, tmp_path: Path):
    run = a_run(PYTHON, "-c", BUSY)
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    outcome = await taken(bench, run.run_id, program=str(tmp_path / "nothing"))
    assert outcome.failure == Outcome.PROFILER_MISSING


async def test_an_agent_that_ends_looks_no_longer(bench: Bench, tmp_path: Path):
    run = a_run(PYTHON, "-c", BUSY)
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    program = a_program(tmp_path, "exec sleep 100")
    profiler = Telling(SystemClock(), bench.runner.root_of, program=program)
    profiler.want(a_directive(run.run_id))
    task = profiler._busy[run.run_id]
    while not profiler._looking:  # noqa: ASYNC110
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await profiler.close()
        while profiler._looking:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert task.cancelled()


async def test_a_run_is_looked_into_once_at_a_time(bench: Bench, tmp_path: Path):
    run = a_run(PYTHON, "-c", BUSY)
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    program = a_program(tmp_path, "sleep 0.2; printf drawn > profile")
    profiler = Telling(SystemClock(), bench.runner.root_of, program=program)
    profiler.want(a_directive(run.run_id))
    profiler.want(a_directive(run.run_id))
    await profiler._busy["profile-1"]
    assert profiler.outcome.failure == Outcome.BUSY
    await profiler._busy[run.run_id]
    profiler.want(a_directive(run.run_id))
    await profiler._busy[run.run_id]
    assert profiler.outcome.failure == Outcome.FAILURE_UNSPECIFIED
    assert profiler.outcome.data == b"drawn"
