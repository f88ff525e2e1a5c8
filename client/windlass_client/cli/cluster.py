"""A server and an agent on this machine, supervised as child processes: what `windlass up` runs.

The supervisor stays on one thread, and so without grpc. The kernel tells children of a parent's
death when the thread ends that started them: with one thread that is the supervisor's own end.
"""

import asyncio
import http
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from windlass_client.cli.launch import python_module
from windlass_client.cli.supervise import Backoff, Child, Launch, Refused, unless
from windlass_client.errors import Unavailable
from windlass_client.settings import Settings

_READY_EVERY = 0.1
# What the agent ends with when it cannot run as configured.
_USAGE_ERROR = 2
_ANSWER_LIMIT = 2.0

# What configures the client is neither child's business: least of all the user's credential.
_OF_THE_CLIENT = frozenset(
    f"WINDLASS_{name}"
    for name in ("SERVER", "TOKEN", "TOKEN_FILE", "PROJECT", "CA_FILE", "JOIN_TOKEN")
)
_OF_THE_AGENT = "WINDLASS_AGENT_"


@dataclass(frozen=True)
class Endpoint:
    """Where something listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Parse `host:port`. Raises ValueError."""
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def near(self) -> "Endpoint":
        """Where this machine reaches it: an address that means all of them is no destination."""
        loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        return Endpoint(loopback.get(self.host, self.host), self.port)


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        data_dir: the server's directory; the agent's is `agent` within it.
        http: where REST and the console are served.
        grpc: where gRPC is served.
        simulate_gpus: such as `8xH100`; empty takes the GPUs that the machine has.
        divide_gpus: whether the server may divide the GPUs into instances.
        agent: whether to run an agent at all.
        keep_tasks: whether tasks live on when the agent is told to end.
        database_url: PostgreSQL for the server's state; it travels in the environment, where `ps`
            does not show the password within it.
    """

    data_dir: Path
    http: Endpoint
    grpc: Endpoint
    simulate_gpus: str = ""
    divide_gpus: bool = False
    agent: bool = True
    keep_tasks: bool = False
    database_url: str = ""

    @property
    def token_file(self) -> Path:
        """Where the server leaves the administrator's token."""
        return self.data_dir / "admin.token"

    @property
    def node_file(self) -> Path:
        """Where the agent keeps its identity once it has joined."""
        return self.data_dir / "agent" / "node.json"

    def server_argv(self) -> list[str]:
        """The server's command line."""
        return [
            *python_module("server"),
            *("--data-dir", str(self.data_dir), "--http", str(self.http), "--grpc", str(self.grpc)),
            "--die-with-parent",
        ]

    def agent_argv(self) -> list[str]:
        """The agent's command line."""
        simulate = ("--simulate-gpus", self.simulate_gpus) if self.simulate_gpus else ()
        return [
            *python_module("agent"),
            *("--server", str(self.grpc.near), "--data-dir", str(self.data_dir / "agent")),
            # The server's keys and database are on the same machine as the tasks.
            *("--hide-paths", str(self.data_dir)),
            *simulate,
            *(("--divide-gpus",) if self.divide_gpus else ()),
            *("--on-exit", "keep" if self.keep_tasks else "stop", "--die-with-parent"),
        ]


class Cluster:
    """Runs a plan.

    Args:
        plan: what to run.
        say: prints a line for people.
        environ: the environment to hand on.
        output: file descriptor for the children's output; ours by default.
        backoff: pauses between restarts.
    """

    def __init__(
        self,
        plan: Plan,
        say: Callable[[str], None],
        *,
        environ: Mapping[str, str] = os.environ,
        output: int | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.plan = plan
        self.ready = asyncio.Event()
        self._say = say
        self._environ = {k: v for k, v in environ.items() if k not in _OF_THE_CLIENT}
        self._server = Child(
            "server", self._server_launch, say, output=output, patience=30, backoff=backoff
        )
        # The agent gives its tasks their grace periods first.
        self._agent = Child(
            "agent", self._agent_launch, say, output=output, patience=120, backoff=backoff
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`; then end the agent, and the server behind it.

        Raises:
            Refused: another server answers where ours shall, or a child refused its configuration;
                the other was ended.
        """
        if await unless(stop, _answers(self.plan.http.near)):
            # Ours could not listen there, and until it said so we would take the other for it.
            raise Refused(f"another server answers at http://{self.plan.http.near} already")
        keepers = [self._server.start()]
        try:
            if not await self._first(keepers, stop, self._prepared()):
                return
            if self.plan.agent:
                keepers.append(self._agent.start())
            self.ready.set()
            await self._first(keepers, stop, _for_ever())
        finally:
            await self._agent.stop()
            await self._server.stop()

    def kill(self) -> None:
        """End both children at once."""
        self._agent.kill()
        self._server.kill()

    async def _first(
        self,
        keepers: "list[asyncio.Task[None]]",
        stop: asyncio.Event,
        work: Coroutine[Any, Any, bool],
    ) -> bool:
        """Whether `work` was done before `stop`. Raises Refused as soon as a keeper does."""

        async def watched() -> bool:
            task = asyncio.ensure_future(work)
            try:
                done, _ = await asyncio.wait([task, *keepers], return_when=asyncio.FIRST_COMPLETED)
                for keeper in done - {task}:
                    keeper.result()
                return task in done and task.result()
            finally:
                task.cancel()

        return bool(await unless(stop, watched()))

    async def _prepared(self) -> bool:
        """Wait until the server answers. Raises Refused when the agent could not start beside it."""
        if self.plan.agent and self.plan.simulate_gpus:
            await self._require_gpus(self.plan.simulate_gpus)
        return await self._server_is_ready()

    async def _require_gpus(self, spec: str) -> None:
        """Refuse GPUs that the agent cannot simulate: it shows them, or says why not."""
        argv = [*python_module("agent"), "devices", "--simulate-gpus", spec]
        process = await asyncio.create_subprocess_exec(
            *argv, env=self._environ, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
        _, said = await process.communicate()
        if process.returncode == _USAGE_ERROR:
            lines = said.decode(errors="replace").strip().splitlines()
            raise Refused(lines[-1].removeprefix("windlass agent: ") if lines else "bad GPUs")

    async def _server_is_ready(self) -> bool:
        # ASYNC110 asks for an event, but what changes is in another process.
        while not await _answers(self.plan.http.near):  # noqa: ASYNC110
            await asyncio.sleep(_READY_EVERY)
        return True

    async def _server_launch(self) -> Launch:
        env = {k: v for k, v in self._environ.items() if not k.startswith(_OF_THE_AGENT)}
        if self.plan.database_url:
            env["WINDLASS_DATABASE_URL"] = self.plan.database_url
        return Launch(self.plan.server_argv(), env)

    async def _agent_launch(self) -> Launch:
        env = {k: v for k, v in self._environ.items() if k != "WINDLASS_DATABASE_URL"}
        if await self._must_join():
            env["WINDLASS_JOIN_TOKEN"] = await self._join_token()
        return Launch(self.plan.agent_argv(), env)

    async def _must_join(self) -> bool:
        """Whether the agent has no identity, or that of a node which the server's database lacks.

        That is so when the same directory is used with another database, such as PostgreSQL after
        SQLite. Raises Unavailable when the server does not say.
        """
        try:
            node_id = str(json.loads(self.plan.node_file.read_bytes())["node_id"])
            token = self.settings().token or ""
        except FileNotFoundError:
            return True
        except (OSError, ValueError, KeyError, TypeError):
            return False  # the agent itself says what is wrong with it
        except Unavailable:
            return False  # without the administrator's token we cannot ask, nor let it join
        path = f"/v1/resources/nodes/{quote(node_id, safe='')}"
        status = await _status(self.plan.http.near, path, token)
        if status is None:
            raise Unavailable("the server does not answer", reason="NO_SERVER")
        if status != http.HTTPStatus.NOT_FOUND:
            return False
        self._say(f"this database does not know {node_id}; the agent joins anew")
        self.plan.node_file.unlink(missing_ok=True)
        return True

    async def _join_token(self) -> str:
        """A join token, asked for by a process of its own: see the module's docstring."""
        settings = self.settings()
        env = self._environ | {
            "WINDLASS_SERVER": settings.server,
            "WINDLASS_TOKEN": settings.token or "",
        }
        command = [sys.executable, "-P", "-m", "windlass_client.cli.main", "node-token"]
        asking = await asyncio.create_subprocess_exec(
            *command, "--lifetime", "10m", stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=env
        )
        try:
            token, said = await asking.communicate()
        finally:
            if asking.returncode is None:
                asking.kill()
                await asking.wait()
        if asking.returncode != 0:
            raise Unavailable(" ".join(said.decode(errors="replace").split()))
        return token.decode().strip()

    def settings(self) -> Settings:
        """How a client reaches the cluster as its administrator. Raises Unavailable."""
        try:
            token = self.plan.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            message = f"cannot read {self.plan.token_file}: {error.strerror}"
            raise Unavailable(message, reason="NO_ADMIN_TOKEN") from error
        return Settings(server=f"http://{self.plan.grpc.near}", token=token)


async def _for_ever() -> bool:
    await asyncio.Event().wait()
    return True


async def _answers(endpoint: Endpoint) -> bool:
    """Whether the server says that it is healthy."""
    return await _status(endpoint, "/healthz") == http.HTTPStatus.OK


async def _status(endpoint: Endpoint, path: str, token: str = "") -> int | None:
    """The status of the answer to a GET, straight to the server, past any proxy; None without one."""
    credential = f"Authorization: Bearer {token}\r\n" if token else ""
    request = f"GET {path} HTTP/1.1\r\nHost: {endpoint}\r\n{credential}Connection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_ANSWER_LIMIT):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            try:
                writer.write(request.encode())
                return int((await reader.readline()).split()[1])
            finally:
                writer.close()
    except (OSError, ValueError, IndexError):
        return None


__all__ = ["Cluster", "Endpoint", "Plan", "Refused"]
