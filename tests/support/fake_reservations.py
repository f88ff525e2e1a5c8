"""The part of the small control plane in memory that is about reservations."""

# ruff: noqa: N802 - gRPC methods are CamelCase

from typing import Any

from windlass.resources.v1 import reservation_pb2, resources_service_pb2

Reservation = reservation_pb2.Reservation


class FakeReservations:
    """Reservations of which all are to come."""

    state: Any

    async def enter(self, name: str, request: Any, context: Any) -> None:
        """As the service that this is a part of."""
        raise NotImplementedError

    async def CreateReservation(self, request: Any, context: Any) -> Reservation:
        await self.enter("CreateReservation", request, context)
        made = Reservation.FromString(request.reservation.SerializeToString())
        made.reservation_id = f"resv-{len(self.state.reservations) + 1}"
        made.status, made.user, made.etag = Reservation.PENDING, "ada", "1"
        made.project = made.project or ("" if made.maintenance else "default")
        made.next_start_time.CopyFrom(made.start_time)
        made.next_end_time.CopyFrom(made.end_time)
        part = made.parts.add(node_id="node-1", gpu_count=made.resources.gpu_count)
        part.gpu_type = made.resources.gpu_type
        self.state.reservations[made.reservation_id] = made
        return made

    async def GetReservation(self, request: Any, context: Any) -> Reservation:
        await self.enter("GetReservation", request, context)
        return self._one(request.reservation_id)

    async def ListReservations(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListReservationsResponse:
        await self.enter("ListReservations", request, context)
        found = self.state.reservations.values()
        return resources_service_pb2.ListReservationsResponse(reservations=found)

    async def UpdateReservation(self, request: Any, context: Any) -> Reservation:
        await self.enter("UpdateReservation", request, context)
        found = self._one(request.reservation.reservation_id)
        request.update_mask.MergeMessage(request.reservation, found, replace_repeated_field=True)
        return found

    async def CancelReservation(self, request: Any, context: Any) -> Reservation:
        await self.enter("CancelReservation", request, context)
        found = self._one(request.reservation_id)
        found.status = Reservation.CANCELLED
        return found

    def _one(self, reservation_id: str) -> Reservation:
        found: Reservation = self.state.reservations[reservation_id]
        return found
