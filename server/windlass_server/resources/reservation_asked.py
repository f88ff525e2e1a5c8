"""What callers ask for of a reservation: its defaults, and whether it makes sense. Pure."""

from collections.abc import Sequence

from windlass.resources.v1 import reservation_pb2
from windlass_server.access.policy import Caller
from windlass_server.clock import MICROS_PER_SECOND
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.resources.reservation_times import BadRecurrence, Times
from windlass_server.resources.reserving import Wanted
from windlass_server.resources.update_mask import merged
from windlass_server.timestamps import from_proto, to_proto

CHANGEABLE = ("users", "start_time", "end_time", "reason")
"""What an update may change."""

OWN = ("project", "recurrence", "resources", "node_ids", "maintenance")
_LONGEST = 366 * 86_400 * MICROS_PER_SECOND
_FARTHEST = 10 * _LONGEST


def full(asked: reservation_pb2.Reservation, who: Caller, now: int) -> reservation_pb2.Reservation:
    """What is stored of what a caller asked for, with its defaults."""
    spec = merged(reservation_pb2.Reservation(), asked, (*CHANGEABLE, *OWN), (*CHANGEABLE, *OWN))
    timed(spec, now)
    if spec.maintenance:
        if spec.project or spec.users:
            text = "what is reserved for maintenance is for no project and no user"
            raise refused("maintenance", text, "MAINTENANCE_IS_FOR_NOBODY")
    else:
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


def require_same(
    before: reservation_pb2.Reservation, wanted: reservation_pb2.Reservation, mask: Sequence[str]
) -> None:
    """Do nothing unless an update without a mask says something else of what stays as it is."""
    given = {field.name for field, _ in wanted.ListFields()} if not mask else set[str]()
    names = [name for name in OWN if name in given]
    other = [name for name in names if getattr(wanted, name) != getattr(before, name)]
    if other:
        text = "cannot be changed; cancel the reservation and make another"
        violations = tuple(
            FieldViolation(f"reservation.{name}", text, "FIELD_NOT_CHANGEABLE") for name in other
        )
        message = f"cannot be changed: {', '.join(other)}; what can: {', '.join(CHANGEABLE)}"
        raise InvalidInput(message, reason="FIELD_NOT_CHANGEABLE", violations=violations)


def checked(times: Times, now: int) -> Times:
    """The same times; InvalidInput when they make no sense."""
    try:
        times.checked()
    except BadRecurrence as error:
        raise refused("recurrence", str(error), "BAD_RECURRENCE") from None
    if times.length <= 0:
        raise refused("end_time", "it ends before it begins", "TIMES_REVERSED")
    if times.length > _LONGEST or times.start > now + _FARTHEST:
        field = "end_time" if times.length > _LONGEST else "start_time"
        text = "it is at most a year long and begins within ten years"
        raise refused(field, text, "TOO_LONG_OR_TOO_FAR")
    if times.next(now) is None:
        raise refused("end_time", "its time is over", "RESERVATION_IN_THE_PAST")
    return times


def wanted_amounts(spec: reservation_pb2.Reservation) -> Wanted:
    """How much is to be reserved; InvalidInput when it is nothing, or said in two ways."""
    asked = spec.resources
    some = asked.gpu_count or asked.cpu_millis or asked.memory_bytes
    ways = bool(spec.node_ids) + bool(asked.node_count) + bool(some)
    if ways != 1:
        text = "one of node_ids, resources.node_count and amounts says what is reserved"
        raise refused("resources", text, "RESERVED_TWICE" if ways else "NOTHING_RESERVED")
    return Wanted(
        tuple(spec.node_ids),
        asked.node_count,
        asked.gpu_count,
        asked.gpu_type,
        asked.cpu_millis,
        asked.memory_bytes,
    )


def refused(field: str, text: str, reason: str) -> InvalidInput:
    """What is wrong with one field of a reservation."""
    violation = FieldViolation(f"reservation.{field}", text, reason)
    return InvalidInput(text, reason=reason, violations=(violation,))
