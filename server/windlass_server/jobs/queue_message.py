"""A queue as the API shows it: what was said of it, and what there is in it."""

from windlass.jobs.v1 import queue_pb2
from windlass_server.access.policy import ORGANISATION, Caller, may, role_in
from windlass_server.jobs.queue_rules import said_of
from windlass_server.jobs.queues import QueueView
from windlass_server.storage.tables import EventRow
from windlass_server.timestamps import to_proto


def queue_message(view: QueueView, who: Caller) -> queue_pb2.Queue:
    """The message, as a caller may see it."""
    said = said_of(view.row)
    message = queue_pb2.Queue(
        queue_id=view.row.queue_id,
        restricted=bool(said.allowed_projects or said.allowed_users or said.min_role),
        queued_jobs=view.queued,
        running_jobs=view.running,
        create_time=to_proto(view.row.created_at),
        update_time=to_proto(view.row.updated_at),
        etag=str(view.row.version),
    )
    message.MergeFrom(said)
    message.state = said.state or queue_pb2.Queue.OPEN
    if not may(who, "queues.update", ORGANISATION):
        projects = [one for one in said.allowed_projects if role_in(who, one) is not None]
        message.allowed_projects[:] = projects
        message.allowed_users[:] = [one for one in said.allowed_users if one == who.user]
    return message


def queue_event_message(row: EventRow, queue_id: str) -> queue_pb2.QueueEvent:
    """What happened to a queue once."""
    return queue_pb2.QueueEvent(
        sequence=row.sequence,
        queue_id=queue_id,
        time=to_proto(row.at),
        actor=row.actor,
        reason=row.reason,
        message=row.message,
    )
