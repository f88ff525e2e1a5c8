"""Watching nodes become empty, with a progress bar for each."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from windlass.resources.v1 import node_pb2
    from windlass_client import Client

_LOOK_EVERY_SECONDS = 1.0


def is_drained(node: "node_pb2.Node") -> bool:
    """Whether nothing runs on the node any more, and nothing will."""
    from windlass.resources.v1 import node_pb2

    return node.maintenance.state == node_pb2.Maintenance.DRAINED


def watch_drains(
    client: "Client",
    nodes: "Sequence[node_pb2.Node]",
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> "list[node_pb2.Node]":
    """Look at draining nodes until each is drained, or is opened or cordoned by somebody.

    Shows progress on a terminal; says nothing else. Returns the nodes as they are then.
    """
    latest = {node.node_id: node for node in nodes}
    with counted_bars("runs gone") as progress:
        bars = {node.node_id: _bar(progress, node) for node in nodes}
        while left := [node for node in latest.values() if _is_draining(node)]:
            sleep(_LOOK_EVERY_SECONDS)
            for node in left:
                latest[node.node_id] = client.nodes.get(node.node_id)
                _advance(progress, bars[node.node_id], latest[node.node_id])
    return list(latest.values())


def _is_draining(node: "node_pb2.Node") -> bool:
    from windlass.resources.v1 import node_pb2

    return node.maintenance.state == node_pb2.Maintenance.DRAINING


def counted_bars(what: str) -> "Progress":
    """Bars on stderr that count `what`; nothing at all when that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(what),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )


def _bar(progress: "Progress", node: "node_pb2.Node") -> "TaskID":
    bar = progress.add_task(node.name or node.node_id, total=node.maintenance.runs_at_start)
    _advance(progress, bar, node)
    return bar


def _advance(progress: "Progress", bar: "TaskID", node: "node_pb2.Node") -> None:
    kept = node.maintenance
    progress.update(bar, completed=max(kept.runs_at_start - kept.runs_left, 0))
