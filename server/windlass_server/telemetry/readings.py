"""A node's batches of samples as rows of numbers.

A node sends the same series in the same order each second, so what they are of is looked at once: a
batch costs two looks at each series and a row, whatever is then made of it.
"""

import math
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from windlass.agents.v1.agent_pb2 import SampleBatch, Series
from windlass_server.telemetry.fields import is_counter, is_measurable
from windlass_server.telemetry.known_batches import Batch, KnownBatch
from windlass_server.telemetry.rollup import Floats, Ints

MAX_TIMES = 4096
MAX_SERIES = 16_384
"""Series of a node that are kept; what comes beyond them is left out."""
_MAX_INT64 = (1 << 63) - 1
_NANOS_PER_MICRO = 1000
# Layouts of a node that are remembered: the fast fields alone, all of them, and those as runs come and go.
_REMEMBERED = 8
# After so many, other series may take the places of those that there have been.
_BATCHES_REMEMBERED = 600

# The time deltas of a batch of one time.
_ONE_TIME = (0,)

Key = tuple[int, str]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What the columns of a row are.

    Attributes:
        keys: field and subject of each.
        places: where each stands among the series of a batch.
        counters: the columns of those whose values only grow.
        fields: the columns of each field.
        subjects: of each column.
    """

    keys: tuple[Key, ...]
    places: Ints
    counters: tuple[int, ...]
    fields: Mapping[int, Sequence[int]]
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Readings:
    """Some rows of one layout.

    Attributes:
        times: when each was measured, by the node's clock, in microseconds; of shape (rows,).
        rows: of shape (rows, columns); NaN where there is no value.
    """

    layout: Layout
    times: Ints
    rows: Floats


@dataclass(slots=True)
class Decoder:
    """Makes readings of one node's batches."""

    _layouts: OrderedDict[tuple[tuple[int, ...], tuple[str, ...]], Layout] = field(
        default_factory=OrderedDict
    )
    # Since when something was forgotten: the layouts that came, and each key once for all of them.
    _used: set[Layout] = field(default_factory=set)
    _known: dict[Key, Key] = field(default_factory=dict)
    _batches: int = 0

    def decode(self, batch: Batch) -> Readings | None:
        """The batch's readings, without what makes no sense; None when its times do not."""
        deltas = batch.time_deltas_nanos if isinstance(batch, SampleBatch) else _ONE_TIME
        times = _times(batch.base_time_nanos, deltas)
        if times is None:
            return None
        if isinstance(batch, KnownBatch):
            layout = self._layout_now(batch.fields, batch.subjects)
            return Readings(layout, times, batch.values[layout.places][None, :])
        # Once: what the list hands out is made anew each time.
        series = list(batch.series)
        fields, subjects = [s.field for s in series], [s.subject for s in series]
        layout = self._layout_now(tuple(fields), tuple(subjects))
        return Readings(layout, times, _rows(series, layout, len(times)))

    def _layout_now(self, fields: tuple[int, ...], subjects: tuple[str, ...]) -> Layout:
        """The layout of a batch that has come."""
        layout = self._layout(fields, subjects)
        self._used.add(layout)
        self._batches += 1
        if self._batches % _BATCHES_REMEMBERED == 0:
            self._forget()
        return layout

    def _layout(self, fields: tuple[int, ...], subjects: tuple[str, ...]) -> Layout:
        found = self._layouts.get((fields, subjects))
        if found is None:
            # What names a GPU stands in a dozen series, and what is made of these is kept in several places.
            names = tuple(map(sys.intern, subjects))
            found = self._layouts[fields, names] = self._new_layout(fields, names)
            if len(self._layouts) > _REMEMBERED:
                _, oldest = self._layouts.popitem(last=False)
                self._used.discard(oldest)
        return found

    def _new_layout(self, fields: Sequence[int], subjects: Sequence[str]) -> Layout:
        places: dict[Key, int] = {}
        for place, key in enumerate(zip(fields, subjects, strict=True)):
            if is_measurable(*key) and (key in self._known or len(self._known) < MAX_SERIES):
                places[self._known.setdefault(key, key)] = place
        return _layout_of(places)

    def _forget(self) -> None:
        """Forget what has not come for a while.

        A layout that goes on coming stays the one that it is: others keep what they found out of it. Once
        there was no place for a series, all of them begin anew.
        """
        if len(self._known) >= MAX_SERIES:
            self._used.clear()
        for key, layout in list(self._layouts.items()):
            if layout not in self._used:
                del self._layouts[key]
        self._known = {key: key for layout in self._layouts.values() for key in layout.keys}
        self._used.clear()


def _layout_of(places: Mapping[Key, int]) -> Layout:
    """Columns for these series, which stand at these places of their batch."""
    fields: dict[int, list[int]] = {}
    for column, (measured, _) in enumerate(places):
        fields.setdefault(measured, []).append(column)
    counters = [
        column for measured in fields if is_counter(measured) for column in fields[measured]
    ]
    return Layout(
        tuple(places),
        np.array(list(places.values()), dtype=np.int64),
        tuple(counters),
        fields,
        tuple(subject for _, subject in places),
    )


def _times(base: int, deltas: Sequence[int]) -> Ints | None:
    """A batch's times in microseconds; None when they are not times at all."""
    if not 0 < len(deltas) <= MAX_TIMES:
        return None
    now = base
    times = []
    for delta in deltas:
        now += delta
        if not (delta >= 0 and 0 < now <= _MAX_INT64):
            return None
        times.append(now // _NANOS_PER_MICRO)
    return np.array(times, dtype=np.int64)


def _rows(series: Sequence[Series], layout: Layout, times: int) -> Floats:
    """The values by time and column; a series that has not one for each time has none at all."""
    if times == 1:
        all_values = [one.values for one in series]
        row = np.array([one[0] if len(one) == 1 else math.nan for one in all_values])
        return row[layout.places][None, :]
    rows = np.full((times, len(layout.places)), np.nan)
    for column, place in enumerate(layout.places.tolist()):
        values = series[place].values
        if len(values) == times:
            rows[:, column] = values
    return rows


@dataclass(slots=True)
class Increases:
    """Makes of counters what was added since the value before."""

    _counted: dict[Key, float] = field(default_factory=dict)

    def of(self, readings: Readings) -> Readings:
        """The readings with the increases of what only grows; one that went back began anew."""
        layout = readings.layout
        if not layout.counters:
            return readings
        if len(self._counted) > MAX_SERIES:
            self._counted.clear()
        rows = readings.rows.copy()
        for column in layout.counters:
            before = self._counted.get(layout.keys[column], math.nan)
            for place, value in enumerate(rows[:, column].tolist()):
                if math.isfinite(value):
                    grown = value - before if value >= before else value
                    rows[place, column] = math.nan if math.isnan(before) else grown
                    before = value
            self._counted[layout.keys[column]] = before
        return Readings(layout, readings.times, rows)
