"""Takes each safeguard of the scheduler away in a copy of the server, and sees tests turn red.

So the tests are known to notice: a test that passes with the check and without it says nothing.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SERVER = Path("windlass_server")
_FAILED = 1
"""pytest's exit status when tests ran and some failed; every other one is no verdict."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One safeguard that is taken away.

    Attributes:
        file: below `windlass_server`.
        check: the lines of the check, which the file has once.
        without: what stands there instead.
        tests: those that have to notice.
    """

    file: str
    check: str
    without: str
    tests: tuple[str, ...]


MUTATIONS = {
    "a gang gets a part of its nodes": Mutation(
        "scheduler/gang.py",
        "        if most < demand.min_nodes:\n            return None\n",
        "        if most < 1:\n            return None\n",
        ("tests/unit/scheduler/test_gang.py",),
    ),
    "GPUs that do not reach each other are given to who needs that": Mutation(
        "scheduler/filters.py",
        "    return suited(demand, room, room.islands), demand.gpu_count\n",
        "    return suited(demand, room, room.gpus), demand.gpu_count\n",
        ("tests/unit/scheduler/test_nvlink.py",),
    ),
    "more of those who are spread together lie in one domain than may": Mutation(
        "scheduler/filters.py",
        "    if demand.apart is None or not demand.apart.most:\n",
        "    if demand is not None:\n",
        ("tests/unit/scheduler/test_spreading.py",),
    ),
    "a job that names a reservation runs outside of it": Mutation(
        "scheduler/reserved.py",
        "            self._leave_only(view, key[3])\n",
        "            pass\n",
        ("tests/unit/scheduler/test_inside_reservations.py",),
    ),
    "a gang is committed without its other ranks": Mutation(
        "jobs/placing.py",
        "    places = [(one, rank) for one in placings for rank in range(len(one.run_ids))]\n",
        "    places = [(one, 0) for one in placings]\n",
        ("tests/storage/test_jobs_of_several_nodes.py", "-k", "sqlite"),
    ),
    "a plan gives more than a quota allows": Mutation(
        "scheduler/gates.py",
        "        refusal = self._quotas.refusal(demand)\n",
        "        refusal = None\n",
        ("tests/unit/scheduler/test_quota_gate.py",),
    ),
    "a commit takes more than a quota allows": Mutation(
        "access/quota_use.py",
        "        require_allowed(Use(map(quota_of, rows)), ask)\n    _count(tx, rows, ask, 1)\n",
        "        pass\n    _count(tx, rows, ask, 1)\n",
        ("tests/storage/test_quota_use.py", "-k", "sqlite"),
    ),
    "a scheduler that was replaced still commits": Mutation(
        "storage/duties.py",
        '        return _FENCE.first(self._connection, {"key": duty, "epoch_seen": epoch}) is not None\n',
        "        return True\n",
        ("tests/storage/test_scheduler_lease.py", "-k", "sqlite"),
    ),
    "GPUs that are not there are given out": Mutation(
        "scheduler/filters.py",
        "    return suited(demand, room, room.gpus), demand.gpu_count\n",
        "    return suited(demand, room, room.gpus), 0\n",
        ("tests/unit/scheduler/test_plan_properties.py",),
    ),
    "others are stopped for a part of a gang": Mutation(
        "scheduler/several_victims.py",
        "        victims, lacking = wide, kind.min_nodes - len(nodes)\n",
        "        victims, lacking = wide, 1 - len(nodes)\n",
        ("tests/unit/scheduler/test_gang_preemption.py",),
    ),
    "a promised start is kept from nobody": Mutation(
        "scheduler/ledger.py",
        "        self.reserved.promise(demand, index, at, there, gpu_type)\n",
        "",
        ("tests/unit/scheduler/test_backfill_properties.py",),
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", MUTATIONS)
def test_without_its_safeguard_tests_turn_red(what: str, tmp_path: Path) -> None:
    mutation = MUTATIONS[what]
    shutil.copytree(ROOT / "server" / _SERVER, tmp_path / _SERVER)
    file = tmp_path / _SERVER / mutation.file
    text = file.read_text(encoding="utf-8")
    assert text.count(mutation.check) == 1, "the check has moved: mend this table"
    file.write_text(text.replace(mutation.check, mutation.without), encoding="utf-8")
    done = run(mutation.tests, tmp_path)
    assert done.returncode == _FAILED, done.stdout


def run(tests: tuple[str, ...], server: Path) -> subprocess.CompletedProcess[str]:
    """Run tests, up to the first that fails, with another server."""
    argv = (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "0", *tests)
    # The first on the path, before the server of the checkout.
    environment = os.environ | {"PYTHONPATH": str(server)}
    return subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280
    )


def test_another_server_is_what_the_tests_run_with(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "server" / _SERVER, tmp_path / _SERVER)
    script = "import windlass_server; print(windlass_server.__file__)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        (sys.executable, "-c", script), env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path))
