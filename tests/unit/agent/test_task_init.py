"""The two inits say the same: one is for machines without perl, on which nobody would notice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from windlass_agent import sandbox, task_init

SOURCE = Path(task_init.__file__)


@pytest.fixture(params=["perl", "python"])
def init(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "python":
        return [sys.executable, "-I", "-S", "-c", SOURCE.read_text()]
    if not Path(sandbox.PERL).exists():
        pytest.skip("this machine has no perl")
    return [sandbox.PERL, "-e", SOURCE.with_suffix(".pl").read_text()]


def told(init: list[str], *command: str, directory: str = "/", **variables: str) -> tuple[str, str]:
    """What the init says, and what the command does."""
    what = os.memfd_create("what")
    environment = {"PATH": "/usr/bin:/bin", **variables}
    os.write(what, task_init.pack(directory, command, environment))
    os.lseek(what, 0, os.SEEK_SET)
    status, report = os.pipe()
    done = subprocess.run(
        [*init, str(what), str(report)],
        check=False,
        pass_fds=[what, report],
        env={},
        stdout=subprocess.PIPE,
    )
    os.close(report)
    os.close(what)
    with os.fdopen(status) as file:
        return file.read(), done.stdout.decode()


@pytest.mark.parametrize(
    ("command", "directory", "words"),
    [
        (["sh", "-c", "exit 3"], "/", "started\nended 768\n"),
        (["sh", "-c", "kill -9 $$"], "/", "started\nended 9\n"),
        (["sh", "-c", "(sleep 0.01; exit 5) & exit 137"], "/", "started\nended 35072\n"),
        (["no-such-program"], "/", "failed exec 2\n"),
        (["/etc/passwd"], "/", "failed exec 13\n"),
        (["true"], "/no/such", "failed chdir 2\n"),
    ],
)
def test_the_kernels_word_is_handed_on(init, command, directory, words):
    said, _ = told(init, *command, directory=directory)
    assert said.startswith(words)


def test_arguments_and_variables_arrive_unchanged(init):
    odd = ["", "a b", "=", "ü", "\n"]
    source = 'printf "<%s>" "$ODD" "$@"; env | wc -l'
    _, output = told(init, "sh", "-c", source, "sh", *odd, ODD="a=b c")
    assert output.startswith("<a=b c>" + "".join(f"<{text}>" for text in odd))


def test_the_command_holds_none_of_the_inits_descriptors(init):
    _, output = told(init, "sh", "-c", "ls /proc/self/fd | wc -l")
    assert int(output) == 4
