"""The resources API: messages to calls and back."""

from windlass.resources.v1 import node_pb2, resources_service_pb2
from windlass_server.resources.node_message import node_message
from windlass_server.resources.service import NodeFilter, ResourcesService
from windlass_server.rpc.call import Call
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.timestamps import duration_from_proto, to_proto


class ResourcesRpc:
    """Servicer of `windlass.resources.v1.ResourcesService`."""

    def __init__(self, resources: ResourcesService, latest: LatestTelemetry) -> None:
        self._resources = resources
        self._latest = latest

    async def ListNodes(
        self, request: resources_service_pb2.ListNodesRequest, call: Call
    ) -> resources_service_pb2.ListNodesResponse:
        wanted = NodeFilter(status=request.status, gpu_type=request.gpu_type)
        views, token = await self._resources.list(
            call.caller, wanted, size=request.page_size, token=request.page_token
        )
        return resources_service_pb2.ListNodesResponse(
            nodes=[node_message(view, self._latest) for view in views], next_page_token=token
        )

    async def GetNode(
        self, request: resources_service_pb2.GetNodeRequest, call: Call
    ) -> node_pb2.Node:
        view = await self._resources.get(call.caller, request.node_id)
        return node_message(view, self._latest)

    async def CreateJoinToken(
        self, request: resources_service_pb2.CreateJoinTokenRequest, call: Call
    ) -> resources_service_pb2.JoinToken:
        lifetime = duration_from_proto(request.lifetime) if request.HasField("lifetime") else None
        token = await self._resources.create_join_token(call.caller, lifetime)
        return resources_service_pb2.JoinToken(
            token=token.text, expire_time=to_proto(token.expires_at)
        )
