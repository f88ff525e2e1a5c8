"""Removes the archives that no job needs any more."""

from windlass_server.jobs.sources import SourcesService


class SourceRemoval:
    """Looks for archives that were deleted, that nobody has named for long, and uploads that broke off."""

    def __init__(self, sources: SourcesService) -> None:
        self._sources = sources

    async def cycle(self) -> None:
        """Remove all that there is to remove."""
        while await self._sources.remove_unneeded():
            pass
