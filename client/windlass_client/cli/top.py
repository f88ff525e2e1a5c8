"""`windlass top`: every GPU, live."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import bar, cell, console, status_cell, table
from windlass_client.cli.session import Session, command
from windlass_client.errors import WindlassError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table
    from rich.text import Text

    from windlass.resources.v1 import node_metrics_pb2, node_pb2

# How long values are streamed until nodes are listed anew.
_LIST_SECONDS = 10.0
# Of those that share a GPU.
_SHARES_SHOWN = 4
# What the table shows, by the names that a stream has for it.
_SHOWN = {
    "gpu_memory_total_bytes": "memory_total_bytes",
    "gpu_memory_used_bytes": "memory_used_bytes",
    "gpu_power_limit_watts": "power_limit_watts",
    "gpu_power_watts": "power_watts",
    "gpu_temperature_celsius": "temperature_celsius",
    "gpu_utilization_percent": "utilization_percent",
}
_HOT_CELSIUS = 85.0
_WARM_CELSIUS = 70.0

_HELP = """Show every GPU live: utilisation, memory, temperature, power, and the job that holds it.

[bold]Examples:[/bold]

    windlass top --gpu-type H100

    windlass top --once -o json"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "top", help=_HELP)(top)


def top(
    session: Session,
    once: Annotated[bool, typer.Option("--once", help="Print the table once and exit.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds between two looks.")
    ] = 1.0,
    gpu_type: Annotated[str, typer.Option(help="Only nodes with a GPU of this type.")] = "",
) -> None:
    """See `_HELP`."""
    from windlass.resources.v1 import resources_service_pb2

    if not once and not session.json and sys.stdout.isatty():
        _live(session, interval, gpu_type)
        return
    nodes = list(session.client.nodes.list(gpu_type=gpu_type, page_size=1000))
    page = resources_service_pb2.ListNodesResponse(nodes=nodes)
    session.answer(page, lambda: gpu_table(nodes))


def _live(session: Session, interval: float, gpu_type: str) -> None:
    from rich.live import Live

    look = _Look(session, interval, gpu_type)
    shown = Live(look.first(), console=console(sys.stdout), screen=True, auto_refresh=False)
    try:
        with shown:
            while True:
                for view in look.views():
                    shown.update(view, refresh=True)
    except KeyboardInterrupt:
        return


class _Look:
    """The nodes, kept up to date by the values that they stream."""

    def __init__(self, session: Session, interval: float, gpu_type: str) -> None:
        self._nodes_api = session.client.nodes
        self._interval = interval
        self._gpu_type = gpu_type

    def first(self) -> "Table":
        """The table at first; raises WindlassError when there is none."""
        return gpu_table(self._list())

    def views(self) -> "Iterator[Table | Text]":
        """Tables as values come, for a while: nodes come and go, and only a list tells.

        What is wrong in their place while the server is away.
        """
        try:
            yield from self._tables()
        except WindlassError as error:
            if error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                raise
            yield cell(f"{error.message}; trying again", "red")
            time.sleep(self._interval)

    def _tables(self) -> "Iterator[Table]":
        nodes = {node.node_id: node for node in self._list()}
        yield gpu_table(list(nodes.values()))
        until = time.monotonic() + _LIST_SECONDS
        for message in self._nodes_api.watch(min_interval=self._interval):
            for news in message.values.nodes:
                if news.node_id in nodes:
                    take_values(nodes[news.node_id], news)
            if not message.values.more:
                yield gpu_table(list(nodes.values()))
            if time.monotonic() >= until:
                return

    def _list(self) -> "list[node_pb2.Node]":
        return list(self._nodes_api.list(gpu_type=self._gpu_type, page_size=1000))


def take_values(node: "node_pb2.Node", news: "node_metrics_pb2.NodeValues") -> None:
    """Put what a node has measured meanwhile in the place of what it had before."""
    subjects = {one.subject: one for one in news.subjects}
    for gpu in node.gpus:
        one = subjects.get(gpu.uuid)
        if one is None:
            continue
        for name, field in _SHOWN.items():
            if name in one.values:
                value = one.values[name]
                setattr(gpu, field, int(value) if field.endswith("_bytes") else value)
        gpu.sample_time.CopyFrom(one.sample_time)
        # A run that has not begun is known by the list alone.
        gpu.run_id = one.run_id or gpu.run_id
        if one.run_id and one.run_id not in {run.run_id for run in node.runs}:
            node.runs.add(run_id=one.run_id, job_id=one.job_id)


def gpu_table(nodes: "Sequence[node_pb2.Node]") -> "Table":
    """A line for each GPU; a node without any has one line too."""
    right = ["UTIL", "MEMORY", "TEMP", "POWER"]
    made = table(
        "NODE", "GPU", "TYPE", "", "UTIL", " ", "MEMORY", "TEMP", "POWER", "HEALTH", "JOB",
        right=right,
    )  # fmt: skip
    for node in nodes:
        jobs = {run.run_id: run.job_id or run.run_id for run in node.runs}
        for gpu in node.gpus:
            made.add_row(cell(node.name), *_gpu_cells(gpu, jobs))
        if not node.gpus:
            made.add_row(cell(node.name), cell("-"), cell("no GPU", "dim"))
    return made


def _holders(gpu: "node_pb2.Gpu", jobs: dict[str, str]) -> str:
    """The job on a GPU; of one that is shared each, behind its share."""
    if not gpu.shares:
        return jobs.get(gpu.run_id, gpu.run_id)
    lines = [
        f"{share.gpu_millis / 1000:g} {jobs.get(share.run_id, share.run_id) or share.allocation_id}"
        for share in gpu.shares[:_SHARES_SHOWN]
    ]
    more = len(gpu.shares) - len(lines)
    return ", ".join(lines) + (f" and {more} more" if more else "")


def _gpu_cells(gpu: "node_pb2.Gpu", jobs: dict[str, str]) -> "list[Text]":
    from windlass.resources.v1 import node_pb2

    job = cell(_holders(gpu, jobs), "cyan")
    health = status_cell(node_pb2.Gpu.Health.Name(gpu.health))
    if gpu.health_message:
        health.append(f" {gpu.health_message}", "red")
    if not gpu.HasField("sample_time"):
        blank = [cell("not measured yet", "dim"), *(cell("") for _ in range(5))]
        return [cell(gpu.index), cell(gpu.gpu_type), *blank, health, job]
    used = gpu.memory_used_bytes / gpu.memory_total_bytes if gpu.memory_total_bytes else 0.0
    return [
        cell(gpu.index),
        cell(gpu.gpu_type),
        *_utilization_cells(gpu),
        bar(used),
        cell(_of_memory(gpu)),
        cell(f"{gpu.temperature_celsius:.0f}°C", _heat(gpu.temperature_celsius)),
        _power_cell(gpu),
        health,
        job,
    ]


def _utilization_cells(gpu: "node_pb2.Gpu") -> "list[Text]":
    """Nothing for an instance of a divided card, of which nobody tells it."""
    if gpu.HasField("mig_instance"):
        return [cell(""), cell("-", "dim")]
    return [bar(gpu.utilization_percent / 100), cell(f"{gpu.utilization_percent:.0f}%")]


def _power_cell(gpu: "node_pb2.Gpu") -> "Text":
    if gpu.HasField("mig_instance"):
        return cell("-", "dim")
    return cell(f"{gpu.power_watts:.0f}/{gpu.power_limit_watts:.0f}W")


def _of_memory(gpu: "node_pb2.Gpu") -> str:
    """Used of total in whole GiB, as short as a table for eight of them needs it."""
    return f"{gpu.memory_used_bytes / 2**30:.0f}/{gpu.memory_total_bytes / 2**30:.0f}GiB"


def _heat(celsius: float) -> str:
    return "red" if celsius >= _HOT_CELSIUS else "yellow" if celsius >= _WARM_CELSIUS else ""
