"""Draws how many GPUs are given out as more and more are asked for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from windlass_server.simulation.report import Summary
from windlass_server.simulation.trace import TraceError

_POINTS = 400
_DRAWN_FROM = 0.7


def draw(summaries: Sequence[Summary], file: Path) -> None:
    """Write a plot, SVG or PNG by the file's name; the same runs give the same bytes.

    Raises:
        TraceError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise TraceError("plots need matplotlib; run: pip install 'windlass[plot]'") from None
    with mpl.rc_context({"svg.hashsalt": "windlass", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.add_subplot()
        last = min(float(run.arrived[-1]) for summary in summaries for run in summary.runs)
        demand = np.linspace(min(_DRAWN_FROM, last / 2), last, _POINTS)
        axes.plot(demand * 100, np.minimum(demand, 1) * 100, color="0.8", label="at best")
        for summary in summaries:
            axes.plot(demand * 100, _mean(summary, demand) * 100, label=summary.policy)
        axes.set(xlabel="GPUs asked for, % of all", ylabel="GPUs given out, % of all")
        axes.grid(color="0.92")
        axes.legend(frameon=False, loc="lower right")
        try:
            figure.savefig(file, dpi=150, metadata={"Date": None} if _is_svg(file) else None)
        except OSError as error:
            raise TraceError(f"{file}: {error.strerror or error}") from None


def _is_svg(file: Path) -> bool:
    return file.suffix.lower() == ".svg"


def _mean(
    summary: Summary, demand: "np.typing.NDArray[np.float64]"
) -> "np.typing.NDArray[np.float64]":
    """The mean over the runs of what was given out when so much had been asked for."""
    curves = []
    for run in summary.runs:
        before = np.searchsorted(run.arrived, demand, side="right")
        curves.append(np.concatenate([[0.0], run.allocated])[before])
    mean: np.typing.NDArray[np.float64] = np.mean(curves, axis=0)
    return mean
