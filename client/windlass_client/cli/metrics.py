"""`windlass nodes metrics`: what was measured over time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.nodes import NodeArgument, node_ids
from windlass_client.cli.output import cell, moment, say, table
from windlass_client.cli.session import Session, command
from windlass_client.cli.sparkline import sparkline
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import format_bytes, parse_duration

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from windlass.jobs.v1 import job_metrics_pb2
    from windlass.resources.v1 import node_metrics_pb2, node_pb2
    from windlass.types.v1 import metrics_pb2

_WIDTH = 60
_FINEST_SECONDS = 10
# What is shown when nobody says what, as far as it is measured.
USUAL = (
    "gpu_utilization_percent",
    "gpu_memory_used_bytes",
    "gpu_power_watts",
    "gpu_temperature_celsius",
    "cpu_used_millis",
    "memory_used_bytes",
)
_BYTES = "_bytes"
_NOTHING = "nothing of that was measured then"

_HELP = """Show what a node has measured: a line for each GPU and field.

[bold]Examples:[/bold]

    windlass nodes metrics gpu-7 --field power --since 1h

    windlass nodes metrics gpu-7 --gpu 0 --field temp --field sm_clock --since 7d

    windlass nodes metrics gpu-7 --field gpu_energy_joules --resolution 1h --since 30d -o json"""


def register(nodes: typer.Typer) -> None:
    """Add the command."""
    command(nodes, "metrics", help=_HELP)(metrics)


def metrics(
    session: Session,
    node: NodeArgument,
    field: Annotated[
        list[str] | None,
        typer.Option(help="Such as power or gpu_power_watts; repeatable.", show_default=False),
    ] = None,
    gpu: Annotated[
        list[int] | None, typer.Option(help="Index of a GPU; repeatable.", show_default=False)
    ] = None,
    since: Annotated[
        str, typer.Option(help="How far back, such as 90m or 7d, or since when.")
    ] = "1h",
    resolution: Annotated[
        str | None,
        typer.Option(help="Width of the buckets, such as 1m; as fits.", show_default=False),
    ] = None,
) -> None:
    """See `_HELP`."""
    found = session.client.nodes.get(node_ids(session, [node])[0])
    start, now = session.moment(since), session.now()
    answer = session.client.nodes.metrics(
        found.node_id,
        fields=[named(word) for word in field] if field else USUAL,
        subjects=_uuids(found, gpu) if gpu else (),
        start=start,
        end=now,
        resolution=parse_duration(resolution) if resolution else _fitting(now - start),
    )
    names = {gpu.uuid: f"gpu {gpu.index}" for gpu in found.gpus}
    session.answer(answer, lambda: metrics_table(answer, names))
    if not session.json and not answer.series:
        say(_NOTHING)


def named(word: str) -> str:
    """The field that a word means: its name, or the shortest one that has the word in it.

    Raises:
        InvalidArgument: no field has, or several are as short.
    """
    from windlass.agents.v1 import agent_pb2

    names = sorted((name.lower() for name in agent_pb2.Series.Field.keys()[1:]), key=len)
    fitting = [name for name in names if word.lower() in name]
    if word.lower() in fitting:
        return word.lower()
    if not fitting:
        message = f"nothing is measured by the name {word!r}; there are {', '.join(sorted(names))}"
        raise InvalidArgument(message, reason="BAD_FIELD")
    shortest = [name for name in fitting if len(name) == len(fitting[0])]
    if len(shortest) > 1:
        message = f"{word!r} may be any of {', '.join(fitting)}"
        raise InvalidArgument(message, reason="BAD_FIELD")
    return shortest[0]


def metrics_table(
    answer: "node_metrics_pb2.GetNodeMetricsResponse | job_metrics_pb2.GetJobMetricsResponse",
    names: Mapping[str, str],
) -> "Table":
    """A line for each series: what it was over time, and the numbers to it.

    Args:
        answer: the series.
        names: what GPUs are called, by UUID, in the order to show them in; others are called by that
            and come after them.
    """
    right = ["MIN", "MEAN", "MAX", "LAST"]
    heading = f"{moment(answer.start_time)} to {moment(answer.end_time)}"
    made = table("FIELD", "OF", heading, *right, right=right)
    wide = max(answer.resolution.ToTimedelta() // timedelta(seconds=1), 1)
    places = -(-(answer.end_time.seconds - answer.start_time.seconds) // wide)
    for series in _in_order(answer.series, names):
        subject = series.subject
        of = names.get(subject, subject or "machine")
        line = sparkline(_by_place(series, wide, places), min(places, _WIDTH))
        made.add_row(cell(series.field), cell(of), cell(line, "green"), *_numbers(series))
    return made


def _in_order(
    series: Iterable["metrics_pb2.MetricSeries"], names: Mapping[str, str]
) -> "list[metrics_pb2.MetricSeries]":
    """Field by field as they come, and of each the things in the order of `names`."""
    found = list(series)
    fields = {one.field: place for place, one in reversed(list(enumerate(found)))}
    places = {subject: place for place, subject in enumerate(names)}
    return sorted(found, key=lambda one: (fields[one.field], places.get(one.subject, len(places))))


def _numbers(series: "metrics_pb2.MetricSeries") -> "list[Text]":
    mean = sum(series.sum) / sum(series.count)
    values = (min(series.min), mean, max(series.max), series.last[-1])
    if series.field.endswith(_BYTES):
        return [cell(format_bytes(value)) for value in values]
    return [cell(f"{value:.4g}") for value in values]


def _by_place(series: "metrics_pb2.MetricSeries", wide: int, places: int) -> dict[int, float]:
    """The mean of what falls into each place of a line."""
    squeezed: dict[int, list[float]] = {}
    for offset, mean in zip(series.offset_seconds, series.mean, strict=True):
        place = offset // wide * min(places, _WIDTH) // places
        squeezed.setdefault(place, []).append(mean)
    return {place: sum(values) / len(values) for place, values in squeezed.items()}


def _uuids(node: "node_pb2.Node", indexes: Sequence[int]) -> list[str]:
    uuids = {gpu.index: gpu.uuid for gpu in node.gpus}
    for index in indexes:
        if index not in uuids:
            message = f"node {node.name} has no GPU {index}"
            raise InvalidArgument(message, reason="BAD_GPU")
    return [uuids[index] for index in indexes]


def _fitting(span: timedelta) -> timedelta:
    """A bucket for each place of a line, no finer than there are."""
    return max(span / _WIDTH, timedelta(seconds=_FINEST_SECONDS))
