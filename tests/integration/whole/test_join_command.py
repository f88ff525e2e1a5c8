"""The one line that makes a new machine a node, run as people run it."""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, running_cluster
from tests.support.tls_proxy import authority, tls_proxy

_PATIENCE_SECONDS = 30
_COMMANDS = Path(sys.executable).parent


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A server without an agent."""
    async with running_cluster(tmp_path, agent=False) as running:
        yield running


def environment(**variables: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
    return clean | {"PATH": f"{_COMMANDS}:{os.environ['PATH']}"} | variables


async def join_command(cluster: Cluster, server: str, *flags: str, **variables: str) -> str:
    """What `windlass nodes join-command` prints for an administrator."""
    asking = await asyncio.create_subprocess_exec(
        *("windlass", "--server", server, "nodes", "join-command", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(WINDLASS_TOKEN=cluster.token, **variables),
    )
    line, said = await asking.communicate()
    assert asking.returncode == 0, said
    return line.decode()


@asynccontextmanager
async def run(line: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a line in a shell, as on another machine: nothing is known there but the line."""
    shell = await asyncio.create_subprocess_shell(
        f"exec env {line}",
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        yield shell
    finally:
        if shell.returncode is None:
            shell.send_signal(signal.SIGTERM)
        await shell.wait()


async def names_of_ready_nodes(cluster: Cluster, count: int) -> list[str]:
    """The names of the nodes, when so many are ready."""
    async with asyncio.timeout(_PATIENCE_SECONDS), cluster.rest() as rest:
        while True:
            answer = await rest.get("/v1/resources/nodes?status=READY")
            if len(nodes := answer.json()["nodes"]) >= count:
                return [node["labels"].get("name", "") for node in nodes]


def agent_flags(folder: Path, name: str) -> list[str]:
    return ["--", "--data-dir", str(folder), "--simulate-gpus", "1xT4", "--labels", f"name={name}"]


async def test_the_line_joins_a_machine_of_a_development_server(
    alone: Cluster, tmp_path: Path
) -> None:
    line = await join_command(alone, alone.grpc, *agent_flags(tmp_path / "new machine", "n1"))
    assert line.count("\n") == 1
    assert re.match(rf"WINDLASS_JOIN_TOKEN=wlj_\w+ windlass agent --server {alone.grpc} ", line)
    async with run(line):
        assert await names_of_ready_nodes(alone, 1) == ["n1"]


@pytest.mark.parametrize("flag", ["", "--embed-ca"])
async def test_the_line_joins_a_machine_over_tls_with_the_operators_ca(
    alone: Cluster, tmp_path: Path, flag: str
) -> None:
    ours = authority(tmp_path, "ours", sends_ca=not flag)
    async with tls_proxy(alone.grpc, ours) as server:
        flags = [*filter(None, [flag]), *agent_flags(tmp_path / "new", "n1")]
        line = await join_command(alone, f"https://{server}", *flags, WINDLASS_CA_FILE=str(ours.ca))
        words = shlex.split(line)
        assert words[words.index("--server") + 1] == server
        assert (f"--ca-{'data' if flag else 'pin'}") in words
        assert str(ours.ca) not in words
        async with run(line):
            assert await names_of_ready_nodes(alone, 1) == ["n1"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_line_does_not_join_somebody_else(server: Cluster, tmp_path: Path) -> None:
    ours, other = authority(tmp_path, "ours"), authority(tmp_path, "other")
    async with tls_proxy(server.grpc, ours) as address:
        line = await join_command(
            server,
            f"https://{address}",
            *agent_flags(tmp_path / "new", "n1"),
            WINDLASS_CA_FILE=str(ours.ca),
        )
    async with (
        tls_proxy(server.grpc, other, port=int(address.rpartition(":")[2])),
        run(line) as shell,
    ):
        assert shell.stderr is not None
        said = (await shell.stderr.read()).decode()
        assert await shell.wait() == 2
    assert f"windlass agent: {address} presents no certificate that --ca-pin names" in said


async def test_one_line_joins_as_many_machines_as_it_says(alone: Cluster, tmp_path: Path) -> None:
    line = await join_command(alone, alone.grpc, "--uses", "2")
    here = [
        f"{line.strip()} {shlex.join(agent_flags(tmp_path / name, name)[1:])}"
        for name in ("n1", "n2")
    ]
    async with run(here[0]), run(here[1]):
        assert sorted(await names_of_ready_nodes(alone, 2)) == ["n1", "n2"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_line_can_be_had_as_json_and_for_a_service(server: Cluster) -> None:
    flags = (
        "--install-service",
        "--agent-server",
        "http://gpu-server.internal:50051",
        "-o",
        "json",
    )
    answer = json.loads(await join_command(server, server.grpc, *flags))
    assert shlex.split(answer["command"])[2:] == [
        *("windlass", "agent", "--server", "gpu-server.internal:50051", "--insecure"),
        "--install-service",
    ]
    assert answer["command"].startswith("sudo WINDLASS_JOIN_TOKEN=wlj_")
    assert answer["max_uses"] == 1
