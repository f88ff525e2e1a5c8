"""What a fleet has done so far, as numbers that add up over nodes and processes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Self


@dataclass(slots=True)
class Counts:
    """Sums.

    Attributes:
        nodes: simulated nodes.
        joined: nodes that have an id.
        connected: nodes that the server has welcomed and that are connected now.
        connections: control connections that were begun.
        faults: faults that were brought about.
        batches_sent: batches of samples that were sent; each is one of the four that follow.
        batches_acknowledged: of these, those that the server has taken in.
        batches_lost: of these, those that the server did not take in.
        batches_unanswered: of these, those that were on their way when a connection ended.
        batches_on_their_way: of these, those of which the server has not spoken yet.
        values_sent: measured values in all batches.
        tasks_started: runs that were begun.
        tasks_ended: runs that have ended.
        tasks_acknowledged: runs whose end and log the server has, as it said.
    """

    nodes: int = 0
    joined: int = 0
    connected: int = 0
    connections: int = 0
    faults: int = 0
    batches_sent: int = 0
    batches_acknowledged: int = 0
    batches_lost: int = 0
    batches_unanswered: int = 0
    batches_on_their_way: int = 0
    values_sent: int = 0
    tasks_started: int = 0
    tasks_ended: int = 0
    tasks_acknowledged: int = 0

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Self:
        """The sum of all."""
        sums = dict.fromkeys((field.name for field in fields(cls)), 0)
        for part in parts:
            for name, value in asdict(part).items():
                sums[name] += value
        return cls(**sums)

    @classmethod
    def parse(cls, values: Mapping[str, int]) -> Self:
        """What `asdict` made."""
        return cls(**values)
