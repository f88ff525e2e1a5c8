"""`windlass up` for real: a server and an agent under one supervisor that may be interrupted or killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.support.cluster import Cluster, Process, living_shims
from tests.support.databases import Engines
from windlass.jobs.v1 import job_pb2
from windlass_client.cli.demo import free_ports

END_SECONDS = 20
COUNT = 'for i in $(seq 40); do echo "line $i"; sleep 0.1; done'
WHOLE_OUTPUT = "".join(f"line {number}\n" for number in range(1, 41))


class Up(Cluster):
    """A cluster whose server and agent are children of `windlass up`."""

    up: Process

    async def start(self, *options: str, **environment: str) -> None:
        """Start it; returns when it says that it is up."""
        await self.launch(*options, **environment)
        await self.up.says("windlass is up")
        self.token = (self.directory / "admin.token").read_text().strip()

    async def launch(self, *options: str, **environment: str) -> None:
        """Start it."""
        self.up = await Process.start(
            *("-m", "windlass_client.cli.main", "up", "--data-dir", str(self.directory)),
            *("--http", self.http, "--grpc", self.grpc, "--simulate-gpus", self.gpus, *options),
            **environment,
        )

    def processes(self, *words: str) -> list[psutil.Process]:
        """The processes whose command line has this data directory, and these words, in it."""
        found = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if str(self.directory) in line and all(word in line for word in words):
                found.append(process)
        return found

    def child(self, module: str) -> psutil.Process:
        (child,) = self.processes(f"-m {module} ")
        return child

    async def all_gone(self, processes: list[psutil.Process]) -> None:
        gone, alive = await asyncio.to_thread(psutil.wait_procs, processes, END_SECONDS)
        assert not alive, gone

    async def reasons(self, job_id: str) -> list[str]:
        async with self.rest() as rest:
            events = (await rest.get(f"/v1/jobs/{job_id}/events")).json()["events"]
        return [event["reason"] for event in events]

    async def succeeds(self, job_id: str) -> str:
        """The output of a job that succeeds."""
        text, end = await self.follow(job_id)
        assert (end.status, end.exit_code) == (job_pb2.Job.SUCCEEDED, 0)
        return text


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    """One that the test starts, with nothing left of it at the end."""
    http, grpc = free_ports(2)
    cluster = Up(tmp_path, http=f"127.0.0.1:{http}", grpc=f"127.0.0.1:{grpc}")
    yield cluster
    if cluster._channel is not None:
        await cluster._channel.close()
    await cluster.up.kill(signal.SIGTERM)
    for shim in living_shims(tmp_path / "agent"):
        os.kill(shim, signal.SIGKILL)
    await cluster.all_gone(cluster.processes())


async def test_interrupted_it_leaves_no_process_and_its_task_is_queued_again(up: Up):
    await up.start()
    script = 'echo up; test "$WINDLASS_ATTEMPT" != 1 || sleep 600'
    async with up.rest() as rest:
        answer = await rest.post("/v1/jobs", json={"command": ["sh", "-c", script]})
        job_id = answer.json()["job_id"]
    await up.wait_for_output(job_id, "up")
    running = psutil.Process(up.up.pid).children(recursive=True)
    assert "sh" in {process.name() for process in running}

    assert await up.up.kill(signal.SIGINT) == 0

    await up.all_gone(running)
    assert up.processes() == []
    await up.start()
    assert "up" in await up.succeeds(job_id)
    assert "NODE_SHUTDOWN" in await up.reasons(job_id)
    assert (await up.get(job_id)).attempt == 2


async def test_kept_tasks_outlive_it_and_the_next_one_adopts_them(up: Up):
    await up.start("--keep-tasks")
    job = await up.submit("sh", "-c", COUNT)
    await up.wait_for_output(job.job_id, "line 2\n")
    assert await up.up.kill(signal.SIGINT) == 0
    assert living_shims(up.directory / "agent")
    await up.start("--keep-tasks")
    assert await up.succeeds(job.job_id) == WHOLE_OUTPUT
    assert (await up.get(job.job_id)).attempt == 1


async def test_killed_it_takes_server_and_agent_along_but_no_task(up: Up):
    await up.start()
    job = await up.submit("sh", "-c", COUNT)
    await up.wait_for_output(job.job_id, "line 2\n")
    children = [up.child("windlass_server"), up.child("windlass_agent")]
    await up.up.kill()
    await up.all_gone(children)
    assert living_shims(up.directory / "agent")
    await up.start()
    assert await up.succeeds(job.job_id) == WHOLE_OUTPUT
    assert (await up.get(job.job_id)).attempt == 1


async def test_killed_while_its_server_starts_it_leaves_none(up: Up):
    await up.launch()
    while not (starting := up.processes("-m windlass_server ")):
        pass
    os.kill(up.up.pid, signal.SIGKILL)
    await up.all_gone(starting)


async def test_children_that_are_killed_are_started_again(up: Up):
    await up.start()
    job = await up.submit("sh", "-c", COUNT)
    await up.wait_for_output(job.job_id, "line 2\n")
    for name in ("agent", "server"):
        up.child(f"windlass_{name}").kill()
        await up.up.says(f"the {name} was killed by SIGKILL; trying again")
    assert await up.succeeds(job.job_id) == WHOLE_OUTPUT
    assert (await up.get(job.job_id)).attempt == 1
    assert await up.up.kill(signal.SIGINT) == 0


async def test_a_server_that_refuses_its_configuration_ends_it_with_2(up: Up):
    await up.launch(WINDLASS_NONSENSE="1")
    assert await up.up.ended() == 2
    assert any("unknown key 'nonsense'" in line for line in up.up.lines)
    assert up.processes() == []


async def test_the_same_directory_works_with_another_database(up: Up, engines: Engines):
    await up.start()
    job = await up.submit("echo", "on sqlite")
    assert await up.succeeds(job.job_id) == "on sqlite\n"
    assert await up.up.kill(signal.SIGTERM) == 0

    await up.start(WINDLASS_DATABASE_URL=engines.by_name("postgresql").new(migrated=False))
    job = await up.submit("echo", "on postgresql")
    assert await up.succeeds(job.job_id) == "on postgresql\n"


async def test_on_postgresql_a_first_job_works(up: Up, engines: Engines):
    url = engines.by_name("postgresql").new(migrated=False)
    await up.start(WINDLASS_DATABASE_URL=url)
    job = await up.submit("echo", "hello", resources={"gpu_count": 1, "gpu_type": "H100"})
    assert await up.succeeds(job.job_id) == "hello\n"
    assert not (up.directory / "windlass.db").exists()
    assert "postgresql://" not in str([process.cmdline() for process in up.processes()])
