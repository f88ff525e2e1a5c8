"""What a job's runs used over time, and said of themselves: authorise, load, cut out, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.jobs.metric_names import CUSTOM, Asked, asked_for
from windlass_server.jobs.metric_notes import note_of_network, notes_of
from windlass_server.jobs.metric_series import (
    MOST_POINTS,
    Aggregate,
    PointSeries,
    aggregated,
    of_curve,
    of_rollup,
)
from windlass_server.resources.metrics import Wanted, numbers_of, span_of
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow, MetricTallyRow, RunRow
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.curves import Curve, decode, joined
from windlass_server.telemetry.custom import PART_POINTS
from windlass_server.telemetry.fields import NAMES
from windlass_server.telemetry.history import (
    MAX_BUCKETS,
    Answer,
    Question,
    TelemetryHistory,
    too_many,
)
from windlass_server.telemetry.levels import MAX_POINTS, finest_for, resolution_for
from windlass_server.telemetry.rollup import Rollup, merge

MAX_ROWS = 50_000
"""Points of an answer."""
MOST_READ = 2_000_000
"""Points that are read for one."""
MAX_RUNS = 1000
"""Of a job with more of them, such as one that was started again and again, its last runs are told."""


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What one run used."""

    run: RunRow
    answer: Answer


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """What a job's runs used, in buckets of one width. Times are in microseconds.

    Attributes:
        omitted: how many earlier runs of that time are left out.
        points: what was asked for by points.
        custom_names: what the job has sent itself, sorted.
        notes: what is not shown and why.
    """

    start: int
    end: int
    resolution: int
    runs: Sequence[RunAnswer]
    omitted: int = 0
    points: Sequence[PointSeries] = ()
    custom_names: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """How the metrics that are asked for by points shall be answered.

    Attributes:
        metrics: what is asked for so; nothing: columns alone.
        aggregate: how several ranks become one.
        by_step: along the steps.
    """

    metrics: Sequence[str] = ()
    aggregate: Aggregate = Aggregate.NONE
    by_step: bool = False


class JobMetrics:
    """Reads what jobs used, of their runs here: what others do, their own clusters know."""

    def __init__(self, database: Database, history: TelemetryHistory, clock: Clock) -> None:
        self._database = database
        self._history = history
        self._clock = clock

    async def get(
        self, who: Caller, job_id: str, wanted: Wanted, shape: Shape | None = None
    ) -> JobAnswer:
        """What a job's runs used, and what they said of themselves.

        Raises:
            NotFound: no such job, or foreign.
            InvalidInput: a field that nothing is measured of, no time, or too much of it.
        """
        shape = shape or Shape()
        job, runs, names, tallies = await self._database.read(lambda tx: _load(tx, job_id))
        if job is None:
            raise absent("job", job_id)
        require_object(who, "jobs.get", job.project, kind="job", object_id=job_id)
        asked = asked_for(shape.metrics, names)
        if shape.by_step and asked.fields:
            raise _steps_are_custom()
        now = self._clock.now()
        start, end = span_of(wanted, *_life(runs, job.created_at, now))
        there = [run for run in runs if _start(run) < end and _end(run, now) > start]
        held = there[-MAX_RUNS:]
        custom = await self._custom(job, held, asked, wanted, shape, end - start)
        columns = numbers_of(wanted.fields, NAMES)
        fields = columns
        if shape.metrics:
            fields = (columns or frozenset()) | frozenset(asked.fields.values())
        measured = await self._measured(held, fields, wanted, start, end)
        points = [
            one
            for word, number in asked.fields.items()
            for run in measured.runs
            if number in run.answer.rollups
            for one in of_rollup(word, run.run, run.answer.rollups[number])
        ]
        found = {NAMES[number] for run in measured.runs for number in run.answer.rollups}
        missed = note_of_network([NAMES[number] for number in asked.fields.values()], found)
        return replace(
            measured,
            runs=_columns(measured.runs, columns, shape),
            omitted=len(there) - len(held),
            points=_few(aggregated([*points, *custom], shape.aggregate, by_step=shape.by_step)),
            custom_names=names,
            notes=[*notes_of(tallies), *missed],
        )

    async def _custom(
        self,
        job: JobRow,
        runs: Sequence[RunRow],
        asked: Asked,
        wanted: Wanted,
        shape: Shape,
        span: int,
    ) -> list[PointSeries]:
        """What the runs have said of themselves."""
        if not asked.custom:
            return []
        curves, points = await self._database.read(
            lambda tx: tx.custom_metrics.extent(job.job_id, asked.custom)
        )
        if points + curves * PART_POINTS > MOST_READ:
            raise too_many(f"{curves} curves")
        most = min(max(MAX_ROWS // max(curves, 1), 2), MOST_POINTS)
        width = wanted.resolution
        if width is None and shape.aggregate is not Aggregate.NONE:
            width = max(span // MOST_POINTS, MICROS_PER_SECOND)
        series = []
        for run in runs:
            for name, curve in (await self._curves(run.run_id, asked.custom)).items():
                cut = _between(curve, wanted.start, wanted.end)
                metric = CUSTOM + name
                series.append(
                    of_curve(metric, run, cut, by_step=shape.by_step, width=width, most=most)
                )
        places = {CUSTOM + name: place for place, name in enumerate(asked.custom)}
        return sorted((one for one in series if len(one.curve)), key=lambda one: places[one.metric])

    async def _curves(self, run_id: str, names: Sequence[str]) -> dict[str, Curve]:
        parts = await self._database.read(lambda tx: tx.custom_metrics.curve(run_id, names))
        found: dict[str, list[Curve]] = {}
        for name, data in parts:
            found.setdefault(name, []).append(decode(data))
        return {name: joined(some) for name, some in found.items()}

    async def _measured(
        self,
        held: Sequence[RunRow],
        fields: frozenset[int] | None,
        wanted: Wanted,
        start: int,
        end: int,
    ) -> JobAnswer:
        """What the nodes have measured of the runs; no fields: nothing, None: all."""
        resolution = resolution_for(end - start, wanted.resolution)
        if fields is not None and not fields:
            return JobAnswer(start, end, wanted.resolution or 0, ())
        now = self._clock.now()
        series = sum(_series(run, fields) for run in held)
        level = finest_for(start, end, now, max(series, 1), self._history.retention)
        resolution = -(-resolution // level.width) * level.width
        if (end - start) // resolution > MAX_BUCKETS:
            raise too_many(f"more than {MAX_BUCKETS} buckets")
        fine = []
        for run in held:
            question = Question(
                fields,
                frozenset({*_gpus(run), run.run_id}),
                max(start, _start(run)),
                min(end, _end(run, now)),
                level.width,
            )
            fine.append((run, await self._history.ask(run.node_id, question)))
        asked = wanted.resolution is not None
        answers, resolution = _fitting(fine, start, resolution, None if asked else end - start)
        first = start // resolution * resolution
        return JobAnswer(first, end, resolution, answers)


def _load(
    tx: Transaction, job_id: str
) -> tuple[JobRow | None, Sequence[RunRow], Sequence[str], Sequence[MetricTallyRow]]:
    return (
        tx.jobs.get(job_id),
        tx.runs.of_job(job_id),
        tx.custom_metrics.names(job_id),
        tx.custom_metrics.tallies(job_id),
    )


def _columns(
    runs: Sequence[RunAnswer], fields: frozenset[int] | None, shape: Shape
) -> Sequence[RunAnswer]:
    """What is answered by columns: beside points only what was asked for by `field`."""
    if not shape.metrics:
        return runs
    kept = fields or frozenset()
    return [
        replace(one, answer=replace(one.answer, rollups=_only(one.answer.rollups, kept)))
        for one in runs
    ]


def _only(rollups: Mapping[int, Rollup], fields: frozenset[int]) -> dict[int, Rollup]:
    return {number: rollup for number, rollup in rollups.items() if number in fields}


def _between(curve: Curve, start: int | None, end: int | None) -> Curve:
    kept = np.ones(len(curve), dtype=np.bool_)
    if start is not None:
        kept &= curve.times >= start
    if end is not None:
        kept &= curve.times < end
    return curve.at(kept)


def _few(series: Sequence[PointSeries]) -> Sequence[PointSeries]:
    points = sum(len(one.curve) for one in series)
    if points > MAX_ROWS:
        raise too_many(f"{points} points; an answer has at most {MAX_ROWS}")
    return series


def _steps_are_custom() -> InvalidInput:
    message = "nodes measure along time: only custom metrics have steps"
    violation = FieldViolation("x_axis", message, "STEPS_ARE_CUSTOM")
    return InvalidInput(message, reason="STEPS_ARE_CUSTOM", violations=(violation,))


def _fitting(
    fine: Sequence[tuple[RunRow, Answer]], start: int, resolution: int, widest: int | None
) -> tuple[list[RunAnswer], int]:
    """What each run used in buckets that are as wide as they have to be, and how wide that is.

    Args:
        fine: the same in fine ones.
        start: of the first bucket, or within it.
        resolution: the least width.
        widest: how wide they may become; None: as wide as they are.

    Raises:
        InvalidInput: it is too much all the same.
    """
    while True:
        first = start // resolution * resolution
        answers = [
            RunAnswer(run, Answer(first, resolution, _wider(one, resolution))) for run, one in fine
        ]
        points = sum(_points(one.answer.rollups) for one in answers)
        if points <= MAX_POINTS:
            return answers, resolution
        if widest is None or resolution > widest:
            raise too_many(f"{points} values; an answer has at most {MAX_POINTS}")
        resolution *= 2


def _wider(fine: Answer, resolution: int) -> dict[int, Rollup]:
    return {measured: merge([rollup], resolution) for measured, rollup in fine.rollups.items()}


def _points(rollups: Mapping[int, Rollup]) -> int:
    return sum(len(one.starts) * len(one.subjects) for one in rollups.values())


def _life(runs: Sequence[RunRow], created_at: int, now: int) -> tuple[int, int]:
    """From the start of its first run to the end of its last."""
    start = _start(runs[0]) if runs else created_at
    end = max((_end(run, now) for run in runs), default=now)
    return start, max(end, start + 1)


def _start(run: RunRow) -> int:
    return run.created_at if run.started_at is None else run.started_at


def _end(run: RunRow, now: int) -> int:
    # By our own clock, as the times of what nodes measure are.
    return now if run.end_noted_at is None else run.end_noted_at


def _gpus(run: RunRow) -> list[str]:
    return run.gpu_uuids.split(",") if run.gpu_uuids else []


def _series(run: RunRow, fields: frozenset[int] | None) -> int:
    return (len(_gpus(run)) + 1) * (len(NAMES) if fields is None else len(fields))
