"""What befalls a fleet, and when: the same for the same seed."""

import enum
import random
from collections.abc import Iterator
from dataclasses import dataclass


class FaultKind(enum.StrEnum):
    """What happens to a node."""

    CUT = "cut"  # its connections break; its tasks go on
    KILL = "kill"  # its agent and its tasks die; a new agent comes


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what happens to which node, and for how many seconds the server does not see it."""

    kind: FaultKind
    node: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults of some kinds, by turns, on nodes that are drawn.

    Attributes:
        kinds: each kind and its seconds; none means no faults at all.
        every: seconds between two faults.
        seed: of the draw.
    """

    kinds: tuple[tuple[FaultKind, float], ...] = ()
    every: float = 1.0
    seed: int = 1

    def faults(self, nodes: range) -> Iterator[Fault]:
        """The faults on these nodes, for ever; none when there are no kinds."""
        draw = random.Random(f"{self.seed}/{nodes.start}")  # noqa: S311 - repeatable on purpose
        while self.kinds:
            for kind, seconds in self.kinds:
                yield Fault(kind, draw.choice(nodes), seconds)
