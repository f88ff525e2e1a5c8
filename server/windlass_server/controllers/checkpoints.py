"""Removes the checkpoints that nobody needs any more."""

from windlass_server.jobs.checkpoints import CheckpointsService


class CheckpointRemoval:
    """Looks for checkpoints of jobs that have ended, older ones, and those left behind by half."""

    def __init__(self, checkpoints: CheckpointsService) -> None:
        self._checkpoints = checkpoints

    async def cycle(self) -> None:
        """Remove all that there is to remove."""
        while await self._checkpoints.remove_unneeded():
            pass
