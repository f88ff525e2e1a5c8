"""The part of the resources API that plays jobs in virtual time: messages to calls and back."""

from windlass.resources.v1 import resources_service_pb2
from windlass_server.resources.simulations import SimulationsService
from windlass_server.rpc.call import Call


class SimulationsRpc:
    """What `windlass.resources.v1.ResourcesService` says of simulations."""

    def __init__(self, simulations: SimulationsService) -> None:
        self._simulations = simulations

    async def Simulate(
        self, request: resources_service_pb2.SimulateRequest, call: Call
    ) -> resources_service_pb2.SimulateResponse:
        return await self._simulations.simulate(call.caller, request)
