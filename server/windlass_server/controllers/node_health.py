"""Lets devices that have failed come back, and gives up nodes that fail different jobs."""

from windlass_server.resources.health import NodeHealthService


class NodeHealth:
    """Looks at every node that something is wrong with, whichever server has its session."""

    def __init__(self, health: NodeHealthService) -> None:
        self._health = health

    async def cycle(self) -> None:
        """Let time pass for their devices, and order what is due."""
        await self._health.look()
