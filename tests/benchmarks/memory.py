"""REST without a database on either side: the gateway beside FastAPI, both answering from memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.memory_jobs import JOBS
from tests.benchmarks.processes import answers, free_port, running
from tests.benchmarks.rest import PAGE, Call, lines, measure_of
from tests.benchmarks.results import Comparison
from tests.benchmarks.rounds import compare
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target
from tests.benchmarks.tools import tool

GET = f"/v1/jobs/{JOBS[0].job_id}"


@contextmanager
def gateway(directory: Path) -> Iterator[Target]:
    """Our gateway on granian."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = ["tests.benchmarks.memory_gateway", str(port)]
    log = directory / "gateway.log"
    with running(argv, log=log, ready=lambda: answers(url + GET)) as process:
        yield Target("windlass", process.pid, http=url)


@contextmanager
def fastapi(directory: Path) -> Iterator[Target]:
    """FastAPI under one uvicorn worker."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [
        *("uvicorn", "tests.benchmarks.peer_memory:app", "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]
    log = directory / "fastapi.log"
    with running(argv, log=log, ready=lambda: answers(url + GET)) as process:
        yield Target("peer", process.pid, http=url)


def same_answers(ours: Target, peer: Target) -> None:
    """RuntimeError unless the peer answers every field that we do, by the same value."""
    for path in (GET, PAGE):
        said = [httpx.get(target.http + path, timeout=10).json() for target in (ours, peer)]
        jobs = [one.get("jobs", [one]) for one in said]
        for our_job, peer_job in zip(*jobs, strict=True):
            if {key: our_job.get(key) for key in peer_job} != peer_job:
                raise RuntimeError(f"the sides answer differently at {path}")


def run(console: Console, settings: Settings) -> Iterator[Comparison]:
    """Yield a comparison for each call and number of connections."""
    tool("wrk", "wrk")
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        directory = Path(name)
        with gateway(directory) as ours, fastapi(directory) as peer:
            same_answers(ours, peer)
            for call in (
                Call("from memory, get", "GET", lines([GET]), aims.MEMORY_GET),
                Call("from memory, list of 50", "GET", lines([PAGE]), aims.MEMORY_LIST),
            ):
                for connections in settings.connections:
                    sides = (
                        measure_of(ours, call, settings, connections, directory),
                        measure_of(peer, call, settings, connections, directory),
                    )
                    yield compare(console, settings, call.name, connections, sides, call.at_least)
