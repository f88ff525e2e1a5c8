"""Parts of machines that are kept for somebody for a time to come."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp

from windlass.resources.v1 import (
    reservation_pb2,
    resources_service_pb2,
    resources_service_pb2_grpc,
)
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
from windlass_client.quantities import parse_bytes, parse_cpu_millis

Reservation = reservation_pb2.Reservation

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
# Sent once, unless its request_id makes it idempotent.
CREATE = unary(_Stub, lambda stub: stub.CreateReservation, idempotent=False)
GET = unary(_Stub, lambda stub: stub.GetReservation, idempotent=True)
LIST = unary(_Stub, lambda stub: stub.ListReservations, idempotent=True)
UPDATE = unary(_Stub, lambda stub: stub.UpdateReservation, idempotent=False)
CANCEL = unary(_Stub, lambda stub: stub.CancelReservation, idempotent=True)


def parse_status(name: str) -> reservation_pb2.Reservation.Status:
    """The status of a name in any case. Raises InvalidArgument."""
    known = [word for word, number in reservation_pb2.Reservation.Status.items() if number]
    if name.upper() not in known:
        raise InvalidArgument(f"{name!r} is not one of {', '.join(known)}", reason="BAD_STATUS")
    value = reservation_pb2.Reservation.Status.Value(name.upper())
    return cast("reservation_pb2.Reservation.Status", value)


class ReservationCalls(Group):
    """Requests about reservations."""

    @operation
    def create(
        self,
        start: datetime | None,
        end: datetime,
        *,
        project: str | None = None,
        users: Sequence[str] = (),
        gpus: int = 0,
        gpu_type: str = "",
        cpus: float | str = 0,
        memory: int | str = 0,
        node_count: int = 0,
        node_ids: Sequence[str] = (),
        maintenance: bool = False,
        cron: str = "",
        time_zone: str = "",
        until: datetime | None = None,
        reason: str = "",
        request_id: str = "",
    ) -> Call[resources_service_pb2.CreateReservationRequest, Reservation]:
        """Keep nodes, or amounts of them, for somebody.

        Args:
            start: when it begins; None: now. With `cron`: from when on.
            end: when it ends; with `cron` each time is as long as from `start` to this.
            project: whose jobs and allocations may use it, instead of the client's.
            users: of that project only these.
            gpus: GPUs in all.
            gpu_type: their type.
            cpus: cores in all; with GPUs their share of their nodes by default.
            memory: bytes in all, such as "64GiB"; the same.
            node_count: instead of amounts so many whole nodes.
            node_ids: instead of both these nodes.
            maintenance: it is for work on the machines, and for nobody.
            cron: when it comes again, such as `0 22 * * *`.
            time_zone: where these hours are meant; UTC by default.
            until: it does not begin then or later.
            reason: why, for people.
            request_id: makes the call idempotent.

        Raises:
            InvalidArgument: what makes no sense, or what the nodes do not have.
            NotFound: there is no such node or project.
            FailedPrecondition: too much of it is reserved at that time.
        """
        reservation = Reservation(
            project=("" if maintenance else self.project) if project is None else project,
            users=users,
            start_time=_time(start),
            end_time=_time(end),
            node_ids=node_ids,
            maintenance=maintenance,
            reason=reason,
        )
        amounts = reservation_pb2.ReservedResources(
            gpu_count=gpus,
            gpu_type=gpu_type,
            cpu_millis=parse_cpu_millis(cpus) if cpus else 0,
            memory_bytes=parse_bytes(memory) if memory else 0,
            node_count=node_count,
        )
        if amounts.ByteSize():
            reservation.resources.CopyFrom(amounts)
        if cron:
            reservation.recurrence.cron = cron
            reservation.recurrence.time_zone = time_zone
            if until is not None:
                reservation.recurrence.until.CopyFrom(Timestamp())
                reservation.recurrence.until.FromDatetime(until)
        request = resources_service_pb2.CreateReservationRequest(
            reservation=reservation, request_id=request_id
        )
        return Call(CREATE, request)

    @operation
    def get(
        self, reservation_id: str
    ) -> Call[resources_service_pb2.GetReservationRequest, Reservation]:
        """Read a reservation. Raises NotFound."""
        request = resources_service_pb2.GetReservationRequest(reservation_id=reservation_id)
        return Call(GET, request)

    @listing
    def list(
        self,
        *,
        status: "reservation_pb2.Reservation.Status | None" = None,
        project: str = "",
        node_id: str = "",
        page_size: int = 0,
    ) -> Pages[
        resources_service_pb2.ListReservationsRequest,
        resources_service_pb2.ListReservationsResponse,
        Reservation,
    ]:
        """Iterate over the reservations, newest first.

        Args:
            status: only those of this status.
            project: only those for this project.
            node_id: only those of a part of this node.
            page_size: reservations that are fetched at once.
        """
        request = resources_service_pb2.ListReservationsRequest(
            status=status, project=project, node_id=node_id, page_size=page_size
        )
        return Pages(LIST, request, lambda page: page.reservations)

    @operation
    def update(
        self,
        reservation_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        users: Sequence[str] | None = None,
        reason: str | None = None,
        etag: str = "",
    ) -> Call[resources_service_pb2.UpdateReservationRequest, Reservation]:
        """Change a reservation; None leaves a thing as it is.

        Raises:
            NotFound: there is none of that id.
            FailedPrecondition: it is over, has begun, or another has a part of it at the new time.
            Aborted: it is not as `etag` says.
        """
        changes = {"start_time": start, "end_time": end, "users": users, "reason": reason}
        request = resources_service_pb2.UpdateReservationRequest(
            reservation=Reservation(
                reservation_id=reservation_id,
                start_time=_time(start),
                end_time=_time(end),
                users=users or (),
                reason=reason or "",
                etag=etag,
            )
        )
        request.update_mask.paths.extend(
            name for name, value in changes.items() if value is not None
        )
        return Call(UPDATE, request)

    @operation
    def cancel(
        self, reservation_id: str
    ) -> Call[resources_service_pb2.CancelReservationRequest, Reservation]:
        """End a reservation now and for ever. Raises NotFound and FailedPrecondition."""
        request = resources_service_pb2.CancelReservationRequest(reservation_id=reservation_id)
        return Call(CANCEL, request)


class Reservations(ReservationCalls, SyncGroup):
    """Reservations, blocking."""


class AsyncReservations(ReservationCalls, AsyncGroup):
    """Reservations for asyncio."""


def _time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    time = Timestamp()
    time.FromDatetime(moment)
    return time
