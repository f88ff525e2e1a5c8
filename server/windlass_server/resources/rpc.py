"""The resources API: messages to calls and back."""

from windlass.resources.v1 import (
    allocation_pb2,
    cluster_pb2,
    node_pb2,
    pool_pb2,
    resources_service_pb2,
)
from windlass_server.clock import Clock
from windlass_server.resources.allocation_message import allocation_message
from windlass_server.resources.allocations import AllocationsService
from windlass_server.resources.cluster_message import cluster_message
from windlass_server.resources.clusters import ClustersService
from windlass_server.resources.drains import DrainsService
from windlass_server.resources.drains_rpc import DrainsRpc
from windlass_server.resources.live import LiveTelemetry
from windlass_server.resources.maintenance import DrainMode
from windlass_server.resources.metrics import NodeMetrics
from windlass_server.resources.metrics_rpc import MetricsRpc
from windlass_server.resources.node_lists import NodeLists
from windlass_server.resources.node_message import event_message, node_message
from windlass_server.resources.pool_message import pool_message
from windlass_server.resources.pools import PoolsService, PoolView
from windlass_server.resources.prices import PricesService
from windlass_server.resources.removal import NodeRemoval
from windlass_server.resources.reservations import ReservationsService
from windlass_server.resources.reservations_rpc import ReservationsRpc
from windlass_server.resources.scheduling_policies import SchedulingPoliciesService
from windlass_server.resources.scheduling_policies_rpc import SchedulingPoliciesRpc
from windlass_server.resources.service import NodeFilter, NodeView, ResourcesService, label_of
from windlass_server.resources.shares import SharesService
from windlass_server.resources.simulations import SimulationsService
from windlass_server.resources.simulations_rpc import SimulationsRpc
from windlass_server.resources.upkeep import Drain, NodeUpkeep
from windlass_server.resources.usage import UsageService
from windlass_server.resources.usage_rpc import UsageRpc
from windlass_server.rpc.call import Call
from windlass_server.storage.allocations import AllocationFilter
from windlass_server.storage.tables import DEFAULT_CLUSTER
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.timestamps import (
    duration_from_proto,
    to_proto,
)


class ResourcesRpc(
    UsageRpc, MetricsRpc, DrainsRpc, ReservationsRpc, SchedulingPoliciesRpc, SimulationsRpc
):
    """Servicer of `windlass.resources.v1.ResourcesService`."""

    def __init__(
        self,
        resources: ResourcesService,
        upkeep: NodeUpkeep,
        removal: NodeRemoval,
        allocations: AllocationsService,
        clusters: ClustersService,
        pools: PoolsService,
        usage: UsageService,
        prices: PricesService,
        metrics: NodeMetrics,
        live: LiveTelemetry,
        drains: DrainsService,
        reservations: ReservationsService,
        policies: SchedulingPoliciesService,
        shares: SharesService,
        simulations: SimulationsService,
        latest: LatestTelemetry,
        clock: Clock,
    ) -> None:
        UsageRpc.__init__(self, usage, prices)
        MetricsRpc.__init__(self, metrics, live)
        DrainsRpc.__init__(self, drains)
        ReservationsRpc.__init__(self, reservations)
        SchedulingPoliciesRpc.__init__(self, policies, shares)
        SimulationsRpc.__init__(self, simulations)
        self._resources = resources
        self._upkeep = upkeep
        self._removal = removal
        self._allocations = allocations
        self._clusters = clusters
        self._pools = pools
        self._latest = latest
        self._node_lists = NodeLists(latest)
        self._clock = clock

    async def ListNodes(self, request: resources_service_pb2.ListNodesRequest, call: Call) -> bytes:
        wanted = NodeFilter(
            status=request.status,
            gpu_type=request.gpu_type,
            cluster=request.cluster,
            zone=request.zone,
            labels=tuple(label_of(text) for text in request.labels),
            pool=request.pool,
        )
        views, token = await self._resources.list(
            call.caller, wanted, size=request.page_size, token=request.page_token
        )
        rest = resources_service_pb2.ListNodesResponse(next_page_token=token).SerializeToString()
        return await self._node_lists.page(views, self._clock.now()) + rest

    async def GetNode(
        self, request: resources_service_pb2.GetNodeRequest, call: Call
    ) -> node_pb2.Node:
        view = await self._resources.get(call.caller, request.node_id)
        return self._message(view)

    async def ListNodeEvents(
        self, request: resources_service_pb2.ListNodeEventsRequest, call: Call
    ) -> resources_service_pb2.ListNodeEventsResponse:
        found, token = await self._resources.events(
            call.caller, request.node_id, size=request.page_size, token=request.page_token
        )
        return resources_service_pb2.ListNodeEventsResponse(
            events=map(event_message, found), next_page_token=token
        )

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

    async def DeleteNode(
        self, request: resources_service_pb2.DeleteNodeRequest, call: Call
    ) -> node_pb2.Node:
        view = await self._removal.delete(call.caller, request.node_id, force=request.force)
        return self._message(view)

    def _message(self, view: NodeView) -> node_pb2.Node:
        return node_message(view, self._latest, self._clock.now())

    async def Allocate(
        self, request: resources_service_pb2.AllocateRequest, call: Call
    ) -> allocation_pb2.Allocation:
        return allocation_message(await self._allocations.allocate(call.caller, request))

    async def GetAllocation(
        self, request: resources_service_pb2.GetAllocationRequest, call: Call
    ) -> allocation_pb2.Allocation:
        return allocation_message(await self._allocations.get(call.caller, request.allocation_id))

    async def ListAllocations(
        self, request: resources_service_pb2.ListAllocationsRequest, call: Call
    ) -> resources_service_pb2.ListAllocationsResponse:
        wanted = AllocationFilter(
            project=request.project or call.caller.default_project,
            status=request.status,
            node_id=request.node_id,
            user=request.user,
        )
        rows, token = await self._allocations.list(
            call.caller, wanted, size=request.page_size, token=request.page_token
        )
        return resources_service_pb2.ListAllocationsResponse(
            allocations=map(allocation_message, rows), next_page_token=token
        )

    async def RenewAllocation(
        self, request: resources_service_pb2.RenewAllocationRequest, call: Call
    ) -> allocation_pb2.Allocation:
        ttl = duration_from_proto(request.ttl) if request.HasField("ttl") else None
        row = await self._allocations.renew(call.caller, request.allocation_id, ttl)
        return allocation_message(row)

    async def ReleaseAllocation(
        self, request: resources_service_pb2.ReleaseAllocationRequest, call: Call
    ) -> allocation_pb2.Allocation:
        row = await self._allocations.release(
            call.caller, request.allocation_id, force=request.force
        )
        return allocation_message(row)

    async def ListClusters(
        self, request: resources_service_pb2.ListClustersRequest, call: Call
    ) -> resources_service_pb2.ListClustersResponse:
        found, token = await self._clusters.list(
            call.caller, size=request.page_size, token=request.page_token
        )
        return resources_service_pb2.ListClustersResponse(
            clusters=map(cluster_message, found), next_page_token=token
        )

    async def GetCluster(
        self, request: resources_service_pb2.GetClusterRequest, call: Call
    ) -> cluster_pb2.Cluster:
        return cluster_message(await self._clusters.get(call.caller, request.cluster_id))

    async def CreateCluster(
        self, request: resources_service_pb2.CreateClusterRequest, call: Call
    ) -> cluster_pb2.Cluster:
        return cluster_message(await self._clusters.create(call.caller, request.cluster))

    async def UpdateCluster(
        self, request: resources_service_pb2.UpdateClusterRequest, call: Call
    ) -> cluster_pb2.Cluster:
        view = await self._clusters.update(call.caller, request.cluster, request.update_mask.paths)
        return cluster_message(view)

    async def DeleteCluster(
        self, request: resources_service_pb2.DeleteClusterRequest, call: Call
    ) -> cluster_pb2.Cluster:
        view = await self._clusters.delete(call.caller, request.cluster_id, request.etag)
        return cluster_message(view)

    async def ListPools(
        self, request: resources_service_pb2.ListPoolsRequest, call: Call
    ) -> resources_service_pb2.ListPoolsResponse:
        found, token = await self._pools.list(
            call.caller, size=request.page_size, token=request.page_token
        )
        return resources_service_pb2.ListPoolsResponse(
            pools=[self._pool(view, call) for view in found], next_page_token=token
        )

    async def GetPool(
        self, request: resources_service_pb2.GetPoolRequest, call: Call
    ) -> pool_pb2.Pool:
        return self._pool(await self._pools.get(call.caller, request.pool_id), call)

    async def CreatePool(
        self, request: resources_service_pb2.CreatePoolRequest, call: Call
    ) -> pool_pb2.Pool:
        return self._pool(await self._pools.create(call.caller, request.pool), call)

    async def UpdatePool(
        self, request: resources_service_pb2.UpdatePoolRequest, call: Call
    ) -> pool_pb2.Pool:
        view = await self._pools.update(call.caller, request.pool, request.update_mask.paths)
        return self._pool(view, call)

    async def DeletePool(
        self, request: resources_service_pb2.DeletePoolRequest, call: Call
    ) -> pool_pb2.Pool:
        view = await self._pools.delete(call.caller, request.pool_id, request.etag)
        return self._pool(view, call)

    def _pool(self, view: PoolView, call: Call) -> pool_pb2.Pool:
        return pool_message(view, self._latest, call.caller)

    async def CreateJoinToken(
        self, request: resources_service_pb2.CreateJoinTokenRequest, call: Call
    ) -> resources_service_pb2.JoinToken:
        lifetime = duration_from_proto(request.lifetime) if request.HasField("lifetime") else None
        max_uses = request.max_uses or 1
        cluster = request.cluster or DEFAULT_CLUSTER
        token = await self._resources.create_join_token(
            call.caller, lifetime, max_uses=max_uses, cluster=cluster
        )
        return resources_service_pb2.JoinToken(
            token=token.text,
            expire_time=to_proto(token.expires_at),
            max_uses=max_uses,
            cluster=cluster,
        )
