"""Takes in what runs say of themselves in numbers: each batch once, into curves that stay short."""

from collections.abc import Mapping, Sequence
from typing import Any

from windlass.agents.v1 import custom_metric_pb2 as pb
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import InvalidInput
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import CustomMetricRow
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.curves import Curve, curve_of, decode, encode, joined, thinned

MAX_NAMES = 200
"""Names that a job may use; values of others are counted and not kept."""
MAX_VALUES = 20_000
"""Values of a batch."""
PART_POINTS = 256
"""Points of the newest part of a curve, before it is finished."""
MAX_POINTS = 4096
"""Points of all parts, before they are made half as many."""
_EARLY = 5 * MICROS_PER_SECOND


class CustomMetrics:
    """Keeps what runs send."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def take(self, batch: pb.MetricBatch) -> None:
        """Store a batch of a run, unless it is there; returns when it is on disk.

        Raises:
            InvalidInput: its columns do not fit together.
        """
        _require_even(batch)
        _not_in_the_future(batch, self._clock.now())
        await self._database.write(lambda tx: _take(tx, batch))


def _require_even(batch: pb.MetricBatch) -> None:
    sizes = [(len(one.times), len(one.steps), len(one.values)) for one in batch.columns]
    names = {one.name for one in batch.columns}
    even = all(len(set(size)) == 1 for size in sizes) and len(names) == len(sizes)
    if not even or sum(size[0] for size in sizes) > MAX_VALUES:
        message = "the columns of a batch of metrics have different lengths, or too many values"
        raise InvalidInput(message, reason="METRIC_BATCH_UNEVEN")


def _not_in_the_future(batch: pb.MetricBatch, now: int) -> None:
    """Move what comes from a clock that is ahead of ours: its newest value is of now."""
    newest = max((time for column in batch.columns for time in column.times), default=0)
    ahead = newest - now
    if ahead > _EARLY:
        for column in batch.columns:
            column.times[:] = [max(0, time - ahead) for time in column.times]


def _take(tx: Transaction, batch: pb.MetricBatch) -> None:
    run = tx.runs.get(batch.run_id)
    if run is None:
        return
    before = tx.custom_metrics.tally(batch.run_id)
    if before is not None and before.source == batch.source and batch.position <= before.position:
        return  # sent again, since we were not heard
    names = [one.name for one in batch.columns]
    rows = {row.name: row for row in tx.custom_metrics.newest(batch.run_id, names)}
    room = _room(tx, run.job_id, [name for name in names if name not in rows])
    refused = 0
    parts: list[dict[str, Any]] = []
    for column in batch.columns:
        if column.name in rows or column.name in room:
            new = curve_of(column.times, column.steps, column.values)
            key = {"run_id": run.run_id, "name": column.name, "job_id": run.job_id}
            parts += _appended(tx, key, rows.get(column.name), new)
        else:
            refused += len(column.values)
    tx.custom_metrics.put(parts)
    refused += 0 if before is None else before.refused_by_job
    tx.custom_metrics.set_tally(_tally(run.job_id, batch, refused))


def _room(tx: Transaction, job_id: str, new: Sequence[str]) -> frozenset[str]:
    """Those of a run's new names that its job may use."""
    if not new:
        return frozenset()
    known = frozenset(tx.custom_metrics.names(job_id))
    unknown = [name for name in new if name not in known]
    return known | frozenset(unknown[: max(0, MAX_NAMES - len(known))])


def _appended(
    tx: Transaction, key: Mapping[str, str], row: CustomMetricRow | None, new: Curve
) -> list[dict[str, Any]]:
    """The parts of a curve that change with points behind it, which is made shorter when it is long."""
    curve = new if row is None else joined([decode(row.data), new])
    parts, before = (0, 0) if row is None else (row.parts, row.points)
    run_id, name = key["run_id"], key["name"]
    rows: list[dict[str, Any]] = []
    if len(curve) >= PART_POINTS and before + len(curve) > MAX_POINTS:
        whole = [decode(data) for data in tx.custom_metrics.finished(run_id, name)]
        tx.custom_metrics.remove_finished(run_id, name)
        curve, parts, before = thinned(joined([*whole, curve]), MAX_POINTS // 2), 0, 0
    if len(curve) >= PART_POINTS:
        parts, before = parts + 1, before + len(curve)
        rows.append({**key, "part": parts, "parts": 0, "points": 0, "data": encode(curve)})
        curve = curve.at(slice(0, 0))
    rows.append({**key, "part": 0, "parts": parts, "points": before, "data": encode(curve)})
    return rows


def _tally(job_id: str, batch: pb.MetricBatch, refused: int) -> Mapping[str, Any]:
    """What became of all that a run has sent; an agent counts from its own start."""
    tally = batch.tally
    return {
        "run_id": batch.run_id,
        "job_id": job_id,
        "source": batch.source,
        "position": batch.position,
        "values": tally.values,
        "malformed_lines": tally.malformed_lines,
        "last_malformed": tally.last_malformed,
        "dropped_values": tally.dropped_values,
        "refused_values": tally.refused_values,
        "refused_by_job": refused,
    }
