"""What callers ask for of a reservation: its defaults, and whether it makes sense. Pure."""

from collections.abc import Iterable, Iterator

from windlass.resources.v1 import reservation_pb2
from windlass_server.access.policy import Caller
from windlass_server.clock import MICROS_PER_SECOND
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.resources.reservation_times import BadRecurrence, Times
from windlass_server.resources.reserving import Wanted
from windlass_server.timestamps import from_proto, to_proto
from windlass_server.updates import merged

CHANGEABLE = ("users", "start_time", "end_time", "reason")
"""What an update may change."""

OWN = ("project", "recurrence", "resources", "node_ids", "maintenance")
"""What it is made with and keeps."""

_LONGEST = 366 * 86_400 * MICROS_PER_SECOND
_FARTHEST = 10 * _LONGEST


def full(asked: reservation_pb2.Reservation, who: Caller, now: int) -> reservation_pb2.Reservation:
    """What is stored of what a caller asked for, with its defaults."""
    spec = merged(reservation_pb2.Reservation(), asked, (*CHANGEABLE, *OWN), (*CHANGEABLE, *OWN))
    timed(spec, now)
    if not spec.maintenance:
        spec.project = spec.project or who.default_project
    if from_proto(spec.start_time) < now and not spec.HasField("recurrence"):
        # What is over of it was never kept. One that comes again is as long as it is said to be.
        spec.start_time.CopyFrom(to_proto(now))
    return spec


def timed(spec: reservation_pb2.Reservation, now: int) -> reservation_pb2.Reservation:
    """The same, which begins now when it does not say when."""
    if not spec.HasField("start_time"):
        spec.start_time.CopyFrom(to_proto(now))
    return spec


def checked(times: Times, now: int) -> Times:
    """The same times; InvalidInput, with all that is wrong, when they make no sense."""
    _require_none(_time_faults(times, now))
    return times


def sensible(spec: reservation_pb2.Reservation, times: Times, now: int) -> Wanted:
    """How much is to be reserved; InvalidInput, with all that is wrong, when it makes no sense."""
    _require_none([*_whom_faults(spec), *_time_faults(times, now), *_amount_faults(spec)])
    asked = spec.resources
    return Wanted(
        tuple(spec.node_ids),
        asked.node_count,
        asked.gpu_count,
        asked.gpu_type,
        asked.cpu_millis,
        asked.memory_bytes,
    )


def _whom_faults(spec: reservation_pb2.Reservation) -> Iterator[FieldViolation]:
    if spec.maintenance and (spec.project or spec.users):
        text = "what is reserved for maintenance is for no project and no user"
        yield _fault("maintenance", text, "MAINTENANCE_IS_FOR_NOBODY")


def _time_faults(times: Times, now: int) -> Iterator[FieldViolation]:
    sound = True
    try:
        times.checked()
    except BadRecurrence as error:
        sound = False
        yield _fault("recurrence", str(error), "BAD_RECURRENCE")
    text = "it is at most a year long and begins within ten years"
    if times.start > now + _FARTHEST:
        yield _fault("start_time", text, "TOO_LONG_OR_TOO_FAR")
    if times.length <= 0:
        yield _fault("end_time", "it ends before it begins", "TIMES_REVERSED")
    elif times.length > _LONGEST:
        yield _fault("end_time", text, "TOO_LONG_OR_TOO_FAR")
    elif sound and times.next(now) is None:
        yield _fault("end_time", "its time is over", "RESERVATION_IN_THE_PAST")


def _amount_faults(spec: reservation_pb2.Reservation) -> Iterator[FieldViolation]:
    asked = spec.resources
    some = asked.gpu_count or asked.cpu_millis or asked.memory_bytes
    ways = bool(spec.node_ids) + bool(asked.node_count) + bool(some)
    if ways != 1:
        text = "one of node_ids, resources.node_count and amounts says what is reserved"
        yield _fault("resources", text, "RESERVED_TWICE" if ways else "NOTHING_RESERVED")


def _require_none(faults: Iterable[FieldViolation]) -> None:
    violations = tuple(faults)
    if violations:
        message = "; ".join(dict.fromkeys(one.description for one in violations))
        raise InvalidInput(message, reason=violations[0].reason, violations=violations)


def _fault(field: str, text: str, reason: str) -> FieldViolation:
    return FieldViolation(f"reservation.{field}", text, reason)


def refused(field: str, text: str, reason: str) -> InvalidInput:
    """What is wrong with one field of a reservation."""
    return InvalidInput(text, reason=reason, violations=(_fault(field, text, reason),))
