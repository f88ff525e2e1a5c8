"""What nodes have measured over time: authorise, load, show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from windlass.jobs.v1 import job_metrics_pb2
from windlass.resources.v1 import node_metrics_pb2
from windlass.types.v1 import metrics_pb2
from windlass_server.access.policy import ORGANISATION, Caller, absent, require, role_in
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.storage.engine import Database
from windlass_server.telemetry.fields import NAMES, RUN_ID
from windlass_server.telemetry.history import Answer, Question, TelemetryHistory
from windlass_server.telemetry.rollup import Floats
from windlass_server.timestamps import duration_from_proto, from_proto

_DEFAULT_SPAN = 3600 * MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for; empty values and None leave it to us. Times are in microseconds."""

    fields: Sequence[str]
    subjects: Sequence[str]
    start: int | None
    end: int | None
    resolution: int | None


def wanted_of(
    request: node_metrics_pb2.GetNodeMetricsRequest | job_metrics_pb2.GetJobMetricsRequest,
    subjects: Sequence[str] = (),
) -> Wanted:
    """What a request asks for, in the server's own units."""
    return Wanted(
        fields=request.field,
        subjects=subjects,
        start=from_proto(request.start_time) if request.HasField("start_time") else None,
        end=from_proto(request.end_time) if request.HasField("end_time") else None,
        resolution=(
            duration_from_proto(request.resolution) if request.HasField("resolution") else None
        ),
    )


class NodeMetrics:
    """Reads the past of nodes."""

    def __init__(self, database: Database, history: TelemetryHistory, clock: Clock) -> None:
        self._database = database
        self._history = history
        self._clock = clock

    async def get(self, who: Caller, node_id: str, wanted: Wanted) -> tuple[Question, Answer]:
        """What a node has measured, and what was asked in full.

        Raises:
            NotFound: there is no such node.
            InvalidInput: a field that nothing is measured of, no time, or too much of it.
        """
        require(who, "nodes.get", ORGANISATION)
        question = the_question(wanted, self._clock.now())
        if await self._database.read(lambda tx: tx.nodes.get(node_id)) is None:
            raise absent("node", node_id)
        answer = await self._history.ask(node_id, question)
        if who.organisation_role is not None:
            return question, answer
        return question, await self._readable(who, answer)

    async def _readable(self, who: Caller, answer: Answer) -> Answer:
        """Without what runs measured whose projects the caller may not read."""
        subjects = {name for one in answer.rollups.values() for name in one.subjects}
        run_ids = sorted(name for name in subjects if RUN_ID.fullmatch(name))
        if not run_ids:
            return answer
        projects = await self._database.read(lambda tx: tx.runs.projects_of(run_ids))
        seen = {name for name, project in projects.items() if role_in(who, project) is not None}
        kept = subjects - (set(run_ids) - seen)
        rollups = {field: one.of(kept) for field, one in answer.rollups.items()}
        return replace(answer, rollups=rollups)


def the_question(wanted: Wanted, now: int) -> Question:
    """What a request asks; InvalidInput when that is nothing."""
    fields = numbers_of(wanted.fields, NAMES)
    start, end = span_of(wanted, None, now)
    return Question(
        fields,
        frozenset(wanted.subjects) or None,
        start,
        end,
        wanted.resolution,
    )


def span_of(wanted: Wanted, start: int | None, end: int) -> tuple[int, int]:
    """The time that a request asks about.

    Args:
        wanted: the request.
        start: the beginning when it has none; None means an hour before its end.
        end: the end when it has none.

    Raises:
        InvalidInput: there is no such time.
    """
    end = end if wanted.end is None else wanted.end
    start = end - _DEFAULT_SPAN if start is None else start
    start = start if wanted.start is None else wanted.start
    if start < 0:
        raise _invalid("start_time", "start_time must be 1970 or later", "TIME_TOO_EARLY")
    if start >= end:
        raise _invalid("end_time", "end_time must be after start_time", "TIMES_REVERSED")
    return start, end


def numbers_of(fields: Sequence[str], names: Mapping[int, str]) -> frozenset[int] | None:
    """The numbers of fields by their names in any case; None when none is named, which means all.

    Raises:
        InvalidInput: one of them is no name of a field.
    """
    numbers = {name: number for number, name in names.items()}
    for place, name in enumerate(fields):
        if name.lower() not in numbers:
            known = ", ".join(sorted(numbers))
            message = f"nothing is measured by the name {name!r}; there are {known}"
            raise _invalid(f"field[{place}]", message, "FIELD_UNKNOWN")
    return frozenset(numbers[name.lower()] for name in fields) or None


def series_messages(
    node_id: str, answer: Answer, run_id: str = "", rank: int = 0
) -> Iterator[metrics_pb2.MetricSeries]:
    """A message for each field and thing that a node has measured, in the order of their names."""
    for measured, rollup in sorted(answer.rollups.items(), key=lambda item: NAMES.get(item[0], "")):
        name = NAMES.get(measured)
        if name is None:
            continue  # of a newer windlass
        seconds = (rollup.starts - answer.start) // MICROS_PER_SECOND
        columns = rollup.columns
        for place in np.argsort(rollup.subjects, kind="stable").tolist():
            there = columns.number[:, place] > 0
            if not there.any():
                continue
            number, total = columns.number[there, place], columns.total[there, place]
            yield metrics_pb2.MetricSeries(
                field=name,
                node_id=node_id,
                subject=rollup.subjects[place],
                run_id=run_id,
                rank=rank,
                offset_seconds=seconds[there].tolist(),
                mean=seven_digits(total / number),
                min=seven_digits(columns.low[there, place]),
                max=seven_digits(columns.high[there, place]),
                sum=seven_digits(total),
                count=number.tolist(),
                last=seven_digits(columns.last[there, place]),
            )


def seven_digits(values: Floats) -> list[float]:
    """The values as people write them: 0.1 and not what a float32 makes of it."""
    sizes = np.abs(values)
    digits = 6 - np.floor(np.log10(np.where(sizes > 0, sizes, 1.0)))
    up, down = 10.0 ** np.clip(digits, 0, 44), 10.0 ** np.clip(-digits, 0, 44)
    rounded: list[float] = (np.round(values / down * up) / up * down).tolist()
    return rounded


def _invalid(field: str, message: str, reason: str) -> InvalidInput:
    violation = FieldViolation(field, message, reason)
    return InvalidInput(message, reason=reason, violations=(violation,))
