"""REST: get, list and submit under wrk, windlass beside FastAPI."""

import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx
from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.job import JOB
from tests.benchmarks.results import Comparison, Load
from tests.benchmarks.rounds import Measure, compare, with_processor_time
from tests.benchmarks.seed import seed
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, peer_rest, windlass_server
from tests.benchmarks.tools import tool

SCRIPT = Path(__file__).with_name("load.lua")
MARK = "RESULT "
PAGE = "/v1/jobs?project=default&page_size=50"


@dataclass(frozen=True)
class Call:
    """One kind of call: a name, the method, what `load.lua` reads, the aim."""

    name: str
    method: str
    content: str
    at_least: float


def calls(target: Target, ids: list[str]) -> list[Call]:
    """The calls. Gets take all jobs in turn; lists the newest page, then any page.

    The newest page alone would flatter whoever keeps what was answered before.
    """
    order = random.Random(7)
    paths = [f"/v1/jobs/{job_id}" for job_id in order.sample(ids, len(ids))]
    pages = list(page_paths(target))
    submit = f"/v1/jobs\n{json.dumps(JOB, separators=(',', ':'))}"
    return [
        Call("REST get", "GET", lines(paths), aims.REST_GET),
        Call("REST list, newest 50", "GET", lines(pages[:1]), aims.REST_LIST),
        Call("REST list, any 50", "GET", lines(order.sample(pages, len(pages))), aims.REST_LIST),
        Call("REST submit", "POST", submit, aims.REST_SUBMIT),
    ]


def lines(paths: list[str]) -> str:
    """One path on each line."""
    return "".join(f"{path}\n" for path in paths)


def page_paths(target: Target) -> Iterator[str]:
    """The path of each page of jobs, found by turning the pages."""
    path = PAGE
    headers = {"Authorization": f"Bearer {target.token}"}
    while True:
        yield path
        answer = httpx.get(target.http + path, headers=headers, timeout=30)
        token = answer.raise_for_status().json()["next_page_token"]
        if not token:
            return
        path = f"{PAGE}&page_token={quote(token, safe='')}"


def wrk(target: Target, call: Call, file: Path, connections: int, seconds: int) -> Load:
    """Run wrk for so long with one thread."""
    command = [
        *(tool("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{seconds}s"),
        *("-s", str(SCRIPT), target.http, "--", call.method, str(file)),
    ]
    env = {**os.environ, "BENCH_TOKEN": target.token}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not lines:
        raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")
    found = json.loads(lines[0].removeprefix(MARK))
    return Load(
        answers=found["requests"],
        rate=found["requests"] / found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        errors=found["errors"],
    )


def measure_of(
    target: Target, call: Call, settings: Settings, connections: int, directory: Path
) -> Measure:
    """How to measure a call on a target, with its warm-up."""
    file = directory / f"{target.name}-{call.name.replace(' ', '-').replace(',', '')}.txt"
    file.write_text(call.content, encoding="ascii")

    def measure() -> Load:
        wrk(target, call, file, connections, settings.warm_up_seconds)
        load = partial(wrk, target, call, file, connections, settings.seconds)
        return with_processor_time(target.pid, load)

    return measure


def run(console: Console, settings: Settings) -> Iterator[Comparison]:
    """Yield a comparison for each call and number of connections."""
    tool("wrk", "wrk")
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        directory = Path(name)
        with windlass_server(directory / "windlass") as ours, peer_rest(directory) as peer:
            sides = [(one, calls(one, filled(console, one, settings))) for one in (ours, peer)]
            for index, call in enumerate(sides[0][1]):
                for connections in settings.connections:
                    measures = [
                        measure_of(target, each[index], settings, connections, directory)
                        for target, each in sides
                    ]
                    pair = (measures[0], measures[1])
                    yield compare(console, settings, call.name, connections, pair, call.at_least)


def filled(console: Console, target: Target, settings: Settings) -> list[str]:
    """Seed a target; the ids of its jobs."""
    with console.status(f"{target.name}: submitting {settings.jobs} jobs"):
        return seed(target, settings.jobs)
