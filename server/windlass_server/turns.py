"""Lets others run while long work goes on, on the event loop that they share."""

import asyncio
import time

# A turn is given by time and not by what is done: in it everything that has become ready runs, which under
# load takes longer than a small piece of the work.
_SLICE_S = 0.01


class Turns:
    """Counts how long a piece of work has held the event loop; made when the work begins."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def give(self) -> None:
        """Let others run, if they have waited for ten milliseconds; to be called at every step."""
        if time.monotonic() - self._since >= _SLICE_S:
            await asyncio.sleep(0)
            self._since = time.monotonic()
