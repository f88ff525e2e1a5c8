"""What people see of a fleet while it runs, and at its end."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from windlass_agent.fleet.config import FleetConfig
from windlass_agent.fleet.counts import Counts


def board(config: FleetConfig, counts: Counts, before: Counts, seconds: float) -> RenderableType:
    """The sums so far, and how much of them came in the last second.

    Args:
        config: the fleet.
        counts: the sums now.
        before: the sums a second ago.
        seconds: how long the fleet has been running.
    """
    cards = len(config.gpus)
    head = Text(f"{config.nodes} simulated nodes of {cards} GPUs at {config.server}", style="bold")
    head.append(f"  {_span(seconds)}", style="dim")
    nodes = Table.grid(padding=(0, 2))
    nodes.add_row("nodes", *_words(joined=counts.joined, connected=counts.connected))
    nodes.add_row("", *_words(connections=counts.connections, faults=counts.faults), style="dim")
    sums = Table(box=None, pad_edge=False, header_style="dim")
    sums.add_column("")
    headings = ("sent", "acknowledged", "lost", "unanswered", "on their way", "a second")
    for heading in headings:
        sums.add_column(heading, justify="right")
    sums.add_row("batches of samples", *_batches(counts), f"{_rate(counts, before):,}")
    ended, started = counts.tasks_ended, counts.tasks_started
    values = counts.values_sent - before.values_sent
    sums.add_row("values", f"{counts.values_sent:,}", "", "", "", "", f"{values:,}")
    tasks = Table.grid(padding=(0, 2))
    tasks.add_row(
        "tasks", *_words(started=started, ended=ended, acknowledged=counts.tasks_acknowledged)
    )
    return Group(head, nodes, sums, tasks)


def line(counts: Counts) -> str:
    """The same in a line, for a log."""
    return (
        f"nodes {counts.connected}/{counts.nodes} connected, batches {counts.batches_sent} sent"
        f" {counts.batches_acknowledged} acknowledged {counts.batches_lost} lost"
        f" {counts.batches_unanswered} unanswered {counts.batches_on_their_way} on their way,"
        f" tasks {counts.tasks_started} started {counts.tasks_ended} ended"
        f" {counts.tasks_acknowledged} acknowledged"
    )


def _batches(counts: Counts) -> list[Text]:
    lost = Text(f"{counts.batches_lost:,}", style="bold red" if counts.batches_lost else "green")
    return [
        Text(f"{counts.batches_sent:,}"),
        Text(f"{counts.batches_acknowledged:,}"),
        lost,
        Text(f"{counts.batches_unanswered:,}"),
        Text(f"{counts.batches_on_their_way:,}"),
    ]


def _words(**numbers: int) -> list[Text]:
    return [Text(f"{number:,} {word}") for word, number in numbers.items()]


def _rate(counts: Counts, before: Counts) -> int:
    return counts.batches_sent - before.batches_sent


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
