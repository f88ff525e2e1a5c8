"""How many GPUs policies give out on OpenB's trace, beside the figures that the FGD paper's authors published.

The trace is not in this repository. `--traces DIR` names the folder with `openb_node_list_gpu_node.csv` and
`openb_pod_list_default.csv`, from data/csv of github.com/hkust-adsl/kubernetes-scheduler-simulator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.packing_workloads import WORKLOADS, workload
from tests.benchmarks.results import Figure, at_least, at_most
from tests.benchmarks.settings import Settings
from windlass_server.scheduler.packing.policies import DEFAULT
from windlass_server.simulation import openb
from windlass_server.simulation.arrivals import arrivals
from windlass_server.simulation.replay import Replay, replay
from windlass_server.simulation.report import Summary
from windlass_server.simulation.trace import Trace

NODES, TASKS = "openb_node_list_gpu_node.csv", "openb_pod_list_default.csv"
FIRST_SEED, DEMAND = 42, 1.3


@dataclass(frozen=True)
class Published:
    """Means of ten seeds from the authors' own runs (experiments/analysis/expected_results there).

    Attributes:
        at_90: per cent of all GPUs given out when 90 % had been asked for.
        at_100: the same at 100 %.
        spread: standard deviation at 100 %.
    """

    at_90: float
    at_100: float
    spread: float


PUBLISHED = {
    "fgd": Published(89.98, 95.23, 0.10),
    "best-fit": Published(89.99, 92.86, 0.14),
    "dot-product": Published(89.98, 90.62, 0.18),
    "random": Published(85.02, 86.30, 0.32),
}


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield what each policy gives out, how long a run of ours takes, and how ours does elsewhere."""
    folder = Path(settings.traces)
    absent = [name for name in (NODES, TASKS) if not (folder / name).is_file()]
    if absent:
        said = f"  no {' and no '.join(absent)} in {folder}; --traces DIR says where"
        console.print(said, markup=False)
        return
    trace, seeds = openb.read(folder / NODES, folder / TASKS), settings.packing_seeds
    with console.status("packing the trace"):
        yield from ours(played(trace, DEFAULT, seeds))
        for policy, published in PUBLISHED.items():
            yield from peer(played(trace, policy, seeds), published)
        for name in WORKLOADS:
            yield from elsewhere(trace, name, -(-seeds // 3))


def ours(summary: Summary) -> Iterator[Figure]:
    """What is aimed at: more than FGD at 100 %, no less at 90 %, and in little time."""
    fgd = PUBLISHED["fgd"]
    for mark, aim, known in (
        (100, aims.GIVEN_OUT_AT_100, fgd.at_100),
        (90, fgd.at_90, fgd.at_90),
    ):
        name = f"given out at {mark} %, {summary.policy}"
        yield at_least(name, given_out(summary, mark), "%", aim, f"FGD, published: {known:.2f} %")
    seconds = median(one.seconds for one in summary.runs)
    simulator = "FGD's simulator: 600 s"
    yield at_most("packing one seed", seconds, "s", aims.PACKING_SECONDS, simulator)
    yield Figure("placements", summary.placements_per_second, "/s")


def peer(summary: Summary, published: Published) -> Iterator[Figure]:
    """Our own version of a published policy beside the published figures."""
    known = f"published: {published.at_100:.2f} ±{published.spread:.2f} %"
    name = f"given out at {{}} %, our {summary.policy}"
    yield Figure(name.format(100), given_out(summary, 100), "%", reference=known)
    known = f"published: {published.at_90:.2f} %"
    yield Figure(name.format(90), given_out(summary, 90), "%", reference=known)


def elsewhere(trace: Trace, name: str, seeds: int) -> Iterator[Figure]:
    """Ours beside our FGD on another workload."""
    best, fgd = (played(trace, policy, seeds, name) for policy in (DEFAULT, "fgd"))
    for mark in (100, 90):
        known = f"our fgd: {given_out(fgd, mark):.2f} %"
        value = given_out(best, mark)
        yield Figure(f"{name}: at {mark} %, {best.policy}", value, "%", reference=known)


def played(trace: Trace, policy: str, seeds: int, other: str = "") -> Summary:
    """One run for each seed, of the trace's own tasks or of another workload made from them."""
    found = list[Replay]()
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        made = workload(trace, other, seed) if other else trace
        found.append(replay(made, arrivals(made, DEMAND, seed), policy, seed))
    return Summary(policy, tuple(found))


def given_out(summary: Summary, mark: int) -> float:
    """Per cent of all GPUs; the demand reaches every mark."""
    value = summary.percent_at(mark)
    assert value is not None
    return value
