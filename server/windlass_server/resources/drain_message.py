"""A drain of many nodes as the API shows it."""

from typing import Any

from windlass.resources.v1 import drain_pb2, node_pb2
from windlass_server.resources.drains import DrainView
from windlass_server.timestamps import to_proto


def drain_message(view: DrainView) -> drain_pb2.Drain:
    """The message."""
    row = view.row
    message = drain_pb2.Drain(
        drain_id=row.drain_id,
        status=drain_pb2.Drain.Status.Name(row.status),
        mode=node_pb2.Maintenance.DrainMode.Name(row.mode),
        reason=row.reason,
        max_unavailable=row.max_unavailable,
        afterwards=drain_pb2.Drain.Afterwards.Name(row.afterwards),
        user=row.user,
        create_time=to_proto(row.created_at),
        end_time=None if row.ended_at is None else to_proto(row.ended_at),
        nodes=[_node(one, view.left) for one in view.nodes or ()],
        node_count=view.waiting + view.draining + view.done,
        waiting_count=view.waiting,
        draining_count=view.draining,
        done_count=view.done,
    )
    if row.deadline is not None:
        message.deadline.FromMicroseconds(row.deadline)
    return message


def _node(one: Any, left: dict[str, int]) -> drain_pb2.DrainedNode:
    return drain_pb2.DrainedNode(
        node_id=one.node_id,
        name="" if one.removed_at is not None else one.name,
        state=drain_pb2.DrainedNode.State.Name(one.state),
        start_time=None if one.started_at is None else to_proto(one.started_at),
        end_time=None if one.ended_at is None else to_proto(one.ended_at),
        runs_left=left.get(one.node_id, 0),
    )
