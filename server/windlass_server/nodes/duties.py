"""What a node's streams ask of the rest of the server."""

from collections.abc import Collection, Sequence
from typing import Protocol

from windlass.agents.v1 import agent_pb2, custom_metric_pb2, health_pb2, mig_pb2
from windlass_server.telemetry.known_batches import Batch


class Members(Protocol):
    """Keeps what is known of nodes."""

    async def hello(self, node_id: str, inventory: agent_pb2.Inventory) -> int:
        """Store what a node has, and that it is connected; returns when it was seen (µs).

        Raises:
            NotFound: there is no such node.
        """
        ...

    async def restock(self, node_id: str, inventory: agent_pb2.Inventory) -> None:
        """Store what a connected node has now, which is another than it said before.

        Raises:
            Conflict: the node was given up; it must say hello again.
        """
        ...

    async def layouts(self, node_id: str) -> Sequence[mig_pb2.LayoutDirective]:
        """How cards of a node shall be divided that are not yet."""
        ...

    async def touch(self, node_id: str) -> int:
        """Store that a node was heard; returns when (µs)."""
        ...

    async def lost(self, node_id: str, *, seen_at: int) -> None:
        """Store that a node is not connected, unless it was heard after `seen_at` (µs)."""
        ...


class Samples(Protocol):
    """Takes what nodes measure."""

    def take(self, node_id: str, batch: Batch) -> None:
        """Take in a batch. Never raises, whatever is in it."""
        ...


class RunMetrics(Protocol):
    """Keeps what runs say of themselves in numbers."""

    async def take(self, batch: custom_metric_pb2.MetricBatch) -> None:
        """Store a batch of a run, unless it is there; returns when it is on disk.

        Raises:
            InvalidInput: its columns do not fit together.
        """
        ...


class Health(Protocol):
    """Judges the health of nodes."""

    async def report(self, node_id: str, report: health_pb2.HealthReport) -> None:
        """Take a node's report of its devices.

        Raises:
            NotFound: there is no such node.
        """
        ...

    def resets(self, node_id: str) -> Sequence[health_pb2.ResetDirective]:
        """The GPUs that a node shall reset."""
        ...


class Runs(Protocol):
    """Takes the nodes' word on runs, and says what the server wants of them."""

    async def report(
        self, node_id: str, report: agent_pb2.RunReport
    ) -> agent_pb2.RunDirective | None:
        """Take a node's report; answers the directive that follows from it, if any."""
        ...

    async def hello(self, node_id: str, known: Collection[str]) -> None:
        """Take a node's word that it knows these runs, and lost what else it has ever reported."""
        ...

    async def directives(self, node_id: str) -> Sequence[agent_pb2.RunDirective]:
        """What the server wants of every run that this node may not drop yet."""
        ...

    async def owns(self, node_id: str, run_id: str, epoch: int) -> bool:
        """Whether a run of this epoch was placed on this node."""
        ...

    async def log_complete(self, run_id: str, position: int) -> agent_pb2.RunDirective | None:
        """Note that the server holds a run's log up to `position`.

        Answers the directive to forget the run when it has ended and its log is whole.
        """
        ...

    async def log_lost(self, run_id: str, why: str) -> agent_pb2.RunDirective | None:
        """Note that the rest of a run's log will never come, and why, in a sentence.

        Answers the directive to forget the run when it has ended.
        """
        ...
