"""Gives up nodes that nobody hears any more: those whose server ended before it could do so."""

from windlass_server.resources.membership import Membership


class NodeLiveness:
    """Looks at all nodes, whichever server has their sessions.

    Args:
        membership: keeps when each node was heard.
        patience_seconds: a node that was silent for longer is not connected.
    """

    def __init__(self, membership: Membership, patience_seconds: float) -> None:
        self._membership = membership
        self._patience_seconds = patience_seconds

    async def cycle(self) -> None:
        """Store which nodes have been silent for too long."""
        await self._membership.give_up_silent(self._patience_seconds)
