"""What backfill and fair share do for those who wait, beside first come, first served.

A CSV trace is made that wants 1.2 times what there is, and played in virtual time under each policy: the
real `plan()` at each event. All numbers but the times follow from the seed.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tests.benchmarks.results import Figure, at_least, at_most
from tests.benchmarks.settings import Settings
from windlass_server.simulation import clusters, csv_jobs, synthetic
from windlass_server.simulation.measures import Measures, measured
from windlass_server.simulation.turns import BY_NAME
from windlass_server.simulation.virtual_time import play
from windlass_server.simulation.workload import SECOND, Workload

CLUSTER, LOAD, SEED = "64x8xH100", 1.2, 42
HOUR = 3600
# Those that keep a start for whom they let wait.
BOUNDED = ("fifo", "backfill", "built-in")


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield how long jobs wait, and how even it is, under each policy."""
    workload = a_workload(settings.played_jobs)
    found = dict[str, Measures]()
    with console.status("playing the trace"):
        for name, turns in BY_NAME.items():
            found[name] = measured(play(workload, turns))
            yield from figures(found[name])
    yield from beside(found["built-in"], found["fifo"])
    longest = max(job.demand.time_limit or 0 for job in workload.jobs) / SECOND / HOUR
    for name in BOUNDED:
        most = found[name].first.most / HOUR
        yield at_most(f"longest first in line, {name}", most, "h", longest)


def a_workload(jobs: int) -> Workload:
    """A trace, written as CSV and read again."""
    nodes = clusters.made(CLUSTER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "jobs.csv"
        with file.open("w", encoding="utf-8", newline="") as text:
            csv_jobs.write(synthetic.made(nodes, jobs, LOAD, SEED), text)
        return Workload(nodes, csv_jobs.read(file))


def figures(one: Measures) -> Iterator[Figure]:
    """What is printed of a policy."""
    yield Figure(f"mean wait, {one.policy}", one.wait.mean / HOUR, "h")
    yield Figure(f"p99 wait, {one.policy}", one.wait.p99 / HOUR, "h")
    yield Figure(f"mean completion, {one.policy}", one.completion.mean / HOUR, "h")
    yield Figure(f"p99 completion, {one.policy}", one.completion.p99 / HOUR, "h")
    yield Figure(f"Jain of projects, {one.policy}", one.jain_projects, "")
    yield Figure(f"Jain of users, {one.policy}", one.jain_users, "")
    yield Figure(f"given out, {one.policy}", one.allocation, "%")
    yield Figure(f"plans a second, {one.policy}", one.plans / one.seconds, "/s")


def beside(ours: Measures, fifo: Measures) -> Iterator[Figure]:
    """What is aimed at: shorter waits and evener parts than first come, first served."""
    wait = ours.wait.mean / fifo.wait.mean
    yield at_most("mean wait, built-in over fifo", wait, "", 1)
    completion = ours.completion.mean / fifo.completion.mean
    yield at_most("mean completion, built-in over fifo", completion, "", 1)
    jain = ours.jain_projects - fifo.jain_projects
    yield at_least("Jain of projects, built-in less fifo", jain, "", 0)
