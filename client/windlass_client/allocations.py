"""Parts of nodes that are held for a time, without a job."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from windlass.resources.v1 import (
    allocation_pb2,
    resources_service_pb2,
    resources_service_pb2_grpc,
)
from windlass.types.v1 import topology_pb2, types_pb2
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
from windlass_client.quantities import (
    parse_bytes,
    parse_cpu_millis,
    parse_duration,
    parse_gpu_share,
)

Allocation = allocation_pb2.Allocation
Level = topology_pb2.Topology.Level

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
# Allocate always carries a request_id; a repeated renewal or release means the same.
ALLOCATE = unary(_Stub, lambda stub: stub.Allocate, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetAllocation, idempotent=True)
LIST = unary(_Stub, lambda stub: stub.ListAllocations, idempotent=True)
RENEW = unary(_Stub, lambda stub: stub.RenewAllocation, idempotent=True)
RELEASE = unary(_Stub, lambda stub: stub.ReleaseAllocation, idempotent=True)


class AllocationCalls(Group):
    """Requests about allocations."""

    @operation
    def create(
        self,
        *,
        gpus: int = 0,
        gpu_type: str = "",
        gpu_profile: str = "",
        gpu_memory: int | str = 0,
        gpu_share: float | str = 0,
        cpus: float | str | None = None,
        memory: int | str | None = None,
        exclusive_node: bool = False,
        zones: Sequence[str] = (),
        pool: str = "",
        racks: Sequence[str] = (),
        blocks: Sequence[str] = (),
        required: "Level | None" = None,
        preferred: "Level | None" = None,
        near: str = "",
        ttl: timedelta | float | str | None = None,
        project: str | None = None,
        request_id: str | None = None,
    ) -> Call[resources_service_pb2.AllocateRequest, Allocation]:
        """Take a part of a node, whole or not at all. Renew it before its `expire_time`.

        Args:
            gpus: GPUs, whole ones unless a kind is said.
            gpu_type: such as "H100"; any by default.
            gpu_profile: instances of divided cards instead of whole ones, of this MIG profile, such as
                "1g.10gb"; one of them if `gpus` says nothing.
            gpu_memory: bytes or such as "20GiB" that each GPU has at least: the smallest that do, whole
                cards or instances; one if `gpus` says nothing.
            gpu_share: instead of whole GPUs a share of one that others use too, such as 0.25.
            cpus: cores, such as 1.5 or "500m"; one by default.
            memory: bytes, or such as "4GiB"; 256 MiB by default.
            exclusive_node: only a node that is empty, which is then held whole.
            zones: only nodes whose label `zone` is one of these.
            pool: only nodes of this pool; of any that the project may use by default.
            racks: only nodes whose label `rack` is one of these.
            blocks: only nodes whose label `block` is one of these.
            required: within one domain of this level, such as `Level.NVLINK`, or nothing.
            preferred: within one domain of this level where that can be had.
            near: an allocation whose domain of that level it shall be.
            ttl: seconds, a timedelta or such as "1h"; ten minutes by default.
            project: instead of the client's.
            request_id: makes a repeat by yourself harmless; made up by default.

        Raises:
            InvalidArgument: no node could ever give so much.
            FailedPrecondition: that to which it shall be near is held no longer.
            Aborted: none can now.
        """
        request = resources_service_pb2.AllocateRequest(
            project=self.project if project is None else project,
            resources=types_pb2.ResourceRequest(
                cpu_millis=0 if cpus is None else parse_cpu_millis(cpus),
                memory_bytes=0 if memory is None else parse_bytes(memory),
                gpu_count=gpus,
                gpu_type=gpu_type,
                mig_profile=gpu_profile,
                gpu_memory_bytes=parse_bytes(gpu_memory),
                gpu_millis=parse_gpu_share(gpu_share),
            ),
            constraints=allocation_pb2.AllocationConstraints(
                exclusive_node=exclusive_node,
                zones=zones,
                pool=pool,
                racks=racks,
                blocks=blocks,
                topology=_topology(required, preferred, near),
            ),
            ttl=_duration(ttl),
            request_id=request_id or uuid.uuid4().hex,
        )
        return Call(ALLOCATE, request)

    @operation
    def get(
        self, allocation_id: str
    ) -> Call[resources_service_pb2.GetAllocationRequest, Allocation]:
        """Read an allocation. Raises NotFound."""
        request = resources_service_pb2.GetAllocationRequest(allocation_id=allocation_id)
        return Call(GET, request)

    @listing
    def list(
        self,
        *,
        status: "Allocation.Status | None" = None,
        node_id: str = "",
        user: str = "",
        project: str | None = None,
        page_size: int = 0,
    ) -> Pages[
        resources_service_pb2.ListAllocationsRequest,
        resources_service_pb2.ListAllocationsResponse,
        Allocation,
    ]:
        """Iterate over the allocations of a project, newest first."""
        request = resources_service_pb2.ListAllocationsRequest(
            project=self.project if project is None else project,
            status=status,
            node_id=node_id,
            user=user,
            page_size=page_size,
        )
        return Pages(LIST, request, lambda page: page.allocations)

    @operation
    def renew(
        self, allocation_id: str, *, ttl: timedelta | float | str | None = None
    ) -> Call[resources_service_pb2.RenewAllocationRequest, Allocation]:
        """Give an allocation its time anew, by default as long as before.

        Raises:
            FailedPrecondition: it is held no longer.
        """
        request = resources_service_pb2.RenewAllocationRequest(
            allocation_id=allocation_id, ttl=_duration(ttl)
        )
        return Call(RENEW, request)

    @operation
    def release(
        self, allocation_id: str, *, force: bool = False
    ) -> Call[resources_service_pb2.ReleaseAllocationRequest, Allocation]:
        """Give an allocation back; `force`: also one of somebody else, as an administrator."""
        request = resources_service_pb2.ReleaseAllocationRequest(
            allocation_id=allocation_id, force=force
        )
        return Call(RELEASE, request)


def _topology(
    required: "Level | None", preferred: "Level | None", near: str
) -> topology_pb2.Topology | None:
    if not (required or preferred or near):
        return None
    return topology_pb2.Topology(required=required, preferred=preferred, near_allocation_id=near)


def _duration(span: timedelta | float | str | None) -> Duration | None:
    if span is None:
        return None
    message = Duration()
    message.FromTimedelta(parse_duration(span))
    return message


class Allocations(AllocationCalls, SyncGroup):
    """Allocations, blocking."""


class AsyncAllocations(AllocationCalls, AsyncGroup):
    """Allocations for asyncio."""
