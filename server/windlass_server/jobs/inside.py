"""Whether a job may run inside the reservation that it names, and ever could."""

from collections.abc import Sequence

from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import reservation_pb2
from windlass_server.access.policy import absent
from windlass_server.errors import Denied, FieldViolation, InvalidInput, WrongState
from windlass_server.resources.reserved import part_of
from windlass_server.resources.reserving import Part
from windlass_server.scheduler.rooms import gpu_key
from windlass_server.storage.transaction import Transaction

_FIELD = "job.reservation_id"


def require_inside(tx: Transaction, user: str, full: job_pb2.Job, now: int) -> None:
    """Do nothing when a job names no reservation, or one that it could run inside.

    Args:
        tx: a transaction.
        user: who submits it.
        full: the job, with its defaults.
        now: in microseconds since 1970.

    Raises:
        NotFound: there is no such reservation.
        Denied: RESERVATION_OF_OTHERS.
        WrongState: RESERVATION_ENDED.
        InvalidInput: UNSATISFIABLE_RESOURCES, it keeps less on each node than the job needs there, or too few nodes.
    """
    reservation_id = full.reservation_id
    if not reservation_id:
        return
    row = tx.reservations.get(reservation_id)
    if row is None:
        raise absent("reservation", reservation_id)
    users = reservation_pb2.Reservation.FromString(row.spec).users
    if row.project != full.project or user not in (users or {user}):
        message = f"reservation {reservation_id} is not for {user} in project {full.project}"
        raise Denied(message, reason="RESERVATION_OF_OTHERS", reservation_id=reservation_id)
    if row.cancelled_at is not None or (row.ends_at is not None and row.ends_at <= now):
        message = f"reservation {reservation_id} is over; nothing runs inside it any more"
        raise WrongState(message, reason="RESERVATION_ENDED", subject=reservation_id)
    parts = [part_of(each) for each in tx.reservations.parts([reservation_id])]
    _require_room(full, parts)


def _require_room(full: job_pb2.Job, parts: Sequence[Part]) -> None:
    able = sum(_holds(part, full) for part in parts)
    least = full.min_nodes or max(full.nodes, 1)
    if able >= least:
        return
    nodes = "one node" if least == 1 else f"{least} nodes"
    message = (
        f"reservation {full.reservation_id} keeps what the job needs of a node on {able} of "
        f"{len(parts)} nodes; it needs that on {nodes}"
    )
    reason = "UNSATISFIABLE_RESOURCES"
    violations = (FieldViolation(_FIELD, message, reason),)
    raise InvalidInput(message, reason=reason, violations=violations, dimension="reservation_id")


def _holds(part: Part, full: job_pb2.Job) -> bool:
    """Whether a part is enough for a node of a job."""
    asked = full.resources
    types = {gpu_key(one) for one in full.gpu_types or (asked.gpu_type,) if one}
    kind = gpu_key(part.gpu_type)
    if asked.mig_profile:
        of_kind = kind.endswith(gpu_key(f"-{asked.mig_profile}"))
    else:
        of_kind = not types or kind in types
    return (
        part.cpu_millis >= asked.cpu_millis
        and part.memory_bytes >= asked.memory_bytes
        and part.gpu_count * of_kind >= asked.gpu_count
    )
