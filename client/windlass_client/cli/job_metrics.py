"""`windlass jobs metrics`: what a job used and said of itself, as numbers, lines or curves."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.chart import Line, chart, legend
from windlass_client.cli.metrics import USUAL, metrics_table, named
from windlass_client.cli.output import cell, console, moment, printable, say, table
from windlass_client.cli.session import Session, command
from windlass_client.cli.sparkline import sparkline
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import format_bytes, parse_duration

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from windlass.jobs.v1 import job_metrics_pb2
    from windlass.types.v1 import metrics_pb2

_WIDTH = 60
_CHART_LINES = 12
_WIDEST = 120
_LOOK_SECONDS = 2.0
_OWN = "custom.*"
_NOTHING = "nothing of that was measured then"
_BYTES = ("memory", "gpu_memory", "io_read", "io_write", "network_receive", "network_send")

_HELP = """Show what a job used and what it said of itself: a line for each run, GPU and metric.

[bold]Examples:[/bold]

    windlass jobs metrics job-01k5 --field util --field power

    windlass jobs metrics job-01k5 --plot -m custom.loss -m custom.accuracy --by-step

    windlass jobs metrics job-01k5 --plot --live -m custom.loss -m gpu_utilization

    windlass jobs metrics job-01k5 -m cpu --aggregate sum --since 10m --resolution 10s -o json"""

MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        "-m",
        metavar="NAME",
        help="Such as cpu, memory, io_write, gpu_utilization, custom.loss or custom.*; repeatable.",
        show_default=False,
    ),
]


def register(jobs: typer.Typer) -> None:
    """Add the command."""
    command(jobs, "metrics", help=_HELP)(job_metrics)


def job_metrics(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", show_default=False)],
    metric: MetricsOption = None,
    field: Annotated[
        list[str] | None,
        typer.Option(help="Such as power or gpu_power_watts; repeatable.", show_default=False),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw curves.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Go on until the job has ended.")] = False,
    by_step: Annotated[
        bool, typer.Option("--by-step", help="Along the steps; custom metrics have them.")
    ] = False,
    aggregate: Annotated[
        str, typer.Option(metavar="HOW", help="One of all ranks: mean, min, max or sum.")
    ] = "",
    since: Annotated[
        str | None, typer.Option(help="How far back; its whole life.", show_default=False)
    ] = None,
    resolution: Annotated[
        str | None,
        typer.Option(help="Width of the buckets, such as 1m; as fits.", show_default=False),
    ] = None,
) -> None:
    """See `_HELP`."""
    if live and session.json:
        raise InvalidArgument("--live draws, and has no JSON", reason="CONFLICTING_OPTIONS")
    fields, metrics = _asked(field or (), metric or (), plot=plot, by_step=by_step)

    def ask() -> "job_metrics_pb2.GetJobMetricsResponse":
        return session.client.jobs.metrics(
            job_id,
            fields=fields,
            metrics=metrics,
            aggregate=aggregate,
            by_step=by_step,
            start=session.moment(since) if since else None,
            resolution=parse_duration(resolution) if resolution else None,
        )

    if live:
        _follow(session, job_id, lambda: _view(ask(), plot=plot, by_step=by_step))
        return
    answer = ask()
    session.answer(
        answer,
        lambda: _view(answer, plot=plot, by_step=by_step),
        nothing="" if answer.series else _NOTHING,
    )
    for note in answer.notes:
        say(printable(note))
    if answer.omitted_runs:
        say(f"{answer.omitted_runs} earlier runs are left out; --since leaves out others")


def _asked(
    field: Sequence[str], metric: Sequence[str], *, plot: bool, by_step: bool
) -> tuple[list[str], list[str]]:
    """Fields and metrics to ask for; when nobody says what, what is usual and all of the job's own."""
    if field or metric:
        return [named(word) for word in field], list(metric)
    if by_step:
        return [], [_OWN]
    # Curves are of points; of the rest columns are less to send.
    return ([], ["gpu_utilization", "cpu", _OWN]) if plot else (list(USUAL), [_OWN])


def _follow(session: Session, job_id: str, view: "Callable[[], RenderableType]") -> None:
    """Show it again and again, until the job has ended or Ctrl-C."""
    from rich.live import Live

    from windlass_client.jobs import is_final

    shown = Live(console=console(sys.stdout), auto_refresh=False, vertical_overflow="visible")
    try:
        with shown:
            while True:
                ended = is_final(session.client.jobs.get(job_id))
                shown.update(view(), refresh=True)
                time.sleep(_LOOK_SECONDS)
                if ended:
                    # What it said last needed a moment to come.
                    shown.update(view(), refresh=True)
                    return
    except KeyboardInterrupt:
        return


def _view(
    answer: "job_metrics_pb2.GetJobMetricsResponse", *, plot: bool, by_step: bool
) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    pointed = [one for one in answer.series if one.metric and one.points]
    parts: list[RenderableType] = []
    if plot:
        for metric, some in groupby(pointed, key=lambda one: one.metric):
            parts += _plots(metric, list(some), by_step=by_step)
        return Group(*(parts or [Text(_NOTHING)]))
    columns = [one for one in answer.series if not one.metric]
    if columns:
        shown = type(answer)()
        shown.CopyFrom(answer)
        del shown.series[:]
        shown.series.extend(columns)
        parts.append(metrics_table(shown, {}))
    if pointed:
        parts.append(_points_table(pointed, by_step=by_step))
    return Group(*(parts or [Text(_NOTHING)]))


def _plots(
    metric: str, some: "Sequence[metrics_pb2.MetricSeries]", *, by_step: bool
) -> "list[RenderableType]":
    from rich.text import Text

    lines = [Line(_name(one), _curve(one, by_step=by_step)) for one in some]
    drawn = [line for line in lines if line.finite]
    title = Text(printable(metric), style="bold")
    strange = sum(len(line.points) - len(line.finite) for line in lines)
    if strange:
        title.append(f"   {strange} points are no numbers", style="red")
    if not drawn:
        return [title]
    points = [point for one in some for point in one.points]
    if by_step:
        ends = (str(min(p.step for p in points)), f"step {max(p.step for p in points)}")
    else:
        times = sorted(points, key=lambda point: point.time.ToNanoseconds())
        ends = (moment(times[0].time), moment(times[-1].time))
    # A pipe has no width of its own.
    width = min(console(sys.stdout).width, _WIDEST)
    parts: list[RenderableType] = [title]
    if len(drawn) > 1:
        parts.append(legend(drawn))
    return [*parts, chart(drawn, width=width, height=_CHART_LINES, ends=ends), Text()]


def _curve(one: "metrics_pb2.MetricSeries", *, by_step: bool) -> list[tuple[float, float]]:
    if by_step:
        return [(float(point.step), point.mean) for point in one.points]
    return [(point.time.ToNanoseconds() / 1e9, point.mean) for point in one.points]


def _name(one: "metrics_pb2.MetricSeries") -> str:
    """What tells a series from the others of its metric."""
    if not one.run_id:
        return "all ranks"
    gpu = f" {one.subject}" if one.subject else ""
    return printable(f"rank {one.rank} {one.run_id[-4:]}{gpu}")


def _points_table(some: "Sequence[metrics_pb2.MetricSeries]", *, by_step: bool) -> "Table":
    right = ["MIN", "MEAN", "MAX", "LAST"]
    heading = "BY STEP" if by_step else "OVER TIME"
    made = table("METRIC", "OF", heading, *right, right=right)
    for one in some:
        points = one.points
        count = sum(point.count for point in points)
        mean = sum(point.mean * point.count for point in points) / count
        low = min((point.min for point in points), key=_last_if_strange(1))
        high = max((point.max for point in points), key=_last_if_strange(-1))
        numbers = [_number(one.metric, value) for value in (low, mean, high, points[-1].last)]
        line = sparkline(_squeezed(_curve(one, by_step=by_step)), min(len(points), _WIDTH))
        made.add_row(cell(one.metric), cell(_name(one)), cell(line, "green"), *map(cell, numbers))
    return made


def _last_if_strange(sign: int) -> "Callable[[float], float]":
    return lambda value: sign * math.inf if math.isnan(value) else value


def _number(metric: str, value: float) -> str:
    if math.isfinite(value) and (metric in _BYTES or "bytes" in metric):
        return format_bytes(value)
    return f"{value:.4g}"


def _squeezed(points: Sequence[tuple[float, float]]) -> dict[int, float]:
    """The mean of what falls into each place of a line, as many as there are points."""
    places = min(len(points), _WIDTH)
    squeezed: dict[int, list[float]] = {}
    for number, (_, y) in enumerate(points):
        squeezed.setdefault(number * places // len(points), []).append(y)
    return {place: sum(values) / len(values) for place, values in squeezed.items()}
