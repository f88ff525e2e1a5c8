"""The log of a simulated task, in memory."""

import asyncio

from windlass_agent.clock import Clock
from windlass_agent.frames import HEADER, STDOUT, whole_length


class SimulatedLog:
    """Whole frames in the contract's format; keeps what `LogShipper` asks of a log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._content = bytearray()
        self._complete = False
        self._grown = asyncio.Event()

    @property
    def end(self) -> int:
        """Its length so far, in bytes."""
        return len(self._content)

    def say(self, line: str) -> None:
        """Add a line of standard output."""
        payload = line.encode() + b"\n"
        self._content += HEADER.pack(STDOUT, self._clock.time_nanos(), len(payload)) + payload
        self.wake()

    def complete(self) -> None:
        """Nothing more will be said."""
        self._complete = True
        self.wake()

    def read(self, position: int, max_bytes: int = 1 << 20) -> bytes:
        """Whole frames from `position`, at most `max_bytes`."""
        data = bytes(self._content[position : position + max_bytes])
        return data[: whole_length(data)]

    async def wait(self, position: int) -> bool:
        """Wait until the log is longer than `position` (True), or complete and not (False)."""
        while len(self._content) <= position:
            if self._complete:
                return False
            self._grown.clear()
            await self._grown.wait()
        return True

    def wake(self) -> None:
        """Have `wait` look again."""
        self._grown.set()
