"""The resources API: messages to calls and back."""

from windlass.resources.v1 import node_pb2, resources_service_pb2
from windlass_server.clock import Clock
from windlass_server.resources.maintenance import DrainMode
from windlass_server.resources.node_message import node_message
from windlass_server.resources.service import NodeFilter, NodeView, ResourcesService
from windlass_server.resources.upkeep import Drain, NodeUpkeep
from windlass_server.rpc.call import Call
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.timestamps import duration_from_proto, to_proto


class ResourcesRpc:
    """Servicer of `windlass.resources.v1.ResourcesService`."""

    def __init__(
        self,
        resources: ResourcesService,
        upkeep: NodeUpkeep,
        latest: LatestTelemetry,
        clock: Clock,
    ) -> None:
        self._resources = resources
        self._upkeep = upkeep
        self._latest = latest
        self._clock = clock

    async def ListNodes(
        self, request: resources_service_pb2.ListNodesRequest, call: Call
    ) -> resources_service_pb2.ListNodesResponse:
        wanted = NodeFilter(status=request.status, gpu_type=request.gpu_type)
        views, token = await self._resources.list(
            call.caller, wanted, size=request.page_size, token=request.page_token
        )
        return resources_service_pb2.ListNodesResponse(
            nodes=[self._message(view) for view in views], next_page_token=token
        )

    async def GetNode(
        self, request: resources_service_pb2.GetNodeRequest, call: Call
    ) -> node_pb2.Node:
        view = await self._resources.get(call.caller, request.node_id)
        return self._message(view)

    async def CordonNode(
        self, request: resources_service_pb2.CordonNodeRequest, call: Call
    ) -> node_pb2.Node:
        view = await self._upkeep.cordon(call.caller, request.node_id, request.reason)
        return self._message(view)

    async def UncordonNode(
        self, request: resources_service_pb2.UncordonNodeRequest, call: Call
    ) -> node_pb2.Node:
        return self._message(await self._upkeep.uncordon(call.caller, request.node_id))

    async def DrainNode(
        self, request: resources_service_pb2.DrainNodeRequest, call: Call
    ) -> node_pb2.Node:
        asked = Drain(
            mode=DrainMode(request.mode or DrainMode.WAIT),
            deadline=duration_from_proto(request.deadline)
            if request.HasField("deadline")
            else None,
            reason=request.reason,
        )
        return self._message(await self._upkeep.drain(call.caller, request.node_id, asked))

    def _message(self, view: NodeView) -> node_pb2.Node:
        return node_message(view, self._latest, self._clock.now())

    async def CreateJoinToken(
        self, request: resources_service_pb2.CreateJoinTokenRequest, call: Call
    ) -> resources_service_pb2.JoinToken:
        lifetime = duration_from_proto(request.lifetime) if request.HasField("lifetime") else None
        token = await self._resources.create_join_token(call.caller, lifetime)
        return resources_service_pb2.JoinToken(
            token=token.text, expire_time=to_proto(token.expires_at)
        )
