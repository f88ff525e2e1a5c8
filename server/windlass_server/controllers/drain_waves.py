"""Moves drains of many nodes on."""

from windlass_server.resources.drains import DrainsService


class DrainWaves:
    """Begins the drain of the next nodes when those before are done with."""

    def __init__(self, drains: DrainsService) -> None:
        self._drains = drains

    async def cycle(self) -> None:
        """Look at every drain of many nodes, whichever server was asked for it."""
        await self._drains.advance_all()
