"""What is printed of workloads that were played: one JSON object, or tables for people."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.table import Table

from windlass_server.simulation.measures import Measures, Party, Spread


def as_json(measures: Sequence[Measures], notes: Sequence[str]) -> dict[str, Any]:
    """The first policy's figures; with more policies than one, all of them under `policies` too."""
    shown = [_figures(one) for one in measures]
    beside: dict[str, Any] = {"policies": shown} if len(shown) > 1 else {}
    return {**shown[0], "notes": [*notes], **beside}


def _figures(one: Measures) -> dict[str, Any]:
    return {
        "policy": one.policy,
        "jobs": one.jobs,
        "finished": one.finished,
        "timed_out": one.timed_out,
        "stopped_for_others": one.stopped,
        "hours_lost": round(one.lost, 3),
        "never_placed": [
            {"job": left.job, "name": left.name, "reason": left.reason, "message": left.message}
            for left in one.left
        ],
        "wait_seconds": _spread(one.wait),
        "first_in_line_seconds": _spread(one.first),
        "completion_seconds": _spread(one.completion),
        "bounded_slowdown": _spread(one.slowdown),
        "unit": one.unit,
        "allocation_percent": round(one.allocation, 3),
        "fragmentation_percent": _rounded(one.fragmentation),
        "makespan_seconds": round(one.makespan, 3),
        "jain": {"projects": round(one.jain_projects, 4), "users": round(one.jain_users, 4)},
        "projects": [_party(party) for party in one.projects],
        "over_time": [
            {"seconds": round(at, 1), "used_percent": round(used, 2), "waiting": round(waiting, 2)}
            for at, used, waiting in zip(one.times, one.used, one.waiting, strict=True)
        ],
        "plans": one.plans,
        "seconds": round(one.seconds, 3),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def _spread(spread: Spread) -> dict[str, float]:
    return {
        "mean": round(spread.mean, 3),
        "p50": round(spread.p50, 3),
        "p90": round(spread.p90, 3),
        "p99": round(spread.p99, 3),
        "max": round(spread.most, 3),
    }


def _party(party: Party) -> dict[str, Any]:
    return {
        "project": party.name,
        "jobs": party.jobs,
        "hours_wanted": round(party.wanted, 3),
        "hours_while_jobs_came": round(party.got, 3),
        "wait_seconds": _spread(party.wait),
    }


def as_table(measures: Sequence[Measures]) -> Table:
    """A column for each policy, for they have many figures."""
    table = _table("", *(one.policy for one in measures))
    unit = measures[0].unit
    rows: dict[str, Callable[[Measures], str]] = {
        "jobs finished": lambda one: f"{one.finished} of {one.jobs}",
        "ended by their limit": lambda one: str(one.timed_out),
        "stopped for others": lambda one: str(one.stopped),
        "never placed": lambda one: str(one.never),
        f"{unit}s given out": lambda one: f"{one.allocation:.1f} %",
        f"{unit}s idle in pieces": lambda one: _percent(one.fragmentation),
        "wait, mean": lambda one: _time(one.wait.mean),
        "wait, p50": lambda one: _time(one.wait.p50),
        "wait, p90": lambda one: _time(one.wait.p90),
        "wait, p99": lambda one: _time(one.wait.p99),
        "wait, longest": lambda one: _time(one.wait.most),
        "first in line, longest": lambda one: _time(one.first.most),
        "completion, mean": lambda one: _time(one.completion.mean),
        "completion, p99": lambda one: _time(one.completion.p99),
        "slowdown, mean": lambda one: f"{one.slowdown.mean:.1f}",
        "slowdown, p99": lambda one: f"{one.slowdown.p99:.1f}",
        "Jain, projects": lambda one: f"{one.jain_projects:.3f}",
        "Jain, users": lambda one: f"{one.jain_users:.3f}",
        "makespan": lambda one: _time(one.makespan),
        "plans": lambda one: str(one.plans),
        "seconds": lambda one: f"{one.seconds:.1f}",
    }
    for name, value in rows.items():
        table.add_row(name, *(value(one) for one in measures))
    return table


def waits_of_projects(measures: Sequence[Measures]) -> Table:
    """What each project wanted, and how long its jobs waited on average."""
    table = _table("project", "jobs", "wanted", *(f"wait, {one.policy}" for one in measures))
    for parties in zip(*(one.projects for one in measures), strict=True):
        party = parties[0]
        waits = (_time(each.wait.mean) for each in parties)
        table.add_row(party.name, str(party.jobs), f"{party.wanted:.0f} h", *waits)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _time(seconds: float) -> str:
    """Such as `4.2 s`, `3.1 min`, `12.5 h`, `3.4 d`."""
    for most, size, unit in ((90, 1, "s"), (90 * 60, 60, "min"), (72 * 3600, 3600, "h")):
        if seconds < most:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86400:.1f} d"


def never_placed(measures: Sequence[Measures], most: int) -> Iterator[str]:
    """A line for each of the first jobs that never got a place, and why."""
    for one in measures:
        shown = one.left[:most]
        for left in shown:
            name = f" ({left.name})" if left.name else ""
            yield f"{one.policy}: {left.job}{name} never got a place: {left.reason}: {left.message}"
        if len(one.left) > most:
            yield f"{one.policy}: {len(one.left) - most} more never got a place"
