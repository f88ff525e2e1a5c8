"""The machine's clock, whose wall time a test sets."""

from windlass_agent.clock import SystemClock


class JumpingClock(SystemClock):
    """Time passes as it does; what the wall clock says of it jumps."""

    def __init__(self) -> None:
        self._ahead_nanos = 0

    def time_nanos(self) -> int:
        return super().time_nanos() + self._ahead_nanos

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back, from where it is."""
        self._ahead_nanos += round(seconds * 1e9)
