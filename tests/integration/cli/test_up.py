"""`windlass up` as a process of its own, over stand-ins for the server and the agent."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from tests.support import fake_programs
from tests.support.fake_api import Failure, FakeControlPlane
from windlass_client.cli.demo import free_ports

WINDLASS = [sys.executable, "-m", "windlass_client.cli.main"]


class Program:
    """A running command line whose output is read line by line, never waited for by the clock."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*WINDLASS, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environ,
        )

    def until(self, words: str) -> str:
        """Read up to a line with these words; fails when the output ends before."""
        assert self._process.stdout
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if words in line:
                return line
        pytest.fail(f"no line with {words!r} in:\n" + "\n".join(self.lines))

    @property
    def pid(self) -> int:
        return self._process.pid

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        """The exit code, once everybody who could still write has ended."""
        assert self._process.stdout
        self.lines += self._process.stdout.read().splitlines()
        return self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        assert self._process.stdout
        self._process.stdout.close()
        self._process.wait()


Start = Callable[..., Program]


@pytest.fixture
def program() -> Iterator[Start]:
    """Runs a command line, and ends it when the test has not."""
    started: list[Program] = []

    def run(arguments: list[str], **env: str) -> Program:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
        started.append(Program(arguments, environ | env))
        return started[-1]

    yield run
    for one in started:
        one.close()


@pytest.fixture
def start(program: Start, plane: FakeControlPlane, tmp_path: Path) -> Start:
    """Starts `windlass up` in an empty directory, its gRPC served by the fake control plane."""
    fake_programs.install(tmp_path / "programs")

    def run(*arguments: str, **env: str) -> Program:
        http = f"127.0.0.1:{free_ports(1)[0]}"
        options = ["--data-dir", str(tmp_path / "data"), "--http", http, "--grpc", plane.address]
        return program(["up", *options, *arguments], PYTHONPATH=str(tmp_path / "programs"), **env)

    return run


def pid(line: str) -> int:
    found = re.search(r"started (\d+)", line)
    assert found
    return int(found[1])


def test_both_are_started_and_ended_in_order(start: Start, tmp_path: Path) -> None:
    up = start("--simulate-gpus", "8xH100")
    server = up.until("server started")
    assert f"--data-dir {tmp_path / 'data'}" in server
    agent = up.until("agent started")
    assert "join=join-me" in agent
    assert "--simulate-gpus 8xH100 --on-exit stop --die-with-parent" in agent
    up.until("agent joined")
    up.interrupt()
    assert up.end() == 0
    tail = [line for line in up.lines if line in ("agent stopped", "server stopped")]
    assert tail == ["agent stopped", "server stopped"]
    assert any("admin.token" in line for line in up.lines)
    assert not any("wl_test" in line for line in up.lines)


def test_an_agent_that_dies_is_started_again_with_the_identity_that_it_has(start: Start) -> None:
    up = start()
    first = pid(up.until("agent started"))
    up.until("agent joined")
    os.kill(first, signal.SIGKILL)
    up.until("the agent was killed by SIGKILL; trying again in 0.2 s")
    again = up.until("agent started")
    assert pid(again) != first
    assert "join=None" in again
    up.interrupt()
    assert up.end() == 0


def test_a_server_that_dies_is_started_again_and_the_agent_left_alone(start: Start) -> None:
    up = start()
    server = pid(up.until("server started"))
    up.until("agent joined")
    os.kill(server, signal.SIGKILL)
    up.until("server started")
    up.interrupt()
    assert up.end() == 0
    assert sum(line.startswith("agent started") for line in up.lines) == 1


def test_a_server_that_refuses_its_configuration_ends_everything_with_2(start: Start) -> None:
    up = start(FAKE_SERVER="refuse")
    assert up.end() == 2
    assert "windlass server: bad configuration" in up.lines
    assert up.lines[-1].startswith("error: the server refused its configuration")


def test_a_server_that_answers_there_already_is_not_taken_for_ours(
    start: Start, tmp_path: Path
) -> None:
    there = f"127.0.0.1:{free_ports(1)[0]}"
    first = start("--http", there)
    first.until("agent joined")
    second = start("--http", there, "--data-dir", str(tmp_path / "other"))
    assert second.end() == 2
    assert second.lines == [f"error: another server answers at http://{there} already"]
    first.interrupt()
    assert first.end() == 0


def test_an_agent_that_refuses_its_configuration_ends_the_server_too(start: Start) -> None:
    up = start(FAKE_AGENT="refuse")
    assert up.end() == 2
    assert "server stopped" in up.lines
    assert up.lines[-1].startswith("error: the agent refused its configuration")


def test_gpus_that_cannot_be_simulated_are_refused_before_anything_is_said_to_be_up(start: Start):
    up = start("--simulate-gpus", "8xFOO", FAKE_AGENT="no-such-gpu")
    assert up.end() == 2
    assert up.lines[-1] == "error: --simulate-gpus: '8xFOO' is not COUNTxTYPE"
    assert not any("windlass is up" in line for line in up.lines)


def test_a_second_interrupt_does_not_wait_for_who_does_not_end(start: Start) -> None:
    up = start(FAKE_AGENT="stubborn")
    up.until("agent joined")
    up.interrupt()
    up.until("agent does not want to end")
    up.interrupt()
    assert up.end() == 0


def test_children_end_when_up_is_killed(start: Start) -> None:
    up = start()
    up.until("agent joined")
    up.kill()
    assert up.end() == -signal.SIGKILL
    assert {"agent stopped", "server stopped"} <= set(up.lines)
    assert "agent orphaned" in up.lines, "the agent cannot tell this from an order to stop"


def test_the_supervisor_stays_on_one_thread(start: Start) -> None:
    up = start()
    up.until("agent joined")
    assert len(list(Path(f"/proc/{up.pid}/task").iterdir())) == 1
    up.interrupt()
    assert up.end() == 0


def test_an_agent_waits_for_a_server_that_gives_no_join_token(
    start: Start, plane: FakeControlPlane
) -> None:
    refusal = Failure(grpc.StatusCode.PERMISSION_DENIED, "not for you", "DENIED")
    plane.state.failures["CreateJoinToken"] = [refusal]
    up = start()
    up.until("the agent cannot be started yet (error: not for you (DENIED)); trying again")
    up.until("agent joined")
    up.interrupt()
    assert up.end() == 0


def test_interrupting_before_the_server_is_ready_ends_it(start: Start) -> None:
    up = start(FAKE_SERVER="unready")
    up.until("server started")
    up.interrupt()
    assert up.end() == 0
    assert up.lines[-1] == "windlass is down"
    assert not any(line.startswith("agent") for line in up.lines)


def test_tasks_can_be_kept_and_the_agent_left_out(start: Start) -> None:
    up = start("--keep-tasks")
    assert "--on-exit keep" in up.until("agent started")
    up.interrupt()
    up.end()
    alone = start("--no-agent")
    alone.until("windlass is up")
    alone.interrupt()
    assert alone.end() == 0
    assert not any(line.startswith("agent") for line in alone.lines)


def test_each_child_gets_only_the_secrets_that_it_needs(start: Start) -> None:
    url = "postgresql://u:secret@127.0.0.1/db"
    up = start(WINDLASS_TOKEN="wl_mine", WINDLASS_DATABASE_URL=url)
    assert "database=yes user_token=no" in up.until("server started")
    assert "database=no user_token=no" in up.until("agent started")
    up.interrupt()
    assert up.end() == 0
    assert not any("secret" in line for line in up.lines)


@pytest.mark.parametrize("arguments", [["--http", "nowhere"], ["--grpc", "host:0"]])
def test_an_endpoint_that_is_none_is_a_usage_error(start: Start, arguments: list[str]) -> None:
    assert start(*arguments).end() == 2


def test_an_interrupted_follow_says_how_to_go_on(program: Start, plane: FakeControlPlane) -> None:
    command = ["submit", "--follow", "--", "forever"]
    follow = program(command, WINDLASS_SERVER=plane.address, WINDLASS_TOKEN="wl_test")
    follow.until("line 5")
    follow.interrupt()
    assert follow.end() == 130
    words = "job-1 goes on; follow it again with: windlass logs job-1 -f --cursor 5"
    assert follow.lines[-1] == words


@pytest.mark.parametrize("name", ["server", "agent"])
def test_server_and_agent_are_handed_everything(program: Start, tmp_path: Path, name: str) -> None:
    package = tmp_path / f"windlass_{name}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys; print(sys.argv[1:]); sys.exit(7)")
    run = program([name, "--help", "--server", "x", "-v", "word"], PYTHONPATH=str(tmp_path))
    assert run.end() == 7
    assert run.lines == ["['--help', '--server', 'x', '-v', 'word']"]
