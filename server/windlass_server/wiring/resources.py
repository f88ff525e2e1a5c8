"""Capacity to give out, and the nodes that it is made of."""

from dataclasses import dataclass

from windlass_server.nodes.pace import Pace
from windlass_server.nodes.registry import NodeRegistry
from windlass_server.resources.allocations import AllocationsService
from windlass_server.resources.clusters import ClustersService
from windlass_server.resources.drains import DrainsService
from windlass_server.resources.health import NodeHealthService
from windlass_server.resources.health_policy import Policy
from windlass_server.resources.layouts import LayoutsService
from windlass_server.resources.membership import Membership
from windlass_server.resources.pools import PoolsService
from windlass_server.resources.prices import PricesService
from windlass_server.resources.registration import Registration
from windlass_server.resources.removal import NodeRemoval
from windlass_server.resources.reservations import ReservationsService
from windlass_server.resources.scheduling_policies import SchedulingPoliciesService
from windlass_server.resources.service import ResourcesService
from windlass_server.resources.shares import SharesService
from windlass_server.resources.simulations import SimulationsService
from windlass_server.resources.upkeep import NodeUpkeep
from windlass_server.resources.usage import UsageService
from windlass_server.storage.guard import acting_as
from windlass_server.wiring.foundation import Foundation
from windlass_server.wiring.identity import Identity
from windlass_server.wiring.inventory import Inventory
from windlass_server.wiring.jobs import Jobs


@dataclass(frozen=True, slots=True)
class Capacity:
    """What users are given, and what it costs."""

    allocations: AllocationsService
    reservations: ReservationsService
    clusters: ClustersService
    pools: PoolsService
    usage: UsageService
    prices: PricesService
    policies: SchedulingPoliciesService
    shares: SharesService
    simulations: SimulationsService


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes: who they are, how they are kept, and their sessions."""

    service: ResourcesService
    upkeep: NodeUpkeep
    drains: DrainsService
    removal: NodeRemoval
    health: NodeHealthService
    layouts: LayoutsService
    membership: Membership
    registry: NodeRegistry
    pace: Pace


async def offer_capacity(on: Foundation, identity: Identity, inventory: Inventory) -> Capacity:
    """Have something to give out: there is a cluster and a pool from the first start on."""
    database, clock, ids, tokens = on.database, on.clock, on.ids, on.page_tokens
    cluster = inventory.cluster
    clusters = ClustersService(database, clock, tokens, Registration(identity.seal, clock))
    pools = PoolsService(database, cluster, clock, tokens, on.hints.world_changed)
    with acting_as("start"):
        await clusters.ensure_default()
        await pools.ensure_default()
    return Capacity(
        allocations=AllocationsService(database, cluster, clock, ids, tokens, on.hints.run_ended),
        reservations=ReservationsService(database, cluster, clock, ids, tokens),
        clusters=clusters,
        pools=pools,
        usage=UsageService(database, clock),
        prices=PricesService(database, clock, ids, tokens),
        policies=SchedulingPoliciesService(database, clock, tokens, on.hints.world_changed),
        shares=SharesService(database, inventory.recent_usage),
        simulations=SimulationsService(database, cluster.load),
    )


def admit_nodes(
    on: Foundation, identity: Identity, inventory: Inventory, jobs: Jobs, capacity: Capacity
) -> Nodes:
    """Be ready to let nodes join, to look after them and to let them go."""
    access, latest = identity.access, inventory.latest
    upkeep = _upkeep(on, jobs, capacity)
    health = _health(on, jobs, upkeep)
    layouts = LayoutsService(on.database, on.clock, on.hints.runs_changed)
    membership = Membership(
        on.database, access, latest, on.clock, on.ids, on.hints.world_changed, health, layouts
    )
    return Nodes(
        service=ResourcesService(on.database, access, on.page_tokens),
        upkeep=upkeep,
        drains=DrainsService(on.database, upkeep, on.clock, on.ids, on.page_tokens),
        removal=NodeRemoval(
            on.database,
            on.clock,
            lose_runs=jobs.runs.losing,
            revoke=capacity.allocations.revoke_in,
            removed=(identity.authenticator.forget, latest.drop),
            capacity_changed=on.hints.run_ended,
        ),
        health=health,
        layouts=layouts,
        membership=membership,
        registry=NodeRegistry(
            membership,
            jobs.runs,
            health,
            on.clock,
            heartbeat_seconds=on.config.heartbeat_seconds,
        ),
        pace=Pace(on.clock.monotonic),
    )


def _upkeep(on: Foundation, jobs: Jobs, capacity: Capacity) -> NodeUpkeep:
    return NodeUpkeep(
        on.database,
        on.clock,
        evict=jobs.runs.evict,
        revoke=capacity.allocations.revoke,
        capacity_changed=on.hints.maintenance_changed,
        drain_began=on.hints.drain_began,
    )


def _health(on: Foundation, jobs: Jobs, upkeep: NodeUpkeep) -> NodeHealthService:
    return NodeHealthService(
        on.database,
        upkeep,
        on.clock,
        Policy.of(on.config.health),
        tell_run=jobs.runs.device_failed,
        capacity_changed=on.hints.world_changed,
        resets_changed=on.hints.runs_changed,
        ailing=on.hints.node_ails,
    )
