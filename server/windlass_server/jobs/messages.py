"""Jobs from rows to messages."""

from windlass.jobs.v1 import job_array_pb2, job_pb2
from windlass_server.jobs.dependency_rules import Held
from windlass_server.jobs.effective_priority import inherited
from windlass_server.jobs.states import FINAL, Status
from windlass_server.storage.tables import EventRow, JobArrayRow, JobRow
from windlass_server.storage.tables.arrays import COUNTED


def to_proto(row: JobRow, array: JobArrayRow | None = None) -> job_pb2.Job:
    """A job on the wire: its stored spec, and the columns that changed since; of an array with how far it is."""
    job = job_pb2.Job.FromString(row.spec)
    job.job_id = row.job_id
    job.status = row.status  # type: ignore[assignment]
    job.status_reason = row.status_reason
    job.status_message = row.status_message
    job.user = row.user
    # Where it waits it may have been moved from where it was submitted to.
    job.queue = row.queue
    # Present also in specs from when 0 was written as nothing.
    job.priority = job.priority
    job.attempt = row.attempt
    _show_retries(job, row)
    job.nodes, job.min_nodes = row.nodes, row.min_nodes
    job.etag = f"{row.version:x}"
    _show_priority(job, row)
    _show_array(job, row, array)
    created = job.create_time
    created.seconds, created.nanos = _split(row.created_at)
    if row.exit_code is not None:
        job.exit_code = row.exit_code
    if row.exit_signal is not None:
        job.exit_signal = row.exit_signal
    if row.run_id:
        _show_placement(job, row)
    if row.started_at is not None:
        job.start_time.seconds, job.start_time.nanos = _split(row.started_at)
        job.isolation.MergeFromString(row.isolation)
    if row.checkpoint is not None:
        job.checkpoint.MergeFromString(row.checkpoint)
        job.checkpoint.state = job_pb2.Checkpoint.SAVED
    job.frozen = row.frozen and row.status == Status.SUSPENDED
    if row.ended_at is not None:
        job.end_time.seconds, job.end_time.nanos = _split(row.ended_at)
    return job


def array_status(row: JobRow, array: JobArrayRow) -> job_array_pb2.ArrayStatus:
    """How far an array is; what has no job yet waits, or has ended as the array has."""
    shown = job_array_pb2.ArrayStatus(total_count=array.total, parallel=array.parallel)
    for name in COUNTED:
        setattr(shown, f"{name}_count", getattr(array, name))
    ended = Status(row.status) if row.status in FINAL else Status.QUEUED
    field = f"{ended.name.lower()}_count"
    setattr(shown, field, getattr(shown, field) + array.total - array.created)
    return shown


def _show_array(job: job_pb2.Job, row: JobRow, array: JobArrayRow | None) -> None:
    if row.array_job_id is not None:
        job.array_job_id = row.array_job_id
        job.array_index = row.array_index or 0
    if array is not None:
        job.array_status.CopyFrom(array_status(row, array))
        # Both only rise.
        job.etag = f"{row.version + array.changes:x}"


def _show_retries(job: job_pb2.Job, row: JobRow) -> None:
    if row.status == Status.QUEUED and row.held == Held.TIME and row.retries:
        again = job.next_attempt_time
        again.seconds, again.nanos = _split(row.start_after)
    if row.retry_of is not None:
        job.retry_of, job.root_job_id = row.retry_of, row.root_job_id or row.retry_of


def _show_priority(job: job_pb2.Job, row: JobRow) -> None:
    if row.status == Status.QUEUED:
        served = inherited(row)
        job.effective_priority, job.priority_message = served.priority, served.message


def _show_placement(job: job_pb2.Job, row: JobRow) -> None:
    placement = job.placement
    if row.ranks is not None:
        job.MergeFromString(row.ranks)
        placement.CopyFrom(job.placements[0])
        return
    placement.run_id = row.run_id
    placement.node_id = row.node_id
    placement.cluster = row.cluster
    placement.remote_job_id = row.remote_job_id
    if row.gpu_uuids:
        placement.gpu_uuids.extend(row.gpu_uuids.split(","))


def _split(micros: int) -> tuple[int, int]:
    """Seconds and nanoseconds. Rows hold only times that a Timestamp can say."""
    seconds, rest = divmod(micros, 1_000_000)
    return seconds, rest * 1000


def event_to_proto(row: EventRow) -> job_pb2.JobEvent:
    event = job_pb2.JobEvent(
        sequence=row.sequence,
        job_id=row.object_id,
        actor=row.actor,
        status=row.status,  # type: ignore[arg-type]
        reason=row.reason,
        message=row.message,
        run_id=row.run_id,
    )
    event.time.seconds, event.time.nanos = _split(row.at)
    return event
