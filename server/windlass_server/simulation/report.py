"""What is printed of runs: one JSON object, or a table for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from rich.table import Table

from windlass_server.simulation.replay import MARKS, Replay


@dataclass(frozen=True, slots=True)
class Summary:
    """The runs of one policy, one for each seed."""

    policy: str
    runs: tuple[Replay, ...]

    def percent_at(self, mark: int) -> float | None:
        """The mean over the runs of GPUs given out at a mark, in per cent; None where none came so far."""
        values = [value for run in self.runs if (value := run.percent_at(mark)) is not None]
        return fmean(values) if values else None

    def spread_at(self, mark: int) -> float:
        """The standard deviation of the same; 0 for one run."""
        values = [value for run in self.runs if (value := run.percent_at(mark)) is not None]
        return stdev(values) if len(values) > 1 else 0.0

    @property
    def seconds(self) -> float:
        """Of all runs."""
        return sum(run.seconds for run in self.runs)

    @property
    def placements_per_second(self) -> float:
        """Of all runs."""
        return sum(run.placed for run in self.runs) / max(self.seconds, 1e-9)


def as_json(summaries: Sequence[Summary]) -> dict[str, Any]:
    """The first policy's figures; with more policies than one, all of them under `policies` too."""
    shown = [_figures(summary) for summary in summaries]
    return shown[0] if len(shown) == 1 else {**shown[0], "policies": shown}


def _figures(summary: Summary) -> dict[str, Any]:
    percents = {str(mark): summary.percent_at(mark) for mark in MARKS}
    return {
        "policy": summary.policy,
        "seeds": [run.seed for run in summary.runs],
        "gpu_allocation_percent": {
            mark: None if value is None else round(value, 3) for mark, value in percents.items()
        },
        "tasks": sum(run.tasks for run in summary.runs),
        "placed": sum(run.placed for run in summary.runs),
        "placements_per_second": round(summary.placements_per_second, 1),
        "seconds": round(summary.seconds, 3),
    }


def as_table(summaries: Sequence[Summary]) -> Table:
    """GPUs given out when so many had been asked for, and how fast that went."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("policy", no_wrap=True)
    for mark in MARKS:
        table.add_column(f"at {mark} %", justify="right")
    for name in ("placed", "placements/s", "seconds"):
        table.add_column(name, justify="right")
    for summary in summaries:
        table.add_row(
            summary.policy,
            *(_percent(summary, mark) for mark in MARKS),
            f"{sum(run.placed for run in summary.runs)} of {sum(run.tasks for run in summary.runs)}",
            f"{summary.placements_per_second:.0f}",
            f"{summary.seconds:.1f}",
        )
    return table


def _percent(summary: Summary, mark: int) -> str:
    value = summary.percent_at(mark)
    if value is None:
        return "-"
    spread = f" ±{summary.spread_at(mark):.2f}" if len(summary.runs) > 1 else ""
    return f"{value:.2f}{spread}"
