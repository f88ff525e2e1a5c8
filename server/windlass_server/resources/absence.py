"""How long nodes are waited for that cannot be reached. Pure."""

from windlass_server.clock import MICROS_PER_SECOND
from windlass_server.resources.maintenance import State
from windlass_server.resources.states import Status
from windlass_server.storage.tables import NodeRow

PATIENCE = 300 * MICROS_PER_SECOND
"""A node that cannot be reached may well be back in a moment."""


def awaited(node: NodeRow, now: int, listening_since: int) -> bool:
    """Whether a node cannot be reached but may well be back, and would take work then.

    Args:
        node: the node.
        now: in microseconds since 1970.
        listening_since: since when it could be heard here, so that before then it is not missed.
    """
    if node.status != Status.UNREACHABLE or node.maintenance != State.OPEN:
        return False
    return now - max(node.last_seen_at, listening_since) < PATIENCE
