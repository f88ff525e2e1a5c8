"""What keeps nodes from giving what is reserved of them. Pure."""

from windlass_server.resources.absence import PATIENCE
from windlass_server.resources.maintenance import State
from windlass_server.resources.states import Status
from windlass_server.storage.tables import NodeRow

_CLOSED = {
    State.CORDONED: "is cordoned",
    State.DRAINING: "is being drained",
    State.DRAINED: "is drained",
}


def trouble(node: NodeRow | None, now: int) -> str:
    """Why a node gives nothing to whom it is reserved for, in words; empty when it does."""
    if node is None:
        return "is not there any more"
    if node.maintenance != State.OPEN:
        return f"{node.name} {_CLOSED[State(node.maintenance)]}"
    if node.status == Status.UNREACHABLE and now - node.last_seen_at >= PATIENCE:
        return f"{node.name} cannot be reached"
    return ""
