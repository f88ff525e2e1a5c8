"""Empties the nodes that are being drained."""

from windlass_server.resources.upkeep import NodeUpkeep


class NodeDrains:
    """Makes the runs of draining nodes leave when it is time, and notes when the last is gone.

    Attributes:
        some: whether a node was on its way at the last look, so that the end of a run is news.
    """

    def __init__(self, upkeep: NodeUpkeep) -> None:
        self._upkeep = upkeep
        self.some = False

    async def cycle(self) -> None:
        """Look at every node that is being emptied, whichever server was asked for it."""
        self.some = await self._upkeep.empty_draining()
