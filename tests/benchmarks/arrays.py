"""Arrays: how long one takes to be accepted, to get its first jobs, to be read, and to be cancelled."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import httpx
from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.job import JOB
from tests.benchmarks.results import Figure, at_most
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, windlass_server

ROUNDS = 10
WINDOW = 1000
MOST_SECONDS = 60.0


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield how long an array of ten thousand, and one of a hundred thousand, takes at each step."""
    with (
        tempfile.TemporaryDirectory(prefix="windlass-bench-") as name,
        windlass_server(Path(name) / "windlass") as target,
        _rest(target) as rest,
    ):
        for count in (10_000, 100_000):
            console.print(f"  {ROUNDS} arrays of {count:,}", style="dim")
            taken = [_seconds(lambda count=count: _submit(rest, count)) for _ in range(ROUNDS)]  # type: ignore[misc]
            label = f"array of {count:,}"
            slowest = max(taken)
            yield at_most(f"{label}: on disk when answered", slowest, "s", aims.ARRAY_SECONDS)
        array_id = _submit(rest, 100_000)
        until = _until(lambda: _with_jobs(rest, array_id))
        yield Figure(
            f"{label}: until its first {WINDOW:,} have their jobs, behind {2 * ROUNDS} others",
            until,
            "s",
        )
        lists = [_seconds(lambda: _get(rest, "/v1/jobs")) * 1e3 for _ in range(ROUNDS * 5)]
        listed = f"first page of jobs beside {2 * ROUNDS + 1} arrays"
        yield at_most(f"{listed}: p50", median(lists), "ms", aims.FIRST_PAGE_MS)
        page = f"/v1/jobs/{array_id}/array?status=FAILED&page_size=1000"
        reads = [_seconds(lambda: _get(rest, page)) * 1e3 for _ in range(ROUNDS * 5)]
        yield Figure(f"{label}: page of its failed indices: p50", median(reads), "ms")
        before = time.monotonic()
        rest.post(f"/v1/jobs/{array_id}:cancel", json={}).raise_for_status()
        _until(lambda: _get(rest, f"/v1/jobs/{array_id}")["status"] == "CANCELLED")
        yield Figure(f"{label}: until it is cancelled", time.monotonic() - before, "s")


def _rest(target: Target) -> httpx.Client:
    headers = {"authorization": f"Bearer {target.token}"}
    return httpx.Client(base_url=target.http, headers=headers, timeout=60)


def _submit(rest: httpx.Client, count: int) -> str:
    answer = rest.post("/v1/jobs", json=JOB | {"array": {"count": count}})
    return str(answer.raise_for_status().json()["job_id"])


def _get(rest: httpx.Client, path: str) -> dict[str, object]:
    found: dict[str, object] = rest.get(path).raise_for_status().json()
    return found


def _with_jobs(rest: httpx.Client, array_id: str) -> bool:
    indices = _get(rest, f"/v1/jobs/{array_id}/array?index={WINDOW - 1}")["indices"]
    assert isinstance(indices, list)
    return bool(indices[0]["job_id"])


def _seconds(work: Callable[[], object]) -> float:
    before = time.monotonic()
    work()
    return time.monotonic() - before


def _until(done: Callable[[], bool]) -> float:
    """In how many seconds it was so. Raises RuntimeError when it takes too long."""
    before = time.monotonic()
    while not done():
        if time.monotonic() - before > MOST_SECONDS:
            raise RuntimeError("it takes too long")
        time.sleep(0.02)
    return time.monotonic() - before
