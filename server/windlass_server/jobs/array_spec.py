"""What callers ask for when they ask for an array: with what they left out, or why it is refused."""

from windlass.jobs.v1 import job_array_pb2, job_pb2
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.jobs.array_rules import MAX_BYTES, MAX_COUNT, Indices


def indices_of(array: job_array_pb2.JobArray) -> Indices:
    """The indices of an array that `complete` has seen."""
    return Indices.parse(array.indices) if array.indices else Indices.first(array.count)


def array_count(full: job_pb2.Job) -> int:
    """How many indices a job has, with its defaults; 0 when it is no array."""
    return len(indices_of(full.array)) if full.HasField("array") else 0


def complete(array: job_array_pb2.JobArray) -> None:
    """Fill in what an array's caller left out, and say its indices in their shortest form.

    Raises:
        InvalidInput: ARRAY_INDICES_INVALID, they are none, or not less than its count.
    """
    if not array.indices:
        return
    try:
        indices = Indices.parse(array.indices)
    except ValueError as error:
        raise _invalid(str(error)) from None
    count = array.count or indices.last + 1
    if indices.last >= count or count > MAX_COUNT:
        most = array.count or MAX_COUNT
        raise _invalid(f"index {indices.last} is not less than {most}")
    array.count = count
    array.indices = "" if len(indices) == count else indices.text


def require_room(full: job_pb2.Job) -> None:
    """Refuse an array whose indices are more, as they are stored, than is kept of one.

    Raises:
        InvalidInput: ARRAY_TOO_LARGE.
    """
    count, size = array_count(full), full.ByteSize() - len(full.array.indices)
    if count * size <= MAX_BYTES:
        return
    message = (
        f"{count} indices of {size} bytes each are more than {MAX_BYTES} bytes: put what they have in "
        "common, such as a long command, into a file"
    )
    violation = FieldViolation("job.array", message, "ARRAY_TOO_LARGE")
    raise InvalidInput(message, reason="ARRAY_TOO_LARGE", violations=(violation,))


def _invalid(message: str) -> InvalidInput:
    violation = FieldViolation("job.array.indices", message, "ARRAY_INDICES_INVALID")
    return InvalidInput(message, reason="ARRAY_INDICES_INVALID", violations=(violation,))
