"""The machines, and the tokens with which they join."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from windlass.resources.v1 import node_pb2, resources_service_pb2, resources_service_pb2_grpc
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
from windlass_client.quantities import parse_duration

Node = node_pb2.Node

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
LIST = unary(_Stub, lambda stub: stub.ListNodes, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetNode, idempotent=True)
CREATE_JOIN_TOKEN = unary(_Stub, lambda stub: stub.CreateJoinToken, idempotent=False)


class NodeCalls(Group):
    """Requests of the resources API."""

    @listing
    def list(
        self,
        *,
        status: "node_pb2.Node.Status | None" = None,
        gpu_type: str = "",
        page_size: int = 0,
    ) -> Pages[
        resources_service_pb2.ListNodesRequest,
        resources_service_pb2.ListNodesResponse,
        node_pb2.Node,
    ]:
        """Iterate over the nodes with their live values, oldest first."""
        request = resources_service_pb2.ListNodesRequest(
            status=status, gpu_type=gpu_type, page_size=page_size
        )
        return Pages(LIST, request, lambda page: page.nodes)

    @operation
    def get(self, node_id: str) -> Call[resources_service_pb2.GetNodeRequest, node_pb2.Node]:
        """Read a node with its live values. Raises NotFound."""
        return Call(GET, resources_service_pb2.GetNodeRequest(node_id=node_id))

    @operation
    def create_join_token(
        self, *, lifetime: timedelta | float | str | None = None
    ) -> Call[resources_service_pb2.CreateJoinTokenRequest, resources_service_pb2.JoinToken]:
        """Make a token with which one node can join once.

        Args:
            lifetime: seconds, a timedelta or such as "1h"; one hour by default, at most a week.
        """
        request = resources_service_pb2.CreateJoinTokenRequest()
        if lifetime is not None:
            request.lifetime.CopyFrom(Duration())
            request.lifetime.FromTimedelta(parse_duration(lifetime))
        return Call(CREATE_JOIN_TOKEN, request)


class Nodes(NodeCalls, SyncGroup):
    """The resources API, blocking."""


class AsyncNodes(NodeCalls, AsyncGroup):
    """The resources API for asyncio."""
