"""What a shim brings about before it starts a task's command, each step in the task's own isolation.

A step is a task by itself: it has the user's memory and CPU, sees what the command will see and writes where that
may write. So a repository or a package that runs code while it is fetched or installed gets no more than the
command would have.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from windlass_agent import environments, launch, rundir
from windlass_agent.environments import Environment, Interpreter
from windlass_agent.launch import Program
from windlass_agent.run_types import Cause, Commit, RunExit
from windlass_agent.rundir import Intent
from windlass_agent.verdict import verdict
from windlass_agent.watch import Ending

STEP_SECONDS = 3600.0
"""A step that takes longer has failed."""
# What of a user's variables a step needs as well.
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
_LAST_WORDS = 300
_COMPLAINTS = ("error", "fatal")

_FETCH = """\
set -eu
git init -q --template= .
# Some servers give only what a branch or a tag names.
git fetch -q --depth=1 --no-tags --no-recurse-submodules -- "$1" "$2" 2>/dev/null ||
  git fetch -q --no-tags --no-recurse-submodules -- "$1" \\
    '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'
git -c advice.detachedHead=false checkout -q --detach "$2"
test "$(git rev-parse HEAD)" = "$2"
"""
_INSTALL = """\
set -eu
cd "$3"
mkdir -p tmp
"$1" venv -q --no-project --python "$2" venv
if test -s requirements.txt; then
  "$1" pip install --python venv/bin/python -r requirements.txt
fi
rm -rf tmp cache
"""
_GIT = {
    "GIT_ALLOW_PROTOCOL": "https:http",
    "GIT_ASKPASS": "/bin/false",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_UV = {
    # What is read-only later cannot be compiled then.
    "UV_COMPILE_BYTECODE": "1",
    "UV_NO_CONFIG": "1",
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
    # As the machine's owner trusts, who may have an index of his own.
    "UV_SYSTEM_CERTS": "1",
    "NO_COLOR": "1",
}


class Watched(Protocol):
    """Runs one program of a task to its end, with its output in the task's log."""

    def __call__(self, program: Program, *, time_limit: float) -> Ending: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the shim gives to a preparation.

    Attributes:
        watched: runs a step.
        wait: waits a moment.
        stopped: why the task is to be stopped; None: it is not.
        tell: says what is being done, in a few words.
        oom_kills: how many processes of the task the kernel has killed for its memory.
    """

    watched: Watched
    wait: Callable[[], None]
    stopped: Callable[[], Cause | None]
    tell: Callable[[str], None]
    oom_kills: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What has become of it: an end of the run, or the folder of its virtual environment if it has one."""

    end: RunExit | None = None
    environment: str = ""


def prepare(intent: Intent, work: str, around: Surroundings) -> Prepared:
    """Do what a task's command needs; its virtual environment stays held as long as this process lives."""
    request = intent.request
    if request.commit is not None:
        end = _step(intent, around, _fetching(intent, request.commit, work))
        if end is not None:
            return Prepared(end)
    if request.packages is None:
        return Prepared()
    return _environment(intent, work, around)


@dataclass(frozen=True, slots=True)
class _Step:
    doing: str
    program: Program
    cause: Cause


def _fetching(intent: Intent, commit: Commit, work: str) -> _Step:
    variables = _variables(intent, work) | _GIT
    command = ("/bin/sh", "-c", _FETCH, "fetch", commit.repository, commit.commit)
    doing = f"fetching commit {commit.commit[:12]} of {commit.repository}"
    program = Program(command, work, variables, tuple(rundir.kept(work)))
    return _Step(doing, program, Cause.SOURCE_FETCH_FAILED)


def _environment(intent: Intent, work: str, around: Surroundings) -> Prepared:
    packages, setup = intent.request.packages, intent.setup
    assert packages is not None
    python = environments.interpreter(packages.version)
    if python is None:
        return _no_environment(f"This node has no Python {packages.version}".rstrip())
    if not setup.uv:
        return _no_environment("This node has no uv, which installs packages")
    key = environments.key_of(intent.request, python, setup.index_url)
    environment = Environment(Path(setup.environments), key)
    step = _installing(intent, work, environment, python)
    return _installed(intent, around, environment, step)


def _installed(
    intent: Intent, around: Surroundings, environment: Environment, step: _Step
) -> Prepared:
    """Have an environment, which is installed unless somebody has done that."""
    assert intent.request.packages is not None
    told = False

    def wait() -> bool:
        nonlocal told
        if not told:
            around.tell("waiting for another run that installs the same requirements")
            told = True
        around.wait()
        return around.stopped() is None

    while True:
        ready = environment.hold(wait)
        if ready is None:
            cause = around.stopped() or Cause.STOPPED
            return Prepared(RunExit(cause, 0, message="Stopped while it was prepared."))
        if ready:
            return Prepared(environment=environment.tree)
        environment.begin(intent.request.packages)
        end = _step(intent, around, step)
        if end is not None:
            environment.give_up()
            return Prepared(end)
        environment.done()


def _installing(intent: Intent, work: str, environment: Environment, python: Interpreter) -> _Step:
    assert intent.request.packages is not None
    count = len(intent.request.packages.requirements)
    doing = f"installing {count} requirement{'' if count == 1 else 's'}"
    tree = environment.tree
    variables = _variables(intent, work) | _UV
    variables |= {"UV_CACHE_DIR": f"{tree}/cache"}
    variables |= dict.fromkeys(("HOME", "TMPDIR"), f"{tree}/tmp")  # noqa: S108  (not the machine's)
    if intent.setup.index_url:
        variables["UV_DEFAULT_INDEX"] = intent.setup.index_url
    command = ("/bin/sh", "-c", _INSTALL, "install", intent.setup.uv, python.path, tree)
    # Nothing of the task's own: what is installed is the same for all that it is for.
    program = Program(command, tree, variables, ((tree, True),))
    return _Step(doing, program, Cause.ENVIRONMENT_BUILD_FAILED)


def _variables(intent: Intent, work: str) -> dict[str, str]:
    """The variables of a step: what the task has without its user's own, but for proxies."""
    given = intent.request.variables
    proxies = {name: value for name, value in given.items() if name.lower() in _PROXIES}
    return launch.own_variables(intent.request, work) | proxies


def _step(intent: Intent, around: Surroundings, step: _Step) -> RunExit | None:
    """Do a step; how the run ends when that fails."""
    around.tell(step.doing)
    ending = around.watched(step.program, time_limit=STEP_SECONDS)
    if ending.stopped_for is Cause.TIME_LIMIT:
        text = f"It took longer than {STEP_SECONDS:g} s: {step.doing}."
        return RunExit(step.cause, 0, message=text)
    if ending.stopped_for is not None:
        text = f"Stopped while it was prepared: {step.doing}."
        return RunExit(ending.stopped_for, 0, message=text)
    if ending.wait_status is None or not ending.started:
        # Whoever fails to isolate a step would fail to isolate the command.
        return _without_code(verdict(ending, intent, oom_kills=around.oom_kills()), step.cause)
    if os.waitstatus_to_exitcode(ending.wait_status) == 0:
        return None
    if around.oom_kills():
        return _without_code(verdict(ending, intent, oom_kills=around.oom_kills()), step.cause)
    message = f"It failed while {step.doing}: {_said(ending.last_words)}"
    return RunExit(step.cause, 0, message=message)


def _said(words: bytes) -> str:
    """What a program complained of, from what it said last."""
    lines = [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return "it said nothing"
    # Hints follow the complaint, and what it did comes before.
    first = next((at for at, line in enumerate(lines) if line.startswith(_COMPLAINTS)), -1)
    return " ".join(lines[first:])[:_LAST_WORDS]


def _without_code(end: RunExit, cause: Cause) -> RunExit:
    """The end of a step as that of a run whose command has not started."""
    known = cause if end.cause is Cause.BAD_COMMAND else end.cause
    return RunExit(known, 0, message=f"While it was prepared: {end.message}")


def _no_environment(text: str) -> Prepared:
    return Prepared(RunExit(Cause.ENVIRONMENT_BUILD_FAILED, 0, message=f"{text}."))
