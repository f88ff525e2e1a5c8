"""Adds up what the database says is held: the other half of what the ledger tells."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.scheduled_world import ScheduledWorld

SECOND = 1_000_000


@dataclass
class Meter:
    """Adds up, node by node, what the database says is held at each moment: the ledger's other half."""

    world: ScheduledWorld
    sums: Counter[tuple[str, str]] = field(default_factory=Counter)
    history: list[tuple[int, Counter[tuple[str, str]]]] = field(default_factory=list)

    async def advance(self, micros: int) -> None:
        """Let time pass, in which what is held now is held."""
        nodes = await self.world.database.read(lambda tx: tx.nodes.all())
        claims = await self.world.database.read(lambda tx: tx.nodes.all_claims())
        self.history.append((self.world.clock.now(), Counter(self.sums)))
        for node in nodes:
            self.sums[node.node_id, "cpu"] += node.cpu_held * micros
            self.sums[node.node_id, "memory"] += node.memory_held * micros
        # What is kept free while its card is being divided is held by nobody.
        for claim in [one for one in claims if not one.layout]:
            self.sums[claim.node_id, "gpus"] += (claim.shared_millis or 1000) * micros
        self.world.clock.advance(micros / SECOND)


def sums(rows: Iterable[Any], at: int = 0) -> Counter[tuple[str, str]]:
    """By the group's value at a place, what the rows of a ledger hold of each resource."""
    found: Counter[tuple[str, str]] = Counter()
    for row in rows:
        name = row.group[at]
        found[name, "cpu"] += row.held.cpu_millis
        found[name, "memory"] += row.held.memory_bytes
        found[name, "gpus"] += row.held.gpu_millis
    return +found
