"""The servers that are measured: windlass and its peers, each as a context manager."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt

from tests.benchmarks.processes import answers, free_port, listens, running


@dataclass(frozen=True)
class Target:
    """A running server.

    Attributes:
        name: `windlass` or `peer`.
        pid: its process.
        http: base URL of its REST API; empty when it has none.
        grpc: address of its gRPC API; empty when it has none.
        token: what to send as bearer token; empty for none.
    """

    name: str
    pid: int
    http: str = ""
    grpc: str = ""
    token: str = ""


@contextmanager
def windlass_server(data: Path, *, database_url: str = "") -> Iterator[Target]:
    """The server alone, without an agent: jobs are accepted and wait. Its state is in SQLite by default."""
    http, grpc = free_port(), free_port()
    argv = [
        "windlass_server",
        *("--data-dir", str(data), "--http", f"127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}"),
    ]
    url = f"http://127.0.0.1:{http}"
    log = data.with_suffix(".log")
    env = {"WINDLASS_DATABASE_URL": database_url} if database_url else {}
    with running(argv, log=log, ready=lambda: answers(f"{url}/healthz"), env=env) as process:
        yield Target("windlass", process.pid, url, f"127.0.0.1:{grpc}", admin_token(data))


@contextmanager
def windlass_up(data: Path) -> Iterator[Target]:
    """Server and agent on this machine, as `windlass up` starts them."""
    http, grpc = free_port(), free_port()
    argv = [
        *("windlass_client.cli.main", "up", "--simulate-gpus", "8xH100"),
        *("--data-dir", str(data), "--http", f"127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}"),
    ]
    url = f"http://127.0.0.1:{http}"

    def ready() -> bool:
        return answers(f"{url}/healthz") and has_node(url, admin_token(data))

    with running(argv, log=data.with_suffix(".log"), ready=ready) as process:
        yield Target("windlass", process.pid, url, f"127.0.0.1:{grpc}", admin_token(data))


def admin_token(data: Path) -> str:
    """The key that the server made at its first start."""
    return (data / "admin.token").read_text(encoding="ascii").strip()


def has_node(url: str, token: str) -> bool:
    """Whether a node is ready for work."""
    import httpx

    answer = httpx.get(f"{url}/v1/resources/nodes", headers={"Authorization": f"Bearer {token}"})
    return any(node["status"] == "READY" for node in answer.json().get("nodes", []))


@contextmanager
def peer_rest(directory: Path) -> Iterator[Target]:
    """FastAPI under one uvicorn worker."""
    port, secret = free_port(), secrets.token_hex(32)
    argv = [
        *("uvicorn", "tests.benchmarks.peer_fastapi:app", "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]
    env = {"PEER_SECRET": secret, "PEER_DATABASE": str(directory / "peer.db")}
    token = jwt.encode({"sub": "bench", "projects": ["default"]}, secret, algorithm="HS256")
    url = f"http://127.0.0.1:{port}"
    log = directory / "peer_rest.log"
    with running(argv, log=log, ready=lambda: answers(f"{url}/healthz"), env=env) as process:
        yield Target("peer", process.pid, http=url, token=token)


@contextmanager
def peer_grpc(directory: Path, jobs: int) -> Iterator[Target]:
    """grpc.aio over aiosqlite, filled with `jobs` jobs."""
    port = free_port()
    argv = [
        *("tests.benchmarks.peer_grpc", "--address", f"127.0.0.1:{port}"),
        *("--database", str(directory / "peer_grpc.db"), "--jobs", str(jobs)),
    ]
    log = directory / "peer_grpc.log"
    with running(argv, log=log, ready=lambda: listens(port)) as process:
        yield Target("peer", process.pid, grpc=f"127.0.0.1:{port}")


@contextmanager
def rest_targets(directory: Path) -> Iterator[tuple[Target, Target]]:
    """Windlass and the REST peer."""
    with ExitStack() as stack:
        ours = stack.enter_context(windlass_server(directory / "windlass"))
        yield ours, stack.enter_context(peer_rest(directory))


def body(job: dict[str, object]) -> str:
    """A job as the body of a POST."""
    return json.dumps(job, separators=(",", ":"))
