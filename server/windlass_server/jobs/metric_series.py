"""Series of points: curves cut to a width, put along their steps, and made one over ranks. Pure."""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from windlass_server.storage.tables import RunRow
from windlass_server.telemetry.curves import NO_STEP, Curve, grouped, joined, thinned
from windlass_server.telemetry.rollup import Floats, Ints, Rollup

MOST_POINTS = 1000
"""Of a curve along its steps, or along time where nobody says how wide buckets shall be."""
_Reduce: TypeAlias = Callable[[Floats, Ints], Floats]


class Aggregate(enum.IntEnum):
    """How the series of several ranks become one; as jobs.v1.GetJobMetricsRequest.Aggregate."""

    NONE = 0
    MEAN = 1
    MIN = 2
    MAX = 3
    SUM = 4


@dataclass(frozen=True, slots=True)
class PointSeries:
    """The points of one metric of one thing of one run.

    Attributes:
        metric: what it was asked for by.
        run: whose; None for a series of several.
        subject: a GPU's UUID, or empty.
        curve: the points.
        means: of each point, where they are not those of its values.
    """

    metric: str
    run: RunRow | None
    subject: str
    curve: Curve
    means: Floats


def of_rollup(metric: str, run: RunRow, rollup: Rollup) -> Iterator[PointSeries]:
    """What a node has measured of a run, a series for each thing."""
    for place in np.argsort(rollup.subjects, kind="stable").tolist():
        number = rollup.columns.number[:, place]
        low, high, total, last = (column[:, place] for column in rollup.columns[1:])
        steps = np.full(len(number), NO_STEP, dtype=np.int64)
        curve = Curve(rollup.starts, steps, number, low, high, total, last).at(number > 0)
        if len(curve):
            subject = rollup.subjects[place]
            yield _series(metric, run, "" if subject == run.run_id else subject, curve)


def of_curve(
    metric: str, run: RunRow, curve: Curve, *, by_step: bool, width: int | None, most: int
) -> PointSeries:
    """What a run has said itself.

    Args:
        metric: what it was asked for by.
        run: which.
        curve: what it has said.
        by_step: along its steps, instead of along time.
        width: of the buckets, in microseconds; None: every point.
        most: points, along its steps or where there is no width.
    """
    if by_step:
        curve = thinned(_by_step(curve), most)
    elif width is None:
        curve = thinned(curve, most)
    else:
        curve = grouped(curve, curve.times // width)
        curve = replace(curve, times=curve.times // width * width)
    return _series(metric, run, "", curve)


def _series(metric: str, run: RunRow, subject: str, curve: Curve) -> PointSeries:
    return PointSeries(metric, run, subject, curve, curve.means)


def _by_step(curve: Curve) -> Curve:
    stepped = curve.at(curve.steps != NO_STEP)
    stepped = stepped.at(np.argsort(stepped.steps, kind="stable"))
    return grouped(stepped, stepped.steps)


def aggregated(
    series: Sequence[PointSeries], how: Aggregate, *, by_step: bool
) -> list[PointSeries]:
    """One series for each metric: of those points together that stand at the same time, or step."""
    if how is Aggregate.NONE:
        return list(series)
    by_metric: dict[str, list[PointSeries]] = {}
    for one in series:
        by_metric.setdefault(one.metric, []).append(one)
    return [_aggregate(metric, some, how, by_step) for metric, some in by_metric.items()]


def _aggregate(
    metric: str, some: Sequence[PointSeries], how: Aggregate, by_step: bool
) -> PointSeries:
    curve = joined([one.curve for one in some])
    means = np.concatenate([one.means for one in some])
    order = np.argsort(curve.steps if by_step else curve.times, kind="stable")
    curve, means = curve.at(order), means[order]
    keys = curve.steps if by_step else curve.times
    firsts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    if not len(firsts):
        return PointSeries(metric, None, "", curve, means)
    reduce = _REDUCERS[how]
    low, high = (reduce, reduce) if how is Aggregate.SUM else (_least, _greatest)
    values = {Aggregate.MIN: curve.lows, Aggregate.MAX: curve.highs}.get(how, means)
    made = replace(
        grouped(curve, keys),
        lows=low(curve.lows, firsts),
        highs=high(curve.highs, firsts),
        lasts=reduce(curve.lasts, firsts),
    )
    return PointSeries(metric, None, "", made, reduce(values, firsts))


def _mean(values: Floats, firsts: Ints) -> Floats:
    mean: Floats = _sum(values, firsts) / np.diff(np.append(firsts, len(values)))
    return mean


def _sum(values: Floats, firsts: Ints) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):
        total: Floats = np.add.reduceat(values, firsts)
    return total


def _least(values: Floats, firsts: Ints) -> Floats:
    least: Floats = np.fmin.reduceat(values, firsts)
    return least


def _greatest(values: Floats, firsts: Ints) -> Floats:
    greatest: Floats = np.fmax.reduceat(values, firsts)
    return greatest


_REDUCERS: Mapping[Aggregate, _Reduce] = {
    Aggregate.MEAN: _mean,
    Aggregate.MIN: _least,
    Aggregate.MAX: _greatest,
    Aggregate.SUM: _sum,
}
