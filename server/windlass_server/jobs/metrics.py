"""What a job's runs used over time: authorise, load, cut out of what their nodes measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock
from windlass_server.resources.metrics import Wanted, numbers_of, span_of
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import RunRow
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
    """

    start: int
    end: int
    resolution: int
    runs: Sequence[RunAnswer]
    omitted: int = 0


class JobMetrics:
    """Reads what jobs used, of their runs here: what others do, their own clusters know."""

    def __init__(self, database: Database, history: TelemetryHistory, clock: Clock) -> None:
        self._database = database
        self._history = history
        self._clock = clock

    async def get(self, who: Caller, job_id: str, wanted: Wanted) -> JobAnswer:
        """What a job's runs used.

        Raises:
            NotFound: no such job, or foreign.
            InvalidInput: a field that nothing is measured of, no time, or too much of it.
        """
        job, runs = await self._database.read(
            lambda tx: (tx.jobs.get(job_id), tx.runs.of_job(job_id))
        )
        if job is None:
            raise absent("job", job_id)
        require_object(who, "jobs.get", job.project, kind="job", object_id=job_id)
        fields = numbers_of(wanted.fields, NAMES)
        now = self._clock.now()
        start, end = span_of(wanted, *_life(runs, job.created_at, now))
        resolution = resolution_for(end - start, wanted.resolution)
        there = [run for run in runs if _start(run) < end and _end(run, now) > start]
        held = there[-MAX_RUNS:]
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
        return JobAnswer(first, end, resolution, answers, len(there) - len(held))


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
