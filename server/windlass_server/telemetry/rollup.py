"""Buckets of values of one field: how low, how high, how much, how many, and which was the last.

Columnar: a row for each bucket in which anything was measured, a column for each subject. A bucket
without values has no row, a subject without values in it has a count of 0 and NaN: gaps stay gaps.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Small = NDArray[np.float32]

LARGEST = float(np.finfo(np.float32).max)
"""What a value is cut to."""


class Stats(NamedTuple):
    """One bucket's values by column, small: they wait in memory for minutes."""

    number: NDArray[np.uint32]
    low: Small
    high: Small
    total: Small
    last: Small


class Columns(NamedTuple):
    """Of each bucket and subject.

    Attributes:
        number: how many values.
        low: the least of them, NaN where there is none.
        high: the greatest.
        total: their sum.
        last: the newest.
    """

    number: Ints
    low: Floats
    high: Floats
    total: Floats
    last: Floats

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "Columns":
        """Every column changed in the same way."""
        return Columns(*(change(column) for column in self))


@dataclass(frozen=True, slots=True)
class Rollup:
    """Buckets of some subjects.

    Attributes:
        subjects: what the columns are of.
        starts: when each bucket begins, rising, in microseconds since 1970; of shape (buckets,).
        columns: the values, each of shape (buckets, subjects).
    """

    subjects: tuple[str, ...]
    starts: Ints
    columns: Columns

    def of(self, subjects: Iterable[str]) -> "Rollup":
        """Only these subjects, as far as they are there."""
        wanted = set(subjects)
        return self.at([place for place, name in enumerate(self.subjects) if name in wanted])

    def at(self, places: Sequence[int]) -> "Rollup":
        """Only the columns at these places."""
        names = tuple(self.subjects[place] for place in places)
        return Rollup(names, self.starts, self.columns.each(lambda column: column[:, places]))

    def between(self, start: int, end: int) -> "Rollup":
        """Only the buckets that begin in [start, end)."""
        first, behind = np.searchsorted(self.starts, [start, end])
        kept = slice(int(first), int(behind))
        columns = self.columns.each(lambda column: column[kept])
        return Rollup(self.subjects, self.starts[kept], columns)


def stats_of(rows: Floats) -> Stats:
    """The values of one bucket.

    Args:
        rows: by the time of their measuring, of shape (times, columns); what is not finite is no value.
    """
    there = np.isfinite(rows)
    values = rows if there.all() else np.where(there, rows, np.nan)
    count = there.sum(axis=0, dtype=np.uint32)
    newest = np.where(there, np.arange(len(rows))[:, None], 0).max(axis=0)
    return Stats(
        count,
        _small(np.fmin.reduce(values, axis=0)),
        _small(np.fmax.reduce(values, axis=0)),
        _small(np.where(count > 0, np.where(there, rows, 0.0).sum(axis=0), np.nan)),
        _small(np.take_along_axis(values, newest[None, :], axis=0)[0]),
    )


def stacked(buckets: Sequence[Stats]) -> Columns:
    """The columns of these buckets."""
    count, *floats = (np.stack(column) for column in zip(*buckets, strict=True))
    return Columns(count.astype(np.int64), *(column.astype(np.float64) for column in floats))


def _small(values: Floats) -> Small:
    return np.clip(values, -LARGEST, LARGEST).astype(np.float32)


def coarsen(fine: Rollup, width: int) -> Rollup:
    """As fewer, wider buckets; several of the same start become one."""
    starts = fine.starts // width * width
    firsts = np.flatnonzero(np.diff(starts, prepend=starts[:1] - 1))
    if len(firsts) == len(starts):
        return Rollup(fine.subjects, starts, fine.columns)
    there = fine.columns
    count = np.add.reduceat(there.number, firsts, axis=0)
    total = np.add.reduceat(np.where(there.number > 0, there.total, 0.0), firsts, axis=0)
    columns = Columns(
        count,
        np.fmin.reduceat(there.low, firsts, axis=0),
        np.fmax.reduceat(there.high, firsts, axis=0),
        np.where(count > 0, total, np.nan),
        _last(there, firsts),
    )
    return Rollup(fine.subjects, starts[firsts], columns)


def merge(parts: Sequence[Rollup], width: int) -> Rollup:
    """All of them as one, in buckets of that width.

    Args:
        parts: what is of the same time and subject adds up; the later of them has the last value.
        width: in microseconds, at least as wide as those of any part.
    """
    if len(parts) == 1:
        return coarsen(parts[0], width)
    subjects = tuple(dict.fromkeys(name for part in parts for name in part.subjects))
    starts = np.concatenate([part.starts for part in parts])
    order = np.argsort(starts, kind="stable")
    spread = [_spread(part, subjects) for part in parts]
    columns = Columns(*(np.concatenate(column)[order] for column in zip(*spread, strict=True)))
    return coarsen(Rollup(subjects, starts[order], columns), width)


def _last(fine: Columns, firsts: NDArray[np.intp]) -> Floats:
    """The newest value of each group of rows, NaN where a group has none."""
    rows = np.arange(len(fine.number))[:, None]
    newest = np.maximum.reduceat(np.where(fine.number > 0, rows, -1), firsts, axis=0)
    picked = np.take_along_axis(fine.last, np.maximum(newest, 0), axis=0)
    return np.where(newest >= 0, picked, np.nan)


def _spread(part: Rollup, subjects: tuple[str, ...]) -> Columns:
    """Its columns at the places of these subjects."""
    if part.subjects == subjects:
        return part.columns
    place = {name: number for number, name in enumerate(subjects)}
    at = [place[name] for name in part.subjects]

    def widened(column: NDArray[Any]) -> NDArray[Any]:
        missing = np.nan if np.issubdtype(column.dtype, np.floating) else 0
        wide = np.full((len(part.starts), len(subjects)), missing, dtype=column.dtype)
        wide[:, at] = column
        return wide

    return part.columns.each(widened)
