"""Draws what policies made of a workload: use, waiting jobs, and how long jobs waited."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from windlass_server.simulation.measures import Measures
from windlass_server.simulation.outcome import Outcome
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.workload import SECOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(outcomes: Sequence[Outcome], measures: Sequence[Measures], file: Path) -> None:
    """Write a plot, SVG or PNG by the file's name; the same runs give the same bytes.

    Raises:
        TraceError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise TraceError("plots need matplotlib; run: pip install 'windlass[plot]'") from None
    settings = {"svg.hashsalt": "windlass", "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(settings):  # type: ignore[arg-type]
        figure = Figure(figsize=(9, 6), layout="constrained")
        parts = figure.subplot_mosaic([["used", "waits"], ["waiting", "projects"]])
        _used(parts["used"], measures)
        _waiting(parts["waiting"], measures)
        _waits(parts["waits"], outcomes)
        _projects(parts["projects"], measures)
        for axes in parts.values():
            axes.grid(color="0.92")
            axes.set_axisbelow(True)
        try:
            date = {"Date": None} if file.suffix.lower() == ".svg" else None
            figure.savefig(file, dpi=120, metadata=date)
        except OSError as error:
            raise TraceError(f"{file}: {error.strerror or error}") from None


def _used(axes: "Axes", measures: Sequence[Measures]) -> None:
    for one in measures:
        axes.stairs(one.used, _edges(one), baseline=None, label=one.policy, linewidth=1.5)
    axes.set(ylabel=f"{measures[0].unit}s given out, %", xlabel="hours", ylim=(0, 103))
    axes.legend(frameon=False, loc="lower right")


def _waiting(axes: "Axes", measures: Sequence[Measures]) -> None:
    for one in measures:
        axes.stairs(one.waiting, _edges(one), baseline=None, label=one.policy, linewidth=1.5)
    axes.set(ylabel="jobs that wait", xlabel="hours")
    axes.set_ylim(bottom=0)


def _waits(axes: "Axes", outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        waits = np.sort(
            [
                (fate.started_at - fate.job.submitted_at) / SECOND / 3600
                for fate in outcome.fates
                if fate.started_at is not None
            ]
        )
        axes.plot(waits, 100 * np.arange(1, len(waits) + 1) / max(len(waits), 1))
    axes.set(ylabel="jobs that waited no longer, %", xlabel="hours of waiting", ylim=(0, 103))
    axes.set_xlim(left=0)


def _projects(axes: "Axes", measures: Sequence[Measures], most: int = 12) -> None:
    """Mean waits of the projects that want most."""
    first = measures[0].projects
    shown = sorted(range(len(first)), key=lambda index: -first[index].wanted)[:most]
    width = 0.8 / len(measures)
    for number, one in enumerate(measures):
        at = np.arange(len(shown)) + (number - (len(measures) - 1) / 2) * width
        axes.bar(at, [one.projects[index].wait.mean / 3600 for index in shown], width)
    axes.set_xticks(range(len(shown)), [first[index].name for index in shown])
    axes.tick_params(axis="x", labelrotation=30 if len(shown) > 5 else 0)
    axes.set(ylabel="hours of waiting, mean")


def _edges(one: Measures) -> list[float]:
    """Where the slices begin, in hours, and where the last one ends."""
    hours = [at / 3600 for at in one.times]
    return [*hours, 2 * hours[-1] - hours[-2]]
