"""What a queue says of jobs that are submitted to it: who may, what they get, and how large they may be. Pure."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from functools import lru_cache

from google.protobuf.duration_pb2 import Duration

from windlass.jobs.v1 import job_pb2, queue_pb2
from windlass_server.access.policy import Caller, role_in
from windlass_server.errors import Denied, FieldViolation, InvalidInput, NotFound, WrongState
from windlass_server.scheduler.queue_limits import Bounds
from windlass_server.scheduler.quota import Dimension
from windlass_server.scheduler.quota_words import amount_text
from windlass_server.scheduler.snapshot import WHOLE
from windlass_server.scheduler.wording import count_text
from windlass_server.storage.tables import QueueRow

Queue = queue_pb2.Queue

DEFAULT_QUEUE = "default"
_EXCEEDS = "EXCEEDS_QUEUE_LIMIT"
# Names that are near to one that there is not.
_SUGGESTED = 3


def said_of(queue: QueueRow) -> Queue:
    """What callers said of a queue, which is not to be changed."""
    return _read(bytes(queue.spec))


def running_bounds(said: Queue) -> Bounds:
    """How many of its jobs may have a place."""
    return _bounds(said.limits, "running_jobs")


def queued_bounds(said: Queue) -> Bounds:
    """How many jobs may wait in it."""
    return _bounds(said.limits, "queued_jobs")


def unknown(name: str, known: Collection[str]) -> NotFound:
    """The answer for a queue that there is not, with those whose names are near to it."""
    near = get_close_matches(name, sorted(known), _SUGGESTED)
    message = f"there is no queue {name!r}"
    if near:
        message += f"; did you mean {' or '.join(near)}?"
    near_names = ",".join(near)
    return NotFound(message, reason="QUEUE_NOT_FOUND", kind="queue", id=name, near=near_names)


def require_open(queue_id: str, said: Queue) -> None:
    """Raises WrongState (QUEUE_CLOSED) when a queue takes no more jobs."""
    if said.state == Queue.CLOSED:
        message = f"queue {queue_id} is closed: it takes no more jobs"
        raise WrongState(message, reason="QUEUE_CLOSED", subject=queue_id, queue=queue_id)


def require_allowed(queue_id: str, said: Queue, who: Caller, project: str) -> None:
    """Raises Denied (QUEUE_NOT_ALLOWED) when a caller may not submit jobs of a project to a queue."""
    if said.allowed_projects and project not in said.allowed_projects:
        whose = f"jobs of project {project!r}"
    elif said.allowed_users and who.user not in said.allowed_users:
        whose = f"jobs of user {who.user!r}"
    elif (role_in(who, project) or 0) < said.min_role:
        whose = "jobs of your role in the project"
    else:
        return
    message = f"queue {queue_id!r} is not for {whose}"
    raise Denied(message, reason="QUEUE_NOT_ALLOWED", queue=queue_id, project=project)


def in_queue(full: job_pb2.Job, given: Collection[str], said: Queue) -> job_pb2.Job:
    """A copy of a job with what its queue gives of what its caller did not.

    Args:
        full: the job, with what holds in every queue.
        given: the fields that its caller gave a value.
        said: of the queue.
    """
    job, defaults = job_pb2.Job(), said.defaults
    job.CopyFrom(full)
    if "priority" not in given:
        job.priority = defaults.priority
    if "preemptible" not in given and defaults.HasField("preemptible"):
        job.preemptible = defaults.preemptible
    job.pool = job.pool or defaults.pool
    if not job.HasField("retry") and defaults.HasField("retry"):
        job.retry.CopyFrom(defaults.retry)
    for limits in (defaults, said.limits):
        if not job.HasField("time_limit") and limits.HasField("time_limit"):
            job.time_limit.CopyFrom(limits.time_limit)
    return job


def require_within(queue_id: str, said: Queue, job: job_pb2.Job) -> None:
    """Refuse a job that is larger than those of a queue may be.

    Raises:
        InvalidInput: EXCEEDS_QUEUE_LIMIT, with a violation for each of its limits.
    """
    violations = tuple(_violations(queue_id, said.limits, job))
    if violations:
        raise InvalidInput(
            f"{violations[0].field} {violations[0].description}",
            reason=_EXCEEDS,
            violations=violations,
            queue=queue_id,
        )


def _violations(
    queue_id: str, limits: queue_pb2.QueueLimits, job: job_pb2.Job
) -> Sequence[FieldViolation]:
    found = []

    def refuse(field: str, asked: str, most: str) -> None:
        text = f"is {asked}, and queue {queue_id} allows {most} at most"
        found.append(FieldViolation(f"job.{field}", text, _EXCEEDS))

    if limits.HasField("time_limit") and _micros(job.time_limit) > _micros(limits.time_limit):
        refuse("time_limit", _text(job.time_limit), _text(limits.time_limit))
    nodes = max(job.nodes, 1)
    if limits.HasField("nodes_per_job") and nodes > limits.nodes_per_job:
        refuse("nodes", count_text(nodes, "node"), str(limits.nodes_per_job))
    share = job.resources.gpu_millis
    gpus = nodes * job.resources.gpu_count * (share or WHOLE)
    if limits.HasField("gpu_millis_per_job") and gpus > limits.gpu_millis_per_job:
        asked, most = (amount_text(one, Dimension.GPU) for one in (gpus, limits.gpu_millis_per_job))
        refuse("resources.gpu_millis" if share else "resources.gpu_count", asked, most)
    return found


def _bounds(limits: queue_pb2.QueueLimits, name: str) -> Bounds:
    in_all, per_user = (
        getattr(limits, one) if limits.HasField(one) else None for one in (name, f"{name}_per_user")
    )
    return Bounds(in_all, per_user)


def _micros(duration: Duration) -> int:
    return duration.ToMicroseconds()


def _text(duration: Duration) -> str:
    return duration.ToJsonString()


@lru_cache(maxsize=2048)
def _read(spec: bytes) -> Queue:
    return Queue.FromString(spec)
