"""The groups that nodes are in."""

from collections.abc import Mapping, Sequence

from windlass.resources.v1 import pool_pb2, resources_service_pb2, resources_service_pb2_grpc
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

Pool = pool_pb2.Pool

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
LIST = unary(_Stub, lambda stub: stub.ListPools, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetPool, idempotent=True)
# Sent once: a repeat would be told that it exists, was changed, or is gone.
CREATE = unary(_Stub, lambda stub: stub.CreatePool, idempotent=False)
UPDATE = unary(_Stub, lambda stub: stub.UpdatePool, idempotent=False)
DELETE = unary(_Stub, lambda stub: stub.DeletePool, idempotent=False)


def selector(
    *,
    labels: Mapping[str, str] | None = None,
    gpu_types: Sequence[str] = (),
    zones: Sequence[str] = (),
    clusters: Sequence[str] = (),
) -> pool_pb2.PoolSelector:
    """Which nodes a pool takes: those that meet everything that is asked for."""
    return pool_pb2.PoolSelector(
        labels=labels or {}, gpu_types=gpu_types, zones=zones, clusters=clusters
    )


class PoolCalls(Group):
    """Requests about pools."""

    @listing
    def list(
        self, *, page_size: int = 0
    ) -> Pages[
        resources_service_pb2.ListPoolsRequest, resources_service_pb2.ListPoolsResponse, Pool
    ]:
        """Iterate over the pools by name, with what they have and what of it is free."""
        request = resources_service_pb2.ListPoolsRequest(page_size=page_size)
        return Pages(LIST, request, lambda page: page.pools)

    @operation
    def get(self, pool_id: str) -> Call[resources_service_pb2.GetPoolRequest, Pool]:
        """Read a pool. Raises NotFound."""
        return Call(GET, resources_service_pb2.GetPoolRequest(pool_id=pool_id))

    @operation
    def create(
        self,
        pool_id: str,
        *,
        selector: pool_pb2.PoolSelector,
        description: str = "",
        priority: int = 0,
        cpu_overcommit: float = 1.0,
        memory_overcommit: float = 1.0,
        allowed_projects: Sequence[str] = (),
        share_gpus: bool = False,
        max_jobs_per_gpu: int = 0,
    ) -> Call[resources_service_pb2.CreatePoolRequest, Pool]:
        """Make a pool, which takes the nodes that it selects at once.

        Args:
            pool_id: its name.
            selector: which nodes it takes, as `selector` makes it.
            description: for people.
            priority: of several pools that a node matches the highest has it.
            cpu_overcommit: CPU to hand out, as a multiple of what there is, up to 16.
            memory_overcommit: the same of memory, up to 4.
            allowed_projects: who may use it; everybody by default.
            share_gpus: jobs may ask for shares of GPUs.
            max_jobs_per_gpu: the most on one GPU; by default as many as their shares add up to it.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidArgument: it selects nothing, or allows projects that there are not.
        """
        pool = Pool(
            pool_id=pool_id,
            selector=selector,
            description=description,
            priority=priority,
            overcommit=_overcommit(cpu_overcommit, memory_overcommit),
            allowed_projects=allowed_projects,
            sharing=_sharing(share_gpus, max_jobs_per_gpu)
            if share_gpus or max_jobs_per_gpu
            else None,
        )
        return Call(CREATE, resources_service_pb2.CreatePoolRequest(pool=pool))

    @operation
    def update(
        self,
        pool_id: str,
        *,
        selector: pool_pb2.PoolSelector | None = None,
        description: str | None = None,
        priority: int | None = None,
        overcommit: tuple[float, float] | None = None,
        allowed_projects: Sequence[str] | None = None,
        sharing: tuple[bool, int] | None = None,
        etag: str = "",
    ) -> Call[resources_service_pb2.UpdatePoolRequest, Pool]:
        """Change what is given of a pool; nodes go where they then belong.

        Args:
            pool_id: its name.
            selector: which nodes it takes.
            description: for people.
            priority: of several pools that a node matches the highest has it.
            overcommit: of CPU and of memory.
            allowed_projects: who may use it; none: everybody.
            sharing: whether jobs may share GPUs, and the most on one; 0: as many as fit.
            etag: as it was read; refused when somebody else changed it since.

        Raises:
            NotFound: there is none of that name.
            InvalidArgument: it would select nothing, or allow projects that there are not.
            Aborted: it is not as `etag` says.
        """
        request = resources_service_pb2.UpdatePoolRequest(
            pool=Pool(
                pool_id=pool_id,
                selector=selector,
                description=description or "",
                priority=priority or 0,
                overcommit=None if overcommit is None else _overcommit(*overcommit),
                allowed_projects=allowed_projects or (),
                sharing=None if sharing is None else _sharing(*sharing),
                etag=etag,
            )
        )
        given = {
            "selector": selector,
            "description": description,
            "priority": priority,
            "overcommit": overcommit,
            "allowed_projects": allowed_projects,
            "sharing": sharing,
        }
        request.update_mask.paths.extend(name for name, value in given.items() if value is not None)
        return Call(UPDATE, request)

    @operation
    def delete(
        self, pool_id: str, *, etag: str = ""
    ) -> Call[resources_service_pb2.DeletePoolRequest, Pool]:
        """Remove a pool; its nodes go to the others. Raises NotFound and FailedPrecondition."""
        request = resources_service_pb2.DeletePoolRequest(pool_id=pool_id, etag=etag)
        return Call(DELETE, request)


def _overcommit(cpu: float, memory: float) -> pool_pb2.Overcommit:
    return pool_pb2.Overcommit(cpu_ratio=cpu, memory_ratio=memory)


def _sharing(enabled: bool, most: int) -> pool_pb2.GpuSharing:
    return pool_pb2.GpuSharing(enabled=enabled, max_jobs_per_gpu=most)


class Pools(PoolCalls, SyncGroup):
    """Pools, blocking."""


class AsyncPools(PoolCalls, AsyncGroup):
    """Pools for asyncio."""
