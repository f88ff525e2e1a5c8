"""`windlass top`: every GPU, live."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import bar, cell, console, status_cell, table
from windlass_client.cli.session import Session, command
from windlass_client.errors import WindlassError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

    from windlass.resources.v1 import node_pb2

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

    nodes = list(session.client.nodes.list(gpu_type=gpu_type, page_size=1000))
    shown = Live(gpu_table(nodes), console=console(sys.stdout), screen=True, auto_refresh=False)
    try:
        with shown:
            while True:
                time.sleep(interval)
                shown.update(_look(session, gpu_type), refresh=True)
    except KeyboardInterrupt:
        return


def _look(session: Session, gpu_type: str) -> "Table | Text":
    """The table now; what is wrong in its place while the server is away."""
    try:
        return gpu_table(list(session.client.nodes.list(gpu_type=gpu_type, page_size=1000)))
    except WindlassError as error:
        if error.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
            raise
        return cell(f"{error.message}; trying again", "red")


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


def _gpu_cells(gpu: "node_pb2.Gpu", jobs: dict[str, str]) -> "list[Text]":
    from windlass.resources.v1 import node_pb2

    job = cell(jobs.get(gpu.run_id, gpu.run_id) if gpu.run_id else "", "cyan")
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
        bar(gpu.utilization_percent / 100),
        cell(f"{gpu.utilization_percent:.0f}%"),
        bar(used),
        cell(_of_memory(gpu)),
        cell(f"{gpu.temperature_celsius:.0f}°C", _heat(gpu.temperature_celsius)),
        cell(f"{gpu.power_watts:.0f}/{gpu.power_limit_watts:.0f}W"),
        health,
        job,
    ]


def _of_memory(gpu: "node_pb2.Gpu") -> str:
    """Used of total in whole GiB, as short as a table for eight of them needs it."""
    return f"{gpu.memory_used_bytes / 2**30:.0f}/{gpu.memory_total_bytes / 2**30:.0f}GiB"


def _heat(celsius: float) -> str:
    return "red" if celsius >= _HOT_CELSIUS else "yellow" if celsius >= _WARM_CELSIUS else ""
