"""A whole windlass in real processes: a server and an agent that can be killed and started again."""

# The stubs are generic for the type checker alone.
from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
from grpc import aio

from windlass.access.v1 import access_service_pb2, access_service_pb2_grpc
from windlass.jobs.v1 import job_pb2, jobs_service_pb2, jobs_service_pb2_grpc
from windlass.resources.v1 import resources_service_pb2, resources_service_pb2_grpc
from windlass_agent import rundir
from windlass_agent.processes import Identity

_SERVES = re.compile(r"serves http://(\S+) and grpc://(\S+),")
_START_SECONDS = 30
_SAME_AGAIN_SECONDS = 0.02


class Process:
    """A process whose stderr is read line by line, so that tests wait for what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *arguments: str, **environment: str) -> Process:
        """Start a program of ours, which these are the interpreter's arguments for."""
        return await cls.start_program(sys.executable, *arguments, **environment)

    @classmethod
    async def start_program(cls, *command: str, **environment: str) -> Process:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=clean | environment,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def says(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """Wait for a line that matches; AssertionError with all it said when it ends before."""
        seen = 0
        async with asyncio.timeout(_START_SECONDS), self._news:
            while True:
                for line in self.lines[seen:]:
                    if found := re.search(pattern, line):
                        return found
                seen = len(self.lines)
                assert not self._reading.done(), "\n".join(self.lines)
                await self._news.wait()

    async def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal; returns the exit code."""
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; returns the exit code."""
        async with asyncio.timeout(_START_SECONDS):
            code = await self._process.wait()
            await self._reading
        return code

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._news:
                self.lines.append(line.decode(errors="replace").rstrip())
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


@dataclass
class Cluster:
    """One server and one agent, with a REST and a gRPC client; `environment` is for both."""

    directory: Path
    database_url: str = ""
    gpus: str = "8xH100"
    http: str = "127.0.0.1:0"
    grpc: str = "127.0.0.1:0"
    environment: dict[str, str] = field(default_factory=dict)
    server: Process | None = None
    agent: Process | None = None
    token: str = ""
    _channel: aio.Channel | None = field(default=None, repr=False)
    _last_call: str = field(default="", repr=False)

    async def start_server(self) -> None:
        """Start the server, on the addresses that it had before when it had some."""
        self.server = await Process.start(
            "-m",
            "windlass_server",
            "--data-dir",
            str(self.directory / "data"),
            "--http",
            self.http,
            "--grpc",
            self.grpc,
            **({"WINDLASS_DATABASE_URL": self.database_url} if self.database_url else {}),
            **self.environment,
        )
        found = await self.server.says(_SERVES)
        self.http, self.grpc = found[1], found[2]
        self.token = (self.directory / "data" / "admin.token").read_text().strip()

    async def start_agent(self, until: str = "connected") -> None:
        """Start the agent; returns when it says something, by default that its session is up."""
        join_token = await self.join_token()
        self.agent = await Process.start(
            "-m",
            "windlass_agent",
            "--server",
            self.grpc,
            "--data-dir",
            str(self.directory / "agent"),
            "--simulate-gpus",
            self.gpus,
            "--hide-paths",
            str(self.directory / "data"),
            WINDLASS_JOIN_TOKEN=join_token,
            **self.environment,
        )
        await self.agent.says(until)

    @asynccontextmanager
    async def another_agent(self, name: str) -> AsyncIterator[Process]:
        """One more agent on this machine, with a directory of its own of this name."""
        agent = await Process.start(
            "-m",
            "windlass_agent",
            "--server",
            self.grpc,
            "--data-dir",
            str(self.directory / name),
            "--simulate-gpus",
            self.gpus,
            WINDLASS_JOIN_TOKEN=await self.join_token(),
        )
        try:
            await agent.says("connected")
            yield agent
        finally:
            await agent.kill(signal.SIGTERM)
            for shim in living_shims(self.directory / name):
                os.kill(shim, signal.SIGKILL)

    async def join_token(self) -> str:
        stub = resources_service_pb2_grpc.ResourcesServiceStub(self.channel)
        request = resources_service_pb2.CreateJoinTokenRequest()
        answer = await stub.CreateJoinToken(request, metadata=self.metadata)
        return str(answer.token)

    async def key_for(self, user: str, project: str, role: str) -> str:
        """An API key of a user in a project, which is made when there is none."""
        async with self.rest() as rest:
            await rest.post("/v1/projects", json={"project": project})
        stub = access_service_pb2_grpc.AccessServiceStub(self.channel)
        request = access_service_pb2.CreateApiKeyRequest(user=user, project=project, role=role)
        answer = await stub.CreateApiKey(request, metadata=self.metadata)
        return str(answer.secret)

    @property
    def channel(self) -> aio.Channel:
        if self._channel is None:
            options = (("grpc.initial_reconnect_backoff_ms", 100),)
            self._channel = aio.insecure_channel(self.grpc, options=options)
        return self._channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    @property
    def jobs(self) -> jobs_service_pb2_grpc.JobsServiceAsyncStub:
        return jobs_service_pb2_grpc.JobsServiceStub(self.channel)

    def rest(self, token: str | None = None) -> httpx.AsyncClient:
        """A REST client, by default as the administrator."""
        token = self.token if token is None else token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(
            base_url=f"http://{self.http}",
            headers=headers,
            timeout=30,
            event_hooks={"request": [self._before_request]},
            # There is no TLS here, and to load the authorities takes longer than the calls.
            verify=False,
        )

    async def _before_request(self, request: httpx.Request) -> None:
        await self._pace(f"{request.method} {request.url}")

    async def _pace(self, call: str) -> None:
        """Leave the processor to whom a test waits for that asks the same again and again."""
        if call == self._last_call:
            await asyncio.sleep(_SAME_AGAIN_SECONDS)
        self._last_call = call

    async def submit(self, *command: str, **job: object) -> job_pb2.Job:
        request = jobs_service_pb2.SubmitJobRequest(job=job_pb2.Job(command=command, **job))  # type: ignore[arg-type]
        return await self.jobs.SubmitJob(request, metadata=self.metadata, wait_for_ready=True)

    async def get(self, job_id: str) -> job_pb2.Job:
        await self._pace(job_id)
        request = jobs_service_pb2.GetJobRequest(job_id=job_id)
        return await self.jobs.GetJob(request, metadata=self.metadata, wait_for_ready=True)

    async def follow(self, job_id: str) -> tuple[str, job_pb2.LogEnd]:
        """The whole output of a job when it has ended, however often the server goes away."""
        text, cursor = "", ""
        async with asyncio.timeout(60):
            while True:
                request = jobs_service_pb2.StreamJobLogsRequest(
                    job_id=job_id, follow=True, cursor=cursor
                )
                stream = self.jobs.StreamJobLogs(
                    request, metadata=self.metadata, wait_for_ready=True
                )
                try:
                    async for message in stream:
                        cursor = message.cursor or cursor
                        text += message.chunk.text
                        if message.HasField("end"):
                            return text, message.end
                except aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise

    async def wait_for_output(self, job_id: str, text: str) -> None:
        """Return when the job has printed `text`."""
        request = jobs_service_pb2.StreamJobLogsRequest(job_id=job_id, follow=True)
        seen = ""
        async with asyncio.timeout(60):
            async for message in self.jobs.StreamJobLogs(request, metadata=self.metadata):
                seen += message.chunk.text
                if text in seen:
                    return
        raise AssertionError(seen)

    async def stop(self) -> None:
        """Stop both, and the tasks that are left."""
        if self._channel is not None:
            await self._channel.close()
        for process in (self.agent, self.server):
            if process is not None:
                await process.kill(signal.SIGTERM)
        for shim in living_shims(self.directory / "agent"):
            os.kill(shim, signal.SIGKILL)


@asynccontextmanager
async def running_cluster(
    directory: Path, *, database_url: str = "", agent: bool = True, **environment: str
) -> AsyncIterator[Cluster]:
    """A started cluster, stopped at the end; its processes have these variables."""
    cluster = Cluster(directory, database_url=database_url)
    cluster.environment |= environment
    try:
        await cluster.start_server()
        if agent:
            await cluster.start_agent()
        yield cluster
    finally:
        await cluster.stop()


def living_shims(directory: Path) -> list[int]:
    """The processes that watch over the tasks of an agent's directory; tasks end with them."""
    claims = [rundir.read_claim(folder) for folder in directory.glob("runs/*")]
    shims = [claim.shim for claim in claims if claim is not None]
    return [shim.pid for shim in shims if shim == Identity.of(shim.pid)]
