"""How projects and users stand to each other."""

from windlass.resources.v1 import (
    resources_service_pb2,
    resources_service_pb2_grpc,
    scheduling_policy_pb2,
)
from windlass_client.calls import AsyncGroup, Call, Group, SyncGroup, operation, unary

GET = unary(
    resources_service_pb2_grpc.ResourcesServiceStub, lambda stub: stub.GetShares, idempotent=True
)


class ShareCalls(Group):
    """Requests about shares."""

    @operation
    def get(
        self, *, queue: str = "", pool: str = ""
    ) -> Call[resources_service_pb2.GetSharesRequest, scheduling_policy_pb2.Shares]:
        """Read what projects and users had lately and have, and whose turn is next.

        Args:
            queue: by its rules; by default those of `default`.
            pool: and, where it has none, by those of this pool.
        """
        return Call(GET, resources_service_pb2.GetSharesRequest(queue=queue, pool=pool))


class Shares(ShareCalls, SyncGroup):
    """Shares, blocking."""


class AsyncShares(ShareCalls, AsyncGroup):
    """Shares for asyncio."""
