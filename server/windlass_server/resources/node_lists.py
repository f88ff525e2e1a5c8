"""Lists of nodes, of which each node is made anew only as far as what it follows from is new.

Who looks at a fleet asks for all of it again and again, and by then all of it was measured anew. As long
as that is so, nodes are made when they change and not when they are asked for.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from windlass.resources.v1 import resources_service_pb2
from windlass_server.clock import Clock
from windlass_server.resources.gpu_message import varint
from windlass_server.resources.maintenance import State
from windlass_server.resources.node_message import StillNode, still_node, with_measured
from windlass_server.resources.service import NodeView
from windlass_server.telemetry.latest import LatestTelemetry

# Nodes that are made before others get their turn: a few milliseconds.
_AT_ONCE = 100
# About 8 KiB each for nodes of eight GPUs.
_REMEMBERED = 2_000
# A node that was asked for twice within so many seconds is watched, as long as it goes on like that.
_WATCHED_SECONDS = 3.0
# How long what is watched may lie as it was measured before it is made, and how many are made before others
# get their turn.
_LOOK_SECONDS = 0.1
_IN_A_TURN = 20
_FIELDS = resources_service_pb2.ListNodesResponse.DESCRIPTOR.fields_by_name
_NODES = varint(_FIELDS["nodes"].number << 3 | 2)


@dataclass(slots=True)
class _Made:
    """What was made of a node, and of what.

    Attributes:
        asked_at: when it was last asked for, in seconds of the monotonic clock.
        batches: how many of its samples are in `whole`.
        watched: it is asked for again and again.
    """

    view: NodeView
    unhealthy: frozenset[str]
    still: StillNode
    asked_at: float
    batches: int = -1
    whole: bytes = b""
    watched: bool = False


class NodeLists:
    """Serialized lists of nodes.

    Args:
        latest: what was measured of them.
        clock: says how long ago a node was asked for.
    """

    def __init__(self, latest: LatestTelemetry, clock: Clock) -> None:
        self._latest = latest
        self._clock = clock
        self._made: dict[str, _Made] = {}
        self._printer: Callable[[bytes], object] = len
        self._watching: asyncio.Task[None] | None = None

    def print_with(self, printer: Callable[[bytes], object]) -> None:
        """Have each serialized node that is watched printed as soon as it is made; it remembers that."""
        self._printer = printer

    async def page(self, views: Sequence[NodeView], now: int) -> bytes:
        """A `ListNodesResponse` of these nodes at a time (µs); others get their turns meanwhile."""
        pieces: list[bytes] = []
        for first in range(0, len(views), _AT_ONCE):
            if first:
                await asyncio.sleep(0)
            for view in views[first : first + _AT_ONCE]:
                node = self._node(view, now)
                pieces += (_NODES, varint(len(node)), node)
        return b"".join(pieces)

    def _node(self, view: NodeView, now: int) -> bytes:
        made = self._with_still(view, now)
        self._measure(made)
        if made.watched and self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="watched-nodes")
        return made.whole

    def _measure(self, made: _Made) -> bool:
        """Bring what was made of a node up to what was measured; whether that was needed."""
        batches = self._latest.batches(made.view.row.node_id)
        if made.batches == batches:
            return False
        made.whole = with_measured(made.still, made.view, self._latest)
        made.batches = batches
        return True

    async def _watch(self) -> None:
        """Make the nodes that are watched when they change, until nobody asks for them any more."""
        try:
            while watched := self._watched():
                done = 0
                for made in watched:
                    if self._measure(made):
                        self._printer(made.whole)
                        done += 1
                        if done % _IN_A_TURN == 0:
                            await asyncio.sleep(0)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self._watching = None

    def _watched(self) -> list[_Made]:
        since = self._clock.monotonic() - _WATCHED_SECONDS
        return [made for made in self._made.values() if made.watched and made.asked_at >= since]

    def _with_still(self, view: NodeView, now: int) -> _Made:
        node_id = view.row.node_id
        unhealthy = self._latest.unhealthy(node_id)
        before = made = self._made.pop(node_id, None)
        asked_at = self._clock.monotonic()
        # When a drain should end changes with the time alone.
        draining = view.row.maintenance == State.DRAINING
        if made is None or draining or made.unhealthy != unhealthy or made.view != view:
            still = still_node(view, unhealthy, now, listed=True)
            made = _Made(view, unhealthy, still, asked_at)
        made.watched = before is not None and asked_at - before.asked_at <= _WATCHED_SECONDS
        made.asked_at = asked_at
        self._made[node_id] = made
        if len(self._made) > _REMEMBERED:
            del self._made[next(iter(self._made))]
        return made
