"""Where on the server's clock belongs what a node has measured by its own."""

import numpy as np

from windlass_server.clock import MICROS_PER_SECOND
from windlass_server.telemetry.readings import Readings

# How far a node's clock may be off, or its samples late, and still be believed.
LATE = 30 * MICROS_PER_SECOND
EARLY = 5 * MICROS_PER_SECOND


def in_our_time(readings: Readings, now: int) -> Readings:
    """With the times of our clock, where the node's is too far off: its newest row is then of now."""
    behind = now - int(readings.times[-1])
    oldest = now - int(readings.times[0])
    if behind >= -EARLY and oldest <= LATE:
        return readings
    times = np.maximum(readings.times + behind, now - LATE)
    return Readings(readings.layout, times, readings.rows)
