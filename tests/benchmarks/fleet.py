"""A fleet of simulated nodes against one server: what it costs, what is lost, and who waits for it.

The fleet's processes, the REST calls and the server share the machine.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import linear_regression, median, quantiles

from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.job import JOB
from tests.benchmarks.paced import Request, call, call_json, get_json, paced
from tests.benchmarks.processes import cpu_seconds, resident_mib, running
from tests.benchmarks.results import Figure, at_most
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, windlass_server

RATE = 100
LISTS = 20
AGENT_SECONDS = 30
_LOOK_SECONDS = 1.0
_START_SECONDS = 300


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield what a fleet costs its server, and what one agent costs its node."""
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        folder = Path(name)
        with windlass_server(folder / "windlass") as target:
            yield from agent_alone(console, target, folder)
            log = folder / "fleet.log"
            with fleet(target, folder, log, settings.fleet_nodes):
                yield from under_fleet(console, target, settings)
            yield from sums(log, settings)


def under_fleet(console: Console, target: Target, settings: Settings) -> Iterator[Figure]:
    """What the server needs for the nodes alone, then with callers beside them."""
    seconds, nodes = settings.fleet_seconds, settings.fleet_nodes
    before, began = cpu_seconds(target.pid), time.monotonic()
    time.sleep(seconds / 4)
    used = (cpu_seconds(target.pid) - before) / (time.monotonic() - began)
    label = f"{nodes} nodes of 8 GPUs at 1 Hz"
    yield at_most(f"{label}: server, of one core", used * 100, "%", aims.INGEST_PERCENT)

    # What is kept of the last minutes, and what is remembered, has its size after the first half.
    asked = requests(target)
    answers = paced(target, asked, RATE, seconds / 2)
    with growth(target.pid) as grown:
        more = paced(target, asked, RATE, seconds / 2)
    answers.took_ms += more.took_ms
    answers.errors += more.errors
    p99 = quantiles(answers.took_ms, n=100)[-1]
    console.print(f"  {len(answers.took_ms)} calls, {answers.errors} errors", style="dim")
    yield at_most(f"{RATE} REST calls a second beside: p99", p99, "ms", aims.BESIDE_P99_MS)
    yield Figure(f"{RATE} REST calls a second beside: p50", median(answers.took_ms), "ms")
    yield at_most(f"{RATE} REST calls a second beside: errors", answers.errors, "calls", 0)
    yield at_most(
        "resident memory of the server: trend of the second half",
        grown[0],
        "MiB/min",
        aims.GROWTH_MIB,
    )
    yield Figure("resident memory of the server", resident_mib(target.pid), "MiB")

    path = f"/v1/resources/nodes?page_size={min(nodes, 1000)}"
    took = [timed(target, path) for _ in range(LISTS)]
    yield at_most(
        f"list of {nodes} nodes with devices, p50", median(took), "ms", aims.LIST_NODES_MS
    )


@contextmanager
def growth(pid: int) -> Iterator[list[float]]:
    """By how many MiB a minute a process has grown when the block has ended: the trend of all looks at it.

    From one second to the next what it has goes up and down by more than it grows in minutes.
    """
    minutes: list[float] = []
    resident: list[float] = []
    trend: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            minutes.append(time.monotonic() / 60)
            resident.append(resident_mib(pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield trend
    finally:
        over.set()
        looking.join()
    trend.append(linear_regression(minutes, resident).slope)


def requests(target: Target) -> list[Request]:
    """What callers ask for: jobs and nodes, lists of both, and now and then a new job."""
    nodes = get_json(target, "/v1/resources/nodes?page_size=10")["nodes"]
    assert isinstance(nodes, list)
    paths = [f"/v1/resources/nodes/{node['node_id']}" for node in nodes]
    reads: list[Request] = [("GET", path, "") for path in paths]
    reads += [("GET", "/v1/jobs?page_size=50", ""), ("GET", "/v1/resources/nodes?page_size=20", "")]
    return [*reads, ("POST", "/v1/jobs", json.dumps(JOB)), *reads]


def timed(target: Target, path: str) -> float:
    """Milliseconds until a list is there whole; what its reader then makes of it is not counted."""
    before = time.perf_counter()
    call(target, ("GET", path, ""))
    return (time.perf_counter() - before) * 1000


def sums(log: Path, settings: Settings) -> Iterator[Figure]:
    """What the fleet itself counted."""
    counts = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    lost = counts["batches_lost"] + counts["batches_unanswered"]
    yield at_most("batches of samples under credit that were lost", lost, "batches", 0)
    yield Figure("batches of samples that were acknowledged", counts["batches_acknowledged"], "")
    per_batch = counts["values_sent"] / max(1, counts["batches_sent"])
    yield Figure("values in a batch", per_batch, "")
    again = counts["connections"] - settings.fleet_nodes
    yield at_most("connections of nodes that broke", again, "", 0)


def agent_alone(console: Console, target: Target, folder: Path) -> Iterator[Figure]:
    """The real agent with eight simulated GPUs and nothing to run."""
    token = str(call_json(target, ("POST", "/v1/resources/joinTokens", "{}"))["token"])
    argv = [
        *("windlass_agent", "--server", target.grpc, "--data-dir", str(folder / "agent")),
        *("--simulate-gpus", "8xH100", "--hide-paths", str(folder / "windlass")),
    ]
    env = {"WINDLASS_JOIN_TOKEN": token}

    def ready() -> bool:
        return ready_nodes(target) == 1

    with running(argv, log=folder / "agent.log", ready=ready, env=env) as process:
        time.sleep(5)
        before, began = cpu_seconds(process.pid), time.monotonic()
        time.sleep(AGENT_SECONDS)
        used = (cpu_seconds(process.pid) - before) / (time.monotonic() - began) * 100
        console.print(f"  the agent took {used:.2f} % of a core", style="dim")
        yield at_most("agent of 8 GPUs at 1 Hz, of one core", used, "%", aims.AGENT_PERCENT)
        yield Figure("agent: resident memory", resident_mib(process.pid), "MiB")


@contextmanager
def fleet(
    target: Target, folder: Path, log: Path, nodes: int, *, tasks: str = "sleep:5s"
) -> Iterator[None]:
    """Run a fleet until the block ends; its sums are the last line of `log`."""
    argv = [
        *("windlass_client.cli.main", "--server", target.grpc, "fleet", "--json"),
        *("--nodes", str(nodes), "--gpus", "8xH100", "--interval", "1s", "--tasks", tasks),
        *("--data-dir", str(folder / "fleet"), "--processes", "2"),
    ]

    def ready() -> bool:
        time.sleep(_LOOK_SECONDS)
        return ready_nodes(target) >= nodes

    env = {"WINDLASS_TOKEN": target.token}
    with running(argv, log=log, ready=ready, env=env, patience=_START_SECONDS):
        yield


def ready_nodes(target: Target) -> int:
    """How many nodes are connected, by the server's own sums."""
    pools = get_json(target, "/v1/resources/pools").get("pools", [])
    assert isinstance(pools, list)
    return sum(int(pool["node_counts"].get("READY", 0)) for pool in pools)
