"""A trace: nodes, and the tasks that came to them."""

from collections.abc import Iterable
from dataclasses import dataclass

from windlass_server.scheduler.packing.fleet import Node, Task


class TraceError(Exception):
    """A trace that cannot be simulated; its text is one sentence for people."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Nodes, sorted by their ids, and tasks in the order of the file."""

    nodes: tuple[Node, ...]
    tasks: tuple[Task, ...]

    @property
    def capacity(self) -> int:
        """Thousandths of GPUs of all nodes."""
        return sum(sum(node.gpus) for node in self.nodes)


def demand_of(tasks: Iterable[Task]) -> int:
    """Thousandths of GPUs that tasks ask for."""
    return sum(task.shape.size for task in tasks)
