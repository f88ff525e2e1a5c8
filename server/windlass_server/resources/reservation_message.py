"""A reservation as the API shows it."""

from windlass.resources.v1 import reservation_pb2
from windlass_server.resources.reservations import ReservationView
from windlass_server.timestamps import to_proto


def reservation_message(view: ReservationView) -> reservation_pb2.Reservation:
    """The message."""
    row = view.row
    message = reservation_pb2.Reservation(
        reservation_id=row.reservation_id,
        status=reservation_pb2.Reservation.Status.Name(view.status),
        parts=[
            reservation_pb2.ReservedPart(
                node_id=part.node_id,
                cpu_millis=part.cpu_millis,
                memory_bytes=part.memory_bytes,
                gpu_count=part.gpu_count,
                gpu_type=part.gpu_type,
            )
            for part in view.parts
        ],
        user=row.user,
        create_time=to_proto(row.created_at),
        cancel_time=None if row.cancelled_at is None else to_proto(row.cancelled_at),
        etag=str(row.version),
        problem=view.problem,
    )
    if view.next is not None:
        message.next_start_time.CopyFrom(to_proto(view.next.start))
        message.next_end_time.CopyFrom(to_proto(view.next.end))
    message.MergeFrom(view.spec)
    return message
