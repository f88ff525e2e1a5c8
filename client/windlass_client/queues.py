"""The queues that jobs wait in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration

from windlass.access.v1 import access_pb2
from windlass.jobs.v1 import job_retry_pb2, queue_pb2, queues_service_pb2, queues_service_pb2_grpc
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Group,
    Pages,
    SyncGroup,
    listing,
    operation,
    unary,
)
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_duration, parse_gpu_millis

Queue = queue_pb2.Queue
QueueLimits = queue_pb2.QueueLimits
QueueDefaults = queue_pb2.QueueDefaults

_Stub = queues_service_pb2_grpc.QueuesServiceStub
LIST = unary(_Stub, lambda stub: stub.ListQueues, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetQueue, idempotent=True)
EVENTS = unary(_Stub, lambda stub: stub.ListQueueEvents, idempotent=True)
# Sent once: a repeat would be told that it exists, was changed, or is gone.
CREATE = unary(_Stub, lambda stub: stub.CreateQueue, idempotent=False)
UPDATE = unary(_Stub, lambda stub: stub.UpdateQueue, idempotent=False)
DELETE = unary(_Stub, lambda stub: stub.DeleteQueue, idempotent=False)

_MOST = 2**31 - 1


def parse_limits(texts: Iterable[str]) -> QueueLimits:
    """Limits such as `queued=500` and `gpus=8`, also several in one text with commas; `none` is none.

    The others are `running=20`, `queued-per-user=50`, `running-per-user=4`, `time=4h` and `nodes=2`.
    """
    return QueueLimits(**_parsed(texts, _LIMITS))


def parse_defaults(texts: Iterable[str]) -> QueueDefaults:
    """Defaults such as `priority=10`, `time=1h`, `pool=h100`, `preemptible=no` and `attempts=3`; as `parse_limits`."""
    return QueueDefaults(**_parsed(texts, _DEFAULTS))


class QueueCalls(Group):
    """Requests about queues."""

    @listing
    def list(
        self, *, page_size: int = 0
    ) -> Pages[queues_service_pb2.ListQueuesRequest, queues_service_pb2.ListQueuesResponse, Queue]:
        """Iterate over the queues by name, with what waits and runs in each."""
        request = queues_service_pb2.ListQueuesRequest(page_size=page_size)
        return Pages(LIST, request, lambda page: page.queues)

    @operation
    def get(self, queue_id: str) -> Call[queues_service_pb2.GetQueueRequest, Queue]:
        """Read a queue. Raises NotFound."""
        return Call(GET, queues_service_pb2.GetQueueRequest(queue_id=queue_id))

    @operation
    def create(
        self,
        queue_id: str,
        *,
        description: str = "",
        state: queue_pb2.Queue.State | None = None,
        limits: QueueLimits | None = None,
        defaults: QueueDefaults | None = None,
        allowed_projects: Sequence[str] = (),
        allowed_users: Sequence[str] = (),
        min_role: "access_pb2.Role | None" = None,
    ) -> Call[queues_service_pb2.CreateQueueRequest, Queue]:
        """Make a queue.

        Args:
            queue_id: its name.
            description: for people.
            state: `Queue.PAUSED`: it takes jobs and starts none; `Queue.CLOSED`: it takes none; open by default.
            limits: what there may be at once, and how large a job may be.
            defaults: what a job gets that it does not say itself.
            allowed_projects: only jobs of these; of all by default.
            allowed_users: only jobs that these submit; all by default.
            min_role: only jobs of callers with this role in their project, or a higher one.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidArgument: it names what there is not, or contradicts itself.
        """
        queue = Queue(
            queue_id=queue_id,
            description=description,
            state=state,
            limits=limits,
            defaults=defaults,
            allowed_projects=allowed_projects,
            allowed_users=allowed_users,
            min_role=min_role,
        )
        return Call(CREATE, queues_service_pb2.CreateQueueRequest(queue=queue))

    @operation
    def update(
        self, queue: Queue, fields: Sequence[str]
    ) -> Call[queues_service_pb2.UpdateQueueRequest, Queue]:
        """Change a queue at once; what is there already stays.

        Args:
            queue: its name, what shall be different, and its etag if nobody else may have been first.
            fields: of `description`, `state`, `limits`, `defaults`, `allowed_projects`, `allowed_users` and `min_role`
                those to change.

        Raises:
            NotFound: there is none of that name.
            InvalidArgument: as for `create`.
            Aborted: it is not as the etag says.
        """
        request = queues_service_pb2.UpdateQueueRequest(queue=queue)
        request.update_mask.paths.extend(fields)
        return Call(UPDATE, request)

    @operation
    def delete(
        self, queue_id: str, *, move_to: str = "", etag: str = ""
    ) -> Call[queues_service_pb2.DeleteQueueRequest, Queue]:
        """Remove a queue; answers it as it was.

        Args:
            queue_id: its name.
            move_to: the queue that its jobs go to which have not ended; without it there must be none.
            etag: only when it is as this says.

        Raises:
            NotFound: there is no such queue.
            FailedPrecondition: it is `default`, or jobs of it have not ended.
            Aborted: it is not as the etag says.
        """
        request = queues_service_pb2.DeleteQueueRequest(
            queue_id=queue_id, move_to=move_to, etag=etag
        )
        return Call(DELETE, request)

    @listing
    def events(
        self, queue_id: str, *, page_size: int = 0
    ) -> Pages[
        queues_service_pb2.ListQueueEventsRequest,
        queues_service_pb2.ListQueueEventsResponse,
        queue_pb2.QueueEvent,
    ]:
        """Iterate over who changed what of a queue, oldest first; also of one that is gone. Raises NotFound."""
        request = queues_service_pb2.ListQueueEventsRequest(queue_id=queue_id, page_size=page_size)
        return Pages(EVENTS, request, lambda page: page.events)


class Queues(QueueCalls, SyncGroup):
    """Queues, blocking."""


class AsyncQueues(QueueCalls, AsyncGroup):
    """Queues for asyncio."""


def _parsed(
    texts: Iterable[str], known: Mapping[str, tuple[str, Callable[[str], Any]]]
) -> dict[str, Any]:
    """The values by their fields; `none` is none."""
    found: dict[str, Any] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, separator, value = part.partition("=")
        if part == "none":
            continue
        if not separator or name not in known:
            names = ", ".join(f"{one}=…" for one in known)
            raise InvalidArgument(f"{part!r} is not one of {names}, none", reason="BAD_AMOUNT")
        field, parse = known[name]
        found[field] = parse(value)
    return found


def _number(text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    if not digits.isascii() or not digits.isdigit() or int(digits) > _MOST:
        raise InvalidArgument(f"{text!r} is not a number up to {_MOST}", reason="BAD_COUNT")
    return sign * int(digits)


def _time(text: str) -> Duration:
    duration = Duration()
    duration.FromTimedelta(parse_duration(text))
    return duration


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise InvalidArgument(f"{text!r} is neither yes nor no", reason="BAD_AMOUNT")
    return text == "yes"


_LIMITS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "queued": ("queued_jobs", _number),
    "running": ("running_jobs", _number),
    "queued-per-user": ("queued_jobs_per_user", _number),
    "running-per-user": ("running_jobs_per_user", _number),
    "time": ("time_limit", _time),
    "nodes": ("nodes_per_job", _number),
    "gpus": ("gpu_millis_per_job", parse_gpu_millis),
}
_DEFAULTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "priority": ("priority", _number),
    "time": ("time_limit", _time),
    "pool": ("pool", str),
    "preemptible": ("preemptible", _yes),
    "attempts": ("retry", lambda text: job_retry_pb2.RetryPolicy(max_attempts=_number(text))),
}
