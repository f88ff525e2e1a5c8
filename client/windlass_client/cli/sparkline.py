"""A line of small bars: what a value was over time, on one line of a terminal."""

import math
from collections.abc import Mapping

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Mapping[int, float], width: int) -> str:
    """A bar for each place from 0 to `width`; a blank where there is no value.

    The lowest value has the lowest bar and the greatest the highest; equal ones are all in the middle.

    Args:
        values: by place; those of other places are left out.
        width: how many places there are.
    """
    shown = {place: value for place, value in values.items() if math.isfinite(value)}
    low, high = min(shown.values(), default=0.0), max(shown.values(), default=0.0)
    span = high - low

    def bar(value: float) -> str:
        share = (value - low) / span if span > 0 else 0.5
        return _BARS[min(int(share * len(_BARS)), len(_BARS) - 1)]

    return "".join(bar(shown[place]) if place in shown else " " for place in range(width))
