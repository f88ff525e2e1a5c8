"""Real shims, real processes, and whatever isolation this machine has."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.tasks import Bench, a_bench
from windlass_agent import canary
from windlass_agent.run_types import Isolation, Level


@pytest.fixture(scope="session")
def machine() -> Isolation:
    """What the canary proved on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        return canary.detect(Path(folder))


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder where an agent's really is: not below /tmp, which tasks never see anyway."""
    parent = Path("/var/lib")
    if not os.access(parent, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-", dir=parent))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def bench(data_dir: Path, machine: Isolation) -> AsyncIterator[Bench]:
    """A runner with all that this machine can enforce."""
    async with asyncio.timeout(100), a_bench(data_dir, machine) as bench:
        yield bench


def weaker(machine: Isolation, level: Level) -> Isolation:
    return Isolation(level, machine.cgroup_limits, machine.cgroup_version, "a test")


@pytest.fixture(params=[Level.SANDBOX, Level.NAMESPACES, Level.RLIMITS, "RLIMITS, no cgroup"])
async def any_bench(
    request: pytest.FixtureRequest, data_dir: Path, machine: Isolation
) -> AsyncIterator[Bench]:
    """A runner on each rung of the ladder that this machine has."""
    if request.param == "RLIMITS, no cgroup":
        isolation = Isolation(Level.RLIMITS, degraded_reason="a test")
    else:
        if machine.level < request.param:
            pytest.skip(f"this machine has no {request.param.name}: {machine.degraded_reason}")
        isolation = weaker(machine, request.param)
    async with asyncio.timeout(100), a_bench(data_dir, isolation) as bench:
        yield bench


@pytest.fixture
def sandbox(machine: Isolation) -> None:
    if machine.level < Level.SANDBOX:
        pytest.skip(f"this machine has no sandbox: {machine.degraded_reason}")


@pytest.fixture
def all_limits(machine: Isolation) -> None:
    if machine.cgroup_limits != ("cpu", "memory", "pids"):
        pytest.skip(f"this machine's cgroups enforce only {machine.cgroup_limits}")
