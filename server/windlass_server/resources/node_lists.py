"""Lists of nodes, of which each node is made anew only as far as what it follows from is new.

Who looks at a fleet asks for all of it again and again, and by then a part of it has changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from windlass.resources.v1 import resources_service_pb2
from windlass_server.resources.gpu_message import varint
from windlass_server.resources.maintenance import State
from windlass_server.resources.node_message import StillNode, still_node, with_measured
from windlass_server.resources.service import NodeView
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.turns import Turns

# About 8 KiB each for nodes of eight GPUs.
_REMEMBERED = 2_000
_FIELDS = resources_service_pb2.ListNodesResponse.DESCRIPTOR.fields_by_name
_NODES = varint(_FIELDS["nodes"].number << 3 | 2)


@dataclass(slots=True)
class _Made:
    """What was made of a node, and of what.

    Attributes:
        batches: how many of its samples are in `whole`.
    """

    view: NodeView
    unhealthy: frozenset[str]
    still: StillNode
    batches: int = -1
    whole: bytes = b""


class NodeLists:
    """Serialized lists of nodes.

    Args:
        latest: what was measured of them.
    """

    def __init__(self, latest: LatestTelemetry) -> None:
        self._latest = latest
        self._made: dict[str, _Made] = {}

    async def page(self, views: Sequence[NodeView], now: int) -> bytes:
        """A `ListNodesResponse` of these nodes at a time (µs); others get their turns meanwhile."""
        pieces: list[bytes] = []
        turns = Turns()
        for view in views:
            node = self._node(view, now)
            pieces += (_NODES, varint(len(node)), node)
            await turns.give()
        return b"".join(pieces)

    def _node(self, view: NodeView, now: int) -> bytes:
        made = self._with_still(view, now)
        batches = self._latest.batches(view.row.node_id)
        if made.batches != batches:
            made.whole = with_measured(made.still, view, self._latest)
            made.batches = batches
        return made.whole

    def _with_still(self, view: NodeView, now: int) -> _Made:
        node_id = view.row.node_id
        unhealthy = self._latest.unhealthy(node_id)
        made = self._made.pop(node_id, None)
        # When a drain should end changes with the time alone.
        draining = view.row.maintenance == State.DRAINING
        if made is None or draining or made.unhealthy != unhealthy or made.view != view:
            made = _Made(view, unhealthy, still_node(view, unhealthy, now, listed=True))
        self._made[node_id] = made
        if len(self._made) > _REMEMBERED:
            del self._made[next(iter(self._made))]
        return made
