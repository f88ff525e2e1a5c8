"""Takes back the allocations whose holders have gone."""

from windlass_server.resources.allocations import AllocationsService


class AllocationLeases:
    """Looks for allocations that were not renewed in time, whoever gave them."""

    def __init__(self, allocations: AllocationsService) -> None:
        self._allocations = allocations

    async def cycle(self) -> None:
        """Take back what is overdue."""
        await self._allocations.expire()
