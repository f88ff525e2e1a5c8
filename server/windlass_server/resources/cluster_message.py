"""A cluster as the API shows it."""

from windlass.resources.v1 import cluster_pb2
from windlass_server.resources.clusters import ClusterView
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
    return message
