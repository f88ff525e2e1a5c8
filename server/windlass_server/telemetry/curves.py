"""Curves of what jobs measure themselves: every value while they are few, and evenly less of many.

A curve is points of one name of one run, in the order in which they came. A point is one value or, when a
curve has become long, as many in a row as one of every other stretch of it (a power of two). All keep the least,
the greatest, the sum and the newest of their values, so that peaks and not-a-numbers stay to be seen.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass_server.telemetry.rollup import Floats, Ints

NO_STEP = -1
_VERSION = 1
_COLUMNS = 7
_WORD = 8
_COMPRESSION = 1


@dataclass(frozen=True, slots=True)
class Curve:
    """Points; all columns have the same length.

    Attributes:
        times: when the newest value of each came, in microseconds since 1970.
        steps: the greatest step of its values; -1 where none was said.
        counts: how many values it is.
        lows: the least that is a number, NaN where none is.
        highs: the greatest that is a number, NaN where none is.
        totals: the sum; NaN where one of the values is.
        lasts: the newest value.
    """

    times: Ints
    steps: Ints
    counts: Ints
    lows: Floats
    highs: Floats
    totals: Floats
    lasts: Floats

    def __len__(self) -> int:
        return len(self.times)

    @property
    def means(self) -> Floats:
        """The average of each point."""
        return self.totals / self.counts

    def at(self, kept: "NDArray[np.bool_] | NDArray[np.intp] | slice") -> "Curve":
        """Some of the points."""
        return Curve(*(column[kept] for column in _columns(self)))


def curve_of(times: Sequence[int], steps: Sequence[int], values: Sequence[float]) -> Curve:
    """Points of one value each."""
    numbers = np.array(values, dtype=np.float64)
    return Curve(
        np.array(times, dtype=np.int64),
        np.array(steps, dtype=np.int64),
        np.ones(len(numbers), dtype=np.int64),
        numbers,
        numbers,
        numbers,
        numbers,
    )


def joined(curves: Sequence[Curve]) -> Curve:
    """All points, in the order of the curves."""
    if not curves:
        return curve_of((), (), ())
    parts = zip(*map(_columns, curves), strict=True)
    return Curve(*(np.concatenate(column) for column in parts))


def grouped(curve: Curve, groups: Ints) -> Curve:
    """One point for each group of neighbours.

    Args:
        curve: the points.
        groups: a number for each point; neighbours with the same one become one.
    """
    if not len(curve):
        return curve
    firsts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    if len(firsts) == len(curve):
        return curve
    ends = np.append(firsts[1:], len(curve)) - 1
    # A sum of infinities of both signs is none; that is the truth about it.
    with np.errstate(invalid="ignore", over="ignore"):
        totals = np.add.reduceat(curve.totals, firsts)
    return Curve(
        np.maximum.reduceat(curve.times, firsts),
        np.maximum.reduceat(curve.steps, firsts),
        np.add.reduceat(curve.counts, firsts),
        np.fmin.reduceat(curve.lows, firsts),
        np.fmax.reduceat(curve.highs, firsts),
        totals,
        curve.lasts[ends],
    )


def thinned(curve: Curve, most: int) -> Curve:
    """At most so many points, each of as many values as the others, as near as may be."""
    if len(curve) <= most:
        return curve
    before = np.cumsum(curve.counts) - curve.counts
    values = int(curve.counts.sum())
    width = 1
    while -(-values // width) > most:
        width *= 2
    return grouped(curve, before // width)


def encode(curve: Curve) -> bytes:
    """A curve as bytes: the bytes of a column lie by their significance, compressed."""
    planes = [
        np.ascontiguousarray(column).view(np.uint8).reshape(-1, _WORD).T.tobytes()
        for column in _columns(curve)
    ]
    return bytes([_VERSION]) + zlib.compress(b"".join(planes), _COMPRESSION)


def decode(data: bytes) -> Curve:
    """What `encode` was given; ValueError when it is of another version."""
    if data[:1] != bytes([_VERSION]):
        message = "curves of this version are unknown here"
        raise ValueError(message)
    raw = np.frombuffer(zlib.decompress(data[1:]), np.uint8)
    length = len(raw) // (_WORD * _COLUMNS)
    words = [
        np.ascontiguousarray(plane.reshape(_WORD, length).T).reshape(-1)
        for plane in raw.reshape(_COLUMNS, -1)
    ]
    ints = [one.view(np.int64) for one in words[:3]]
    floats = [one.view(np.float64) for one in words[3:]]
    return Curve(ints[0], ints[1], ints[2], *floats)


def _columns(curve: Curve) -> tuple[NDArray[Any], ...]:
    return (
        curve.times,
        curve.steps,
        curve.counts,
        curve.lows,
        curve.highs,
        curve.totals,
        curve.lasts,
    )
