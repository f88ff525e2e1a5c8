"""Jobs with times, from the flags to what is printed of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from windlass_server.scheduler.snapshot import NodeState
from windlass_server.simulation import clusters, csv_jobs, swf, synthetic, timed_plot, timed_report
from windlass_server.simulation.bars import Begin
from windlass_server.simulation.measures import Measures, measured
from windlass_server.simulation.options import SWF, TimedOptions
from windlass_server.simulation.outcome import Outcome, recorded
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.turns import BY_NAME, RECORDED, Turns
from windlass_server.simulation.virtual_time import play
from windlass_server.simulation.workload import Workload

# Of jobs that never got a place, so many are named in the table; all are in the JSON.
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Results:
    """What came of each policy."""

    workload: Workload
    outcomes: tuple[Outcome, ...]
    measures: tuple[Measures, ...]

    def as_json(self) -> dict[str, Any]:
        """One object."""
        return timed_report.as_json(self.measures, self.workload.notes)

    def as_tables(self) -> Iterator[Table | str]:
        """Tables and sentences, for people."""
        yield timed_report.as_table(self.measures)
        if len(self.measures[0].projects) > 1:
            yield ""
            yield timed_report.waits_of_projects(self.measures)
        yield from timed_report.never_placed(self.measures, _NAMED)
        yield from (f"note: {note}" for note in self.workload.notes)

    def draw(self, file: Path) -> None:
        """Write a plot; raises `TraceError` where that cannot be."""
        timed_plot.draw(self.outcomes, self.measures, file)


def run(options: TimedOptions, begin: Begin) -> Results:
    """Read or make a workload and play it under each policy.

    Raises:
        TraceError: a file cannot be read, or does not say what it should.
    """
    workload = _workload(options)
    outcomes = tuple(_outcome(options, workload, name, begin) for name in options.policies)
    return Results(workload, outcomes, tuple(measured(outcome) for outcome in outcomes))


def _outcome(options: TimedOptions, workload: Workload, name: str, begin: Begin) -> Outcome:
    if name != RECORDED.name:
        turns = BY_NAME[name] if name in BY_NAME else _from_file(name)
        return play(workload, turns, progress=begin(turns.name, len(workload.jobs)))
    try:
        return recorded(workload)
    except ValueError as error:
        raise TraceError(f"{options.trace or 'what was made'}: {error}") from None


def _from_file(name: str) -> Turns:
    # Not at the top: it takes a second, and is hardly ever needed.
    from windlass_server.simulation import policy_file

    return policy_file.read(Path(name))


def _nodes(options: TimedOptions) -> tuple[NodeState, ...]:
    if options.nodes is not None:
        return clusters.read(options.nodes)
    return clusters.made(options.cluster) if options.cluster else ()


def _workload(options: TimedOptions) -> Workload:
    nodes = _nodes(options)
    if options.trace is not None and options.form == SWF:
        return swf.read(options.trace, nodes)
    if options.trace is not None:
        return Workload(nodes, csv_jobs.read(options.trace))
    try:
        jobs = synthetic.made(nodes, options.generate, options.load, options.seed)
    except ValueError as error:
        raise TraceError(f"{options.nodes}: {error}") from None
    if options.save is not None:
        try:
            with options.save.open("w", encoding="utf-8", newline="") as file:
                csv_jobs.write(jobs, file)
        except OSError as error:
            raise TraceError(f"{options.save}: {error.strerror or error}") from None
    return Workload(nodes, jobs)
