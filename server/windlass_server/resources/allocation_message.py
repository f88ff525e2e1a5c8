"""An allocation as the API shows it."""

from windlass.resources.v1 import allocation_pb2
from windlass.types.v1 import topology_pb2, types_pb2
from windlass_server.storage.tables import AllocationRow
from windlass_server.timestamps import to_proto


def allocation_message(row: AllocationRow) -> allocation_pb2.Allocation:
    """The message."""
    uuids = row.gpu_uuids.split(",") if row.gpu_uuids else []
    message = allocation_pb2.Allocation(
        allocation_id=row.allocation_id,
        project=row.project,
        user=row.user,
        status=allocation_pb2.Allocation.Status.Name(row.status),
        status_reason=row.status_reason,
        status_message=row.status_message,
        node_id=row.node_id,
        resources=types_pb2.ResourceRequest(
            cpu_millis=row.cpu_millis,
            memory_bytes=row.memory_bytes,
            gpu_count=len(uuids),
            gpu_type=row.gpu_type,
            mig_profile=row.mig_profile,
            gpu_memory_bytes=row.gpu_memory_bytes,
            gpu_millis=row.gpu_millis,
        ),
        gpu_uuids=uuids,
        exclusive_node=row.exclusive,
        topology_level=topology_pb2.Topology.Level.Name(row.topology_level),
        fencing_token=row.sequence,
        create_time=to_proto(row.created_at),
        expire_time=to_proto(row.expires_at),
    )
    message.ttl.FromMicroseconds(row.ttl)
    if row.ended_at is not None:
        message.end_time.CopyFrom(to_proto(row.ended_at))
    return message
