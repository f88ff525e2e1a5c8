"""The places that machines belong to."""

from collections.abc import Sequence

from windlass.resources.v1 import (
    cluster_pb2,
    remote_cluster_pb2,
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

Cluster = cluster_pb2.Cluster
RemoteSettings = remote_cluster_pb2.RemoteSettings

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
LIST = unary(_Stub, lambda stub: stub.ListClusters, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetCluster, idempotent=True)
# Sent once: a repeat would be told that it exists, was changed, or is gone.
CREATE = unary(_Stub, lambda stub: stub.CreateCluster, idempotent=False)
UPDATE = unary(_Stub, lambda stub: stub.UpdateCluster, idempotent=False)
DELETE = unary(_Stub, lambda stub: stub.DeleteCluster, idempotent=False)


class ClusterCalls(Group):
    """Requests about clusters."""

    @listing
    def list(
        self, *, page_size: int = 0
    ) -> Pages[
        resources_service_pb2.ListClustersRequest,
        resources_service_pb2.ListClustersResponse,
        Cluster,
    ]:
        """Iterate over the clusters by name, with what their nodes have."""
        request = resources_service_pb2.ListClustersRequest(page_size=page_size)
        return Pages(LIST, request, lambda page: page.clusters)

    @operation
    def get(self, cluster_id: str) -> Call[resources_service_pb2.GetClusterRequest, Cluster]:
        """Read a cluster. Raises NotFound."""
        return Call(GET, resources_service_pb2.GetClusterRequest(cluster_id=cluster_id))

    @operation
    def create(
        self, cluster_id: str, *, description: str = ""
    ) -> Call[resources_service_pb2.CreateClusterRequest, Cluster]:
        """Make a cluster, which nodes can then join. Raises AlreadyExists."""
        cluster = Cluster(cluster_id=cluster_id, description=description)
        return Call(CREATE, resources_service_pb2.CreateClusterRequest(cluster=cluster))

    @operation
    def update(
        self, cluster_id: str, *, description: str, etag: str = ""
    ) -> Call[resources_service_pb2.UpdateClusterRequest, Cluster]:
        """Change what a cluster is said to be.

        Args:
            cluster_id: its name.
            description: for people.
            etag: as it was read; refused when somebody else changed it since.

        Raises:
            NotFound: there is none of that name.
            Aborted: it is not as `etag` says.
        """
        request = resources_service_pb2.UpdateClusterRequest(
            cluster=Cluster(cluster_id=cluster_id, description=description, etag=etag)
        )
        request.update_mask.paths.append("description")
        return Call(UPDATE, request)

    @operation
    def register(
        self, cluster_id: str, settings: RemoteSettings, *, description: str = ""
    ) -> Call[resources_service_pb2.CreateClusterRequest, Cluster]:
        """Let another installation take jobs of this one.

        Args:
            cluster_id: the name that it gets here.
            settings: how it is reached, with its API key, and which jobs it takes.
            description: for people.

        Raises:
            AlreadyExists: there is a cluster of that name.
            InvalidArgument: the settings contradict themselves.
        """
        cluster = Cluster(
            cluster_id=cluster_id, description=description, kind=Cluster.REMOTE, remote=settings
        )
        return Call(CREATE, resources_service_pb2.CreateClusterRequest(cluster=cluster))

    @operation
    def configure(
        self,
        cluster_id: str,
        settings: RemoteSettings,
        fields: Sequence[str] = (),
        *,
        etag: str = "",
    ) -> Call[resources_service_pb2.UpdateClusterRequest, Cluster]:
        """Change how another installation is reached, or which jobs it takes.

        Args:
            cluster_id: its name here.
            settings: what shall be different.
            fields: the names of the fields to change; none: those that `settings` has values for.
            etag: as it was read; refused when somebody else changed it since.

        Raises:
            NotFound: there is none of that name.
            InvalidArgument: the settings contradict themselves, or its key must be given again.
            FailedPrecondition: it has jobs, which a change of `project` would leave behind.
            Aborted: it is not as `etag` says.
        """
        request = resources_service_pb2.UpdateClusterRequest(
            cluster=Cluster(cluster_id=cluster_id, etag=etag, remote=settings)
        )
        named = fields or [field.name for field, _ in settings.ListFields()]
        request.update_mask.paths.extend(f"remote.{name}" for name in named)
        return Call(UPDATE, request)

    @operation
    def delete(
        self, cluster_id: str, *, etag: str = ""
    ) -> Call[resources_service_pb2.DeleteClusterRequest, Cluster]:
        """Remove a cluster that has no nodes and no jobs. Raises NotFound and FailedPrecondition."""
        request = resources_service_pb2.DeleteClusterRequest(cluster_id=cluster_id, etag=etag)
        return Call(DELETE, request)


class Clusters(ClusterCalls, SyncGroup):
    """Clusters, blocking."""


class AsyncClusters(ClusterCalls, AsyncGroup):
    """Clusters for asyncio."""
