"""Removes the artifacts that nobody needs any more."""

from windlass_server.jobs.artifacts import ArtifactsService


class ArtifactRemoval:
    """Looks for artifacts that were deleted, and uploads that nobody goes on with."""

    def __init__(self, artifacts: ArtifactsService) -> None:
        self._artifacts = artifacts

    async def cycle(self) -> None:
        """Remove all that there is to remove."""
        while await self._artifacts.remove_unneeded():
            pass
