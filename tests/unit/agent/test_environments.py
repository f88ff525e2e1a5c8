"""Virtual environments that are kept: which Python, which key, and which of them go."""

import fcntl
import json
import os
import sys
from pathlib import Path

import pytest

from windlass_agent import environments
from windlass_agent.environments import Environment, Interpreter, key_of, trim
from windlass_agent.run_types import Packages, RunRequest

PYTHON = Interpreter("/usr/bin/python3", "1 2")


def a_request(project: str = "vision", *requirements: str) -> RunRequest:
    packages = Packages(requirements or ("numpy>=2", "tqdm"))
    return RunRequest("run-1", 1, ("true",), project=project, packages=packages)


def an_environment(base: Path, key: str, size: int, used_at: int) -> Environment:
    """One that is ready, and held by nobody."""
    made = Environment(base, key)
    assert made.hold(lambda: False) is False
    made.begin(Packages(("a",)))
    made.done()
    (base / key / "ready.json").write_text(json.dumps({"size": size}))
    let_go(made)
    os.utime(base / f"{key}.lock", (used_at, used_at))
    return made


def let_go(environment: Environment) -> None:
    """As the end of the process that holds it."""
    os.close(environment._fd)
    environment._fd = -1


def kept(base: Path) -> set[str]:
    return {one.name for one in base.iterdir() if one.is_dir()}


def test_the_key_is_of_project_python_index_and_requirements_in_any_order():
    keys = {
        key_of(a_request(), PYTHON, ""),
        key_of(a_request("speech"), PYTHON, ""),
        key_of(a_request("vision", "numpy>=2"), PYTHON, ""),
        key_of(a_request(), Interpreter("/usr/bin/python3", "1 3"), ""),
        key_of(a_request(), PYTHON, "http://index"),
    }
    assert len(keys) == 5
    assert key_of(a_request("vision", "tqdm", "numpy>=2", "tqdm"), PYTHON, "") in keys


def test_the_python_of_a_version_is_the_nodes_or_the_agents():
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    for version in ("", ours):
        found = environments.interpreter(version)
        assert found is not None
        assert os.access(found.path, os.X_OK)
    assert environments.interpreter("3.99") is None


def test_those_that_were_not_used_for_longest_go_until_the_rest_fits(tmp_path: Path):
    for number, key in enumerate("abcd"):
        an_environment(tmp_path, key, size=10, used_at=number)
    assert trim(tmp_path, 25) == 20
    assert kept(tmp_path) == {"c", "d"}
    assert trim(tmp_path, 0) == 0
    assert not list(tmp_path.iterdir())
    assert trim(tmp_path / "nothing", 0) == 0


def test_what_is_used_stays_whatever_its_size(tmp_path: Path):
    used = an_environment(tmp_path, "a", size=100, used_at=1)
    an_environment(tmp_path, "b", size=10, used_at=2)
    assert used.hold(lambda: False) is True
    assert trim(tmp_path, 0) == 100
    assert kept(tmp_path) == {"a"}
    let_go(used)
    trim(tmp_path, 0)
    assert kept(tmp_path) == set()


def test_a_use_makes_it_the_newest(tmp_path: Path):
    used = an_environment(tmp_path, "a", size=10, used_at=1)
    an_environment(tmp_path, "b", size=10, used_at=2)
    used.hold(lambda: False)
    let_go(used)
    trim(tmp_path, 10)
    assert kept(tmp_path) == {"a"}


def test_what_was_left_half_made_is_made_anew(tmp_path: Path):
    half = Environment(tmp_path, "a")
    assert half.hold(lambda: False) is False
    half.begin(Packages(("a",)))
    (Path(half.tree) / "left").touch()
    let_go(half)
    again = Environment(tmp_path, "a")
    assert again.hold(lambda: False) is False
    again.begin(Packages(("b",)))
    assert [one.name for one in Path(again.tree).iterdir()] == ["requirements.txt"]
    again.give_up()
    assert kept(tmp_path) == set()


def test_who_waits_for_one_that_is_removed_makes_it_anew(tmp_path: Path):
    an_environment(tmp_path, "a", size=10, used_at=1)
    fd = os.open(tmp_path / "a.lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)

    def removed() -> bool:
        (tmp_path / "a.lock").unlink()
        (tmp_path / "a").rename(tmp_path / ".trash-a")
        os.close(fd)
        return True

    waiting = Environment(tmp_path, "a")
    assert waiting.hold(removed) is False
    assert (tmp_path / "a.lock").exists()


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_who_is_stopped_waits_no_longer(tmp_path: Path, kind: int):
    fd = os.open(tmp_path / "a.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, kind)
    assert Environment(tmp_path, "a").hold(lambda: False) is None
    os.close(fd)
