"""A cluster as the API shows it."""

from windlass.resources.v1 import cluster_pb2, node_pb2, remote_cluster_pb2
from windlass_server.resources.clusters import ClusterView
from windlass_server.resources.remote_clusters import totals
from windlass_server.storage.tables import RemoteClusterRow
from windlass_server.timestamps import to_proto


def cluster_message(view: ClusterView) -> cluster_pb2.Cluster:
    """The message."""
    message = cluster_pb2.Cluster(
        cluster_id=view.row.cluster_id,
        kind=cluster_pb2.Cluster.Kind.Name(view.row.kind),
        create_time=to_proto(view.row.created_at),
        update_time=to_proto(view.row.updated_at),
        node_count=view.totals.nodes,
        connected_node_count=view.totals.connected,
        capacity=view.totals.capacity,
        allocated=view.totals.allocated,
        etag=str(view.row.version),
    )
    message.MergeFrom(view.spec)
    if view.remote is not None:
        _add_remote(message, view.remote, view.remote_jobs)
    return message


def _add_remote(message: cluster_pb2.Cluster, remote: RemoteClusterRow, jobs: int) -> None:
    """Fill in what another installation has last said of itself."""
    nodes, capacity, available = totals(remote.nodes)
    message.node_count = len(nodes)
    message.connected_node_count = sum(node.status != node_pb2.Node.UNREACHABLE for node in nodes)
    message.capacity.CopyFrom(capacity)
    message.allocated.cpu_millis = max(0, capacity.cpu_millis - available.cpu_millis)
    message.allocated.memory_bytes = max(0, capacity.memory_bytes - available.memory_bytes)
    message.allocated.gpu_count = max(0, capacity.gpu_count - available.gpu_count)
    status = message.remote_status
    status.state = remote_cluster_pb2.RemoteStatus.State.Name(remote.state)  # type: ignore[assignment]
    status.message = remote.state_message
    status.state_time.CopyFrom(to_proto(remote.state_at))
    status.version = remote.remote_version
    status.job_count = jobs
    status.available.CopyFrom(available)
    if remote.contacted_at is not None:
        status.last_contact_time.CopyFrom(to_proto(remote.contacted_at))
