"""The part of the resources API that is about reservations: messages to calls and back."""

from windlass.resources.v1 import reservation_pb2, resources_service_pb2
from windlass_server.resources.reservation_message import reservation_message
from windlass_server.resources.reservations import ReservationsService
from windlass_server.rpc.call import Call


class ReservationsRpc:
    """What `windlass.resources.v1.ResourcesService` says of reservations."""

    def __init__(self, reservations: ReservationsService) -> None:
        self._reservations = reservations

    async def CreateReservation(
        self, request: resources_service_pb2.CreateReservationRequest, call: Call
    ) -> reservation_pb2.Reservation:
        return reservation_message(await self._reservations.create(call.caller, request))

    async def GetReservation(
        self, request: resources_service_pb2.GetReservationRequest, call: Call
    ) -> reservation_pb2.Reservation:
        return reservation_message(
            await self._reservations.get(call.caller, request.reservation_id)
        )

    async def ListReservations(
        self, request: resources_service_pb2.ListReservationsRequest, call: Call
    ) -> resources_service_pb2.ListReservationsResponse:
        found, token = await self._reservations.list(call.caller, request)
        return resources_service_pb2.ListReservationsResponse(
            reservations=map(reservation_message, found), next_page_token=token
        )

    async def UpdateReservation(
        self, request: resources_service_pb2.UpdateReservationRequest, call: Call
    ) -> reservation_pb2.Reservation:
        view = await self._reservations.update(
            call.caller, request.reservation, request.update_mask.paths
        )
        return reservation_message(view)

    async def CancelReservation(
        self, request: resources_service_pb2.CancelReservationRequest, call: Call
    ) -> reservation_pb2.Reservation:
        return reservation_message(
            await self._reservations.cancel(call.caller, request.reservation_id)
        )
