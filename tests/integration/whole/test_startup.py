"""How a server starts, refuses to start, and stops."""

import asyncio
import os
import resource
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.cluster import Cluster, Process, running_cluster
from windlass.jobs.v1 import jobs_service_pb2

# Well below the ten seconds after which a server cuts off what still runs.
STOP_SECONDS = 5
REFUSE_SECONDS = 20


@dataclass(frozen=True)
class Ended:
    """What a server said before it ended by itself."""

    code: int
    stdout: str
    stderr: str


async def server(*arguments: str | Path, **environment: str) -> Ended:
    """Run a server that is expected to end at once."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "windlass_server", *map(str, arguments)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean | environment,
    )
    try:
        async with asyncio.timeout(REFUSE_SECONDS):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())


def anywhere(directory: Path) -> list[str | Path]:
    """A data directory and ports that nobody else has."""
    return ["--data-dir", directory, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]


def assert_refused(ended: Ended, *words: str) -> None:
    """One line that says why, and 2."""
    lines = ended.stderr.splitlines()
    assert (ended.code, len(lines), ended.stdout) == (2, 1, ""), ended
    assert lines[0].startswith("windlass server: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_an_idle_server_that_is_told_to_stop_ends_at_once(tmp_path: Path):
    async with running_cluster(tmp_path, agent=False) as cluster:
        async with asyncio.timeout(STOP_SECONDS):
            assert await cluster.server.kill(signal.SIGTERM) == 0


async def test_open_logs_do_not_hold_a_server_that_is_told_to_stop(cluster: Cluster):
    job = await cluster.submit("sh", "-c", "echo up; sleep 600")
    async with cluster.rest() as rest:
        url = f"/v1/jobs/{job.job_id}/logs?follow=true"
        async with rest.stream("GET", url, headers={"accept": "text/event-stream"}) as sse:
            events = sse.aiter_lines()
            seen = [line async for line in until(events, "up")]
            request = jobs_service_pb2.StreamJobLogsRequest(job_id=job.job_id, follow=True)
            stream = cluster.jobs.StreamJobLogs(request, metadata=cluster.metadata)
            assert "up" in (await stream.read()).chunk.text

            async with asyncio.timeout(STOP_SECONDS):
                assert await cluster.server.kill(signal.SIGTERM) == 0
                seen += [line async for line in events]
                with pytest.raises(aio.AioRpcError) as ended:
                    await stream.read()

    assert any("SERVER_STOPPING" in line for line in seen)
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(ended.value) == "SERVER_STOPPING"


async def test_who_watches_its_health_does_not_hold_a_server_that_is_told_to_stop(tmp_path: Path):
    async with running_cluster(tmp_path, agent=False) as cluster:
        watching = health_pb2_grpc.HealthStub(cluster.channel).Watch(
            health_pb2.HealthCheckRequest()
        )
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        async with asyncio.timeout(STOP_SECONDS):
            assert await cluster.server.kill(signal.SIGTERM) == 0
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await watching.code() is grpc.StatusCode.UNAVAILABLE


async def until(lines, word: str):
    """The lines up to the first with this word."""
    async for line in lines:
        yield line
        if word in line:
            return


def reason_of(error: aio.AioRpcError) -> str:
    """The reason in a status's details."""
    (details,) = (v for k, v in error.trailing_metadata() if k == "grpc-status-details-bin")
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details).details:
        if detail.Unpack(info):
            return info.reason
    return ""


async def test_a_follower_goes_on_at_the_next_server_without_loss(cluster: Cluster):
    job = await cluster.submit("sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done")
    await cluster.wait_for_output(job.job_id, "2")
    following = asyncio.create_task(cluster.follow(job.job_id))
    assert await cluster.server.kill(signal.SIGTERM) == 0
    await cluster.start_server()
    text, end = await following
    assert text == "1\n2\n3\n4\n5\n6\n"
    assert end.exit_code == 0


@pytest.mark.parametrize("front_end", ["http", "grpc"])
async def test_a_port_in_use_is_refused(front_end: str, taken: str, tmp_path: Path):
    ended = await server(*anywhere(tmp_path / "data"), f"--{front_end}", taken)
    assert_refused(ended, f"cannot listen for {'gRPC' if front_end == 'grpc' else 'HTTP'}", taken)


async def test_a_directory_that_cannot_be_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    ended = await server(*anywhere(tmp_path / "file" / "data"))
    assert_refused(ended, "cannot use the data directory", str(tmp_path / "file" / "data"))


@pytest.mark.parametrize(
    "name", ["admin.token", "logs", "secret.key", "server.lock", "windlass.db"]
)
async def test_a_directory_in_which_something_else_is_in_the_way_is_refused(
    name: str, tmp_path: Path
):
    in_the_way = tmp_path / name
    in_the_way.touch() if name == "logs" else in_the_way.mkdir()
    assert_refused(await server(*anywhere(tmp_path)), str(tmp_path))


async def test_a_database_of_a_newer_windlass_is_refused(tmp_path: Path):
    with sqlite3.connect(tmp_path / "windlass.db") as newer:
        newer.execute("CREATE TABLE alembic_version (version_num TEXT)")
        newer.execute("INSERT INTO alembic_version VALUES ('9999')")
    newer.close()
    assert_refused(await server(*anywhere(tmp_path)), "the database is at revision 9999")


async def test_a_second_server_on_the_same_directory_is_refused(tmp_path: Path):
    async with running_cluster(tmp_path, agent=False) as cluster:
        ended = await server(*anywhere(tmp_path / "data"))
        assert_refused(ended, "another windlass server runs", str(tmp_path / "data"))
        async with cluster.rest() as rest:
            assert (await rest.get("/v1/jobs")).status_code == httpx.codes.OK


async def test_a_secret_that_others_can_read_is_refused(tmp_path: Path):
    tmp_path.joinpath("secret.key").write_text("0" * 64)
    tmp_path.joinpath("secret.key").chmod(0o644)
    ended = await server(*anywhere(tmp_path))
    assert_refused(ended, "secret.key can be read by others", "chmod 600")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://host/windlass", "'mysql'"),
        ("nonsense", "is not a URL"),
        ("postgresql://host:port/windlass", "is not a URL"),
        ("postgresql://user:hush@127.0.0.1:{closed}/windlass", "cannot open the database"),
        ("sqlite:///{tmp}/text", "cannot open the database"),
        ("sqlite:///{tmp}/folder", "cannot open the database"),
        ("sqlite:///{tmp}/missing/windlass.db", "cannot open the database"),
    ],
)
async def test_a_wrong_database_url_is_refused(url: str, words: str, tmp_path: Path):
    (tmp_path / "text").write_text("no database at all, " * 100)
    (tmp_path / "folder").mkdir()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = url.format(tmp=tmp_path, closed=closed.getsockname()[1])
        ended = await server(*anywhere(tmp_path / "data"), WINDLASS_DATABASE_URL=url)
    assert_refused(ended, words)
    assert "hush" not in ended.stderr


async def test_a_bad_key_or_value_is_refused_wherever_it_stands(tmp_path: Path):
    file = tmp_path / "windlass.toml"
    arguments = [*anywhere(tmp_path / "data"), "--check-config"]
    for text, word in [("nonsense = 1", "'nonsense'"), ("max_in_flight = 0", "max_in_flight")]:
        file.write_text(text)
        assert_refused(await server(*arguments, "--config", file), word)
    assert_refused(await server(*arguments, "--http", "nowhere"), "'nowhere'")
    assert_refused(await server(*arguments, "--nonsense"), "--nonsense", "--help")
    assert_refused(await server(*arguments, "--log-level", "loud"), "'loud'")
    assert_refused(await server(*arguments, WINDLASS_NONSENSE="1"), "'nonsense'")
    assert_refused(await server(*arguments, "--database-url", "mysql://host/db"), "'mysql'")
    assert_refused(await server(*arguments, WINDLASS_SECRET_KEY="short"), "secret_key")
    # The same without asking.
    assert_refused(await server(*arguments[:-1], WINDLASS_NONSENSE="1"), "'nonsense'")


async def test_a_configuration_file_that_is_none_is_refused(tmp_path: Path):
    (tmp_path / "windlass.toml").write_text("not toml")
    for name in ("windlass.toml", "missing.toml", "."):
        ended = await server("--check-config", "--config", tmp_path / name)
        assert_refused(ended, "cannot read the configuration file")


async def test_checking_a_good_configuration_starts_nothing(taken: str, tmp_path: Path):
    ended = await server("--check-config", "--data-dir", tmp_path / "data", "--http", taken)
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.startswith("the configuration is good")
    assert not (tmp_path / "data").exists()


_WITH_FEW_FILES = """
import os, resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
os.execv(sys.executable, [sys.executable, "-m", "windlass_server", *sys.argv[1:]])
"""


async def test_a_server_may_open_as_many_files_as_the_machine_lets_it(tmp_path: Path) -> None:
    flags = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir", str(tmp_path / "d")]
    server = await Process.start("-c", _WITH_FEW_FILES, *flags)
    try:
        await server.says("serves http")
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    finally:
        await server.kill(signal.SIGTERM)
    assert soft == hard
