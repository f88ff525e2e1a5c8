"""What the README tells a newcomer to type does what it says."""

import asyncio
import os
import re
import shlex
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Process

README = Path(__file__).parents[3] / "README.md"


def blocks(language: str = "") -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


async def said(cluster: Cluster, *arguments: str) -> list[str]:
    """What a newcomer's command prints."""
    token_file = str(cluster.directory / "data" / "admin.token")
    running = await Process.start(
        *arguments, WINDLASS_SERVER=cluster.grpc, WINDLASS_TOKEN_FILE=token_file
    )
    assert await running.ended() == 0, "\n".join(running.lines)
    return running.lines


@pytest.mark.asyncio(loop_scope="module")
async def test_the_python_example_runs(shared: Cluster):
    (example,) = blocks("python")
    assert await said(shared, "-c", example) == ["hello from Python", "0"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_commands_run(shared: Cluster):
    lines = [line.partition("  #")[0] for block in blocks() for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("windlass ")]
    assert [command[1] for command in commands] == [
        *("submit", "jobs", "top", "pools", "nodes", "usage"),
    ]
    answers = [
        await said(shared, "-m", "windlass_client.cli.main", *command[1:]) for command in commands
    ]
    submitted, listed, gpus, pools, joining, usage = answers
    assert any(line.startswith("SIM-") for line in submitted)
    assert "SUCCEEDED" in listed[1]
    assert len(gpus) == 1 + 8
    assert pools[1].startswith("default")
    assert "windlass agent" in " ".join(joining)
    assert usage[1].startswith("default")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
async def test_the_curl_examples_run(shared: Cluster):
    (block,) = [block for block in blocks() if "curl" in block]
    shell = block.replace("windlass-data/", f"{shared.directory}/data/")
    shell = shell.replace("http://127.0.0.1:8080/", f"http://{shared.http}/")
    ended = await shared.submit("true")
    await shared.follow(ended.job_id)
    running = await asyncio.create_subprocess_exec(
        *("bash", "-euc", shell), stdout=PIPE, env=os.environ | {"JOB": ended.job_id}
    )
    answers, _ = await running.communicate()
    assert running.returncode == 0
    told = answers.decode()
    for words in ('"status":"QUEUED"', f'"job_id":"{ended.job_id}"', "event: end", '{"nodes":['):
        assert words in told
    assert "a SUCCEEDED job cannot be cancelled" in told
