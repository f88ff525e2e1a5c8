"""The nodes as the scheduler sees them, each made anew only when something that it follows from is new.

A cycle of the scheduler, a list of pools and an allocation all look at every node. Of a thousand nodes
hardly any is another one than at the look before, and to make them all takes longer than to read them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from windlass_server.resources.capacity import NOT_SHARED, Sharing, node_states
from windlass_server.scheduler.snapshot import NodeState
from windlass_server.storage.tables import GpuClaimRow, GpuLayoutRow, NodeRow

# When a node was heard says nothing of what can be placed on it, and alone changes all the time.
_LAST_SEEN_AT = [*NodeRow.model_fields].index("last_seen_at")


class _MadeOf(NamedTuple):
    """What a node's state follows from."""

    columns: tuple[object, ...]
    held: Sequence[GpuClaimRow]
    told: Sequence[GpuLayoutRow]
    unhealthy: frozenset[str]
    shared: tuple[int, Mapping[str, int]]


Known = Mapping[str, tuple[_MadeOf, NodeState]]
"""By node: what it was made of, and what was made of that."""


class SeenNodes:
    """Remembers the nodes of the last look at all of them.

    Args:
        unhealthy: the UUIDs of the GPUs of a node that cannot be given to jobs, as far as it has said.
    """

    def __init__(self, unhealthy: Callable[[str], frozenset[str]]) -> None:
        self._unhealthy = unhealthy
        self._known: Known = {}

    def all(
        self,
        nodes: Sequence[NodeRow],
        claims: Sequence[GpuClaimRow],
        layouts: Sequence[GpuLayoutRow],
        sharing: Sharing = NOT_SHARED,
    ) -> tuple[NodeState, ...]:
        """Every node there is, in the order of `nodes`; those that there are no more are forgotten."""
        self._known = self._made(nodes, claims, layouts, sharing)
        return tuple(state for _, state in self._known.values())

    def renewed(
        self,
        node_ids: Collection[str],
        nodes: Sequence[NodeRow],
        claims: Sequence[GpuClaimRow],
        layouts: Sequence[GpuLayoutRow],
        sharing: Sharing = NOT_SHARED,
    ) -> tuple[NodeState, ...]:
        """Every node there is, of which those of these ids are other ones than at the last look.

        What is given is of these nodes; of which there is no row is not there any more.
        """
        made = self._made(nodes, claims, layouts, sharing)
        known = {**self._known, **made}
        for gone in set(node_ids) - made.keys():
            known.pop(gone, None)
        if len(known) > len(self._known):
            known = dict(sorted(known.items()))
        self._known = known
        return tuple(state for _, state in known.values())

    def said_anew(self) -> set[str]:
        """The nodes that say something else of their GPUs than at the last look, which no row tells."""
        unhealthy = self._unhealthy
        return {
            node_id
            for node_id, (made_of, _) in self._known.items()
            if unhealthy(node_id) != made_of.unhealthy
        }

    def some(
        self,
        nodes: Sequence[NodeRow],
        claims: Sequence[GpuClaimRow],
        layouts: Sequence[GpuLayoutRow],
        sharing: Sharing = NOT_SHARED,
    ) -> tuple[NodeState, ...]:
        """Some of the nodes, in the order of `nodes`."""
        return tuple(state for _, state in self._made(nodes, claims, layouts, sharing).values())

    def _made(
        self,
        nodes: Sequence[NodeRow],
        claims: Iterable[GpuClaimRow],
        layouts: Iterable[GpuLayoutRow],
        sharing: Sharing,
    ) -> Known:
        held: dict[str, list[GpuClaimRow]] = {}
        for claim in claims:
            held.setdefault(claim.node_id, []).append(claim)
        told: dict[str, list[GpuLayoutRow]] = {}
        for layout in layouts:
            told.setdefault(layout.node_id, []).append(layout)
        return {
            node.node_id: self._one(
                node, held.get(node.node_id, []), told.get(node.node_id, []), sharing
            )
            for node in nodes
        }

    def _one(
        self,
        node: NodeRow,
        held: list[GpuClaimRow],
        told: list[GpuLayoutRow],
        sharing: Sharing,
    ) -> tuple[_MadeOf, NodeState]:
        unhealthy = self._unhealthy(node.node_id)
        made_of = _MadeOf(_without_last_seen(node), held, told, unhealthy, sharing.on(node))
        known = self._known.get(node.node_id)
        if known is not None and known[0] == made_of:
            return known
        (state,) = node_states([node], held, lambda _, uuid: uuid not in unhealthy, told, sharing)
        return made_of, state


def _without_last_seen(node: NodeRow) -> tuple[object, ...]:
    """All other columns; a row is a tuple of them in the table's order."""
    columns = tuple(cast("tuple[Any, ...]", node))
    return columns[:_LAST_SEEN_AT] + columns[_LAST_SEEN_AT + 1 :]
