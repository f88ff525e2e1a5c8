"""The part of the resources API that is about drains of many nodes: messages to calls and back."""

from windlass.resources.v1 import drain_pb2, resources_service_pb2
from windlass_server.resources.drain_message import drain_message
from windlass_server.resources.drains import DrainsService
from windlass_server.rpc.call import Call


class DrainsRpc:
    """What `windlass.resources.v1.ResourcesService` says of drains of many nodes."""

    def __init__(self, drains: DrainsService) -> None:
        self._drains = drains

    async def DrainNodes(
        self, request: resources_service_pb2.DrainNodesRequest, call: Call
    ) -> drain_pb2.Drain:
        return drain_message(await self._drains.create(call.caller, request))

    async def ListDrains(
        self, request: resources_service_pb2.ListDrainsRequest, call: Call
    ) -> resources_service_pb2.ListDrainsResponse:
        found, token = await self._drains.list(
            call.caller,
            status=request.status,
            size=request.page_size,
            token=request.page_token,
        )
        return resources_service_pb2.ListDrainsResponse(
            drains=map(drain_message, found), next_page_token=token
        )

    async def GetDrain(
        self, request: resources_service_pb2.GetDrainRequest, call: Call
    ) -> drain_pb2.Drain:
        return drain_message(await self._drains.get(call.caller, request.drain_id))

    async def CancelDrain(
        self, request: resources_service_pb2.CancelDrainRequest, call: Call
    ) -> drain_pb2.Drain:
        return drain_message(await self._drains.cancel(call.caller, request.drain_id))
