"""Events as the contract shows them."""

from windlass.access.v1 import event_pb2 as pb
from windlass.jobs.v1.job_pb2 import Job
from windlass_server.storage.tables import EventRow
from windlass_server.timestamps import to_proto


def kind_of(object_id: str) -> str:
    """What sort of object has an id, such as `job`."""
    return object_id.partition("-")[0].partition("/")[0]


def event_message(row: EventRow) -> pb.Event:
    """The message."""
    kind = kind_of(row.object_id)
    known = kind == "job" and row.status in Job.Status.values()
    return pb.Event(
        sequence=row.sequence,
        kind=kind,
        object_id=row.object_id,
        project=row.project,
        time=to_proto(row.at),
        actor=row.actor,
        status=Job.Status.Name(row.status) if known else "",
        reason=row.reason,
        message=row.message,
        run_id=row.run_id,
    )
