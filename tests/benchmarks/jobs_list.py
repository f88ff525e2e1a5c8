"""The first page of very many jobs, filtered by project and status, over REST from a running server.

The jobs are put into its database by one statement while it is stopped. They are of four projects, and most of
them have ended; the worst page is the one that finds nothing.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import httpx
from rich.console import Console
from sqlalchemy import create_engine, make_url, text

from tests.benchmarks import settings as aims
from tests.benchmarks.processes import answers, free_port, running
from tests.benchmarks.results import Figure, at_most
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import admin_token
from tests.support.many_jobs import fill
from tests.support.own_postgresql import OwnPostgresql

# Per thousand: 860 SUCCEEDED, 40 FAILED, 99 QUEUED, one RUNNING; nothing is CANCELLED or out of memory.
STATUS = "CASE WHEN i % 1000 < 860 THEN 5 WHEN i % 1000 < 900 THEN 6 WHEN i % 1000 < 999 THEN 1 ELSE 3 END"
BY_ROW = {
    "project": "CASE WHEN i % 4 = 3 THEN 'default' ELSE 'other' END",
    "user": "'u' || CAST(i % 37 AS TEXT)",
    "status": STATUS,
    # They wait for others, so that the scheduler has nothing to explain meanwhile.
    "held": "1",
}
PAGES = {
    "running or waiting": ["RUNNING", "QUEUED"],
    "failed": ["FAILED"],
    "cancelled or out of memory (none)": ["CANCELLED", "OUT_OF_MEMORY"],
}
ROUNDS = 200


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield how long such a page takes on either database."""
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        folder = Path(name)
        sqlite = f"sqlite:///{folder / 'jobs.db'}"
        yield from _pages(console, settings, folder / "sqlite", sqlite, "SQLite")
        own = OwnPostgresql(folder / "postgresql")
        asyncio.run(own.start())
        try:
            yield from _pages(console, settings, folder / "other", own.new(), "PostgreSQL")
        finally:
            asyncio.run(own.stop())


def _pages(
    console: Console, settings: Settings, data: Path, url: str, engine: str
) -> Iterator[Figure]:
    count = settings.listed_jobs
    with _server(data, url):
        pass  # it makes the tables and a key
    with console.status(f"adding {count:,} jobs to {engine}"):
        _fill(url, count)
    with _server(data, url) as address:
        for what, statuses in PAGES.items():
            took = _took(address, admin_token(data), statuses)
            label = f"first page of {count:,} jobs, {engine}, {what}"
            yield at_most(f"{label}: p50", median(took), "ms", aims.FIRST_PAGE_MS)
            yield Figure(f"{label}: p99", quantiles(took, n=100)[-1], "ms")


@contextmanager
def _server(data: Path, url: str) -> Iterator[str]:
    http, grpc = free_port(), free_port()
    argv = [
        "windlass_server",
        *("--data-dir", str(data), "--database-url", url),
        *("--http", f"127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}"),
    ]
    address = f"http://127.0.0.1:{http}"
    log = data.with_suffix(".log")
    with running(argv, log=log, ready=lambda: answers(f"{address}/healthz")):
        yield address


def _fill(url: str, count: int) -> None:
    of_driver = make_url(url)
    if of_driver.drivername == "postgresql":
        of_driver = of_driver.set(drivername="postgresql+psycopg")
    engine = create_engine(of_driver)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO projects (project, organisation_id, display_name, created_at) SELECT 'other',"
                " organisation_id, '', created_at FROM projects WHERE project = 'default'"
            )
        )
        fill(connection, count, BY_ROW)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))  # as PostgreSQL does by itself after a while
    engine.dispose()


def _took(address: str, token: str, statuses: list[str]) -> list[float]:
    """Milliseconds of each of the requests, one after the other."""
    took: list[float] = []
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        for _ in range(ROUNDS):
            before = time.perf_counter()
            answer = client.get("/v1/jobs", params={"project": "default", "status": statuses})
            took.append((time.perf_counter() - before) * 1e3)
            answer.raise_for_status()
    return took
