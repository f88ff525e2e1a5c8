"""What there is to run on, and what is known of how it does."""

from dataclasses import dataclass

from windlass_server.resources.capacity import declared_pools
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.remote_clusters import RemoteClusters
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.telemetry.history import TelemetryHistory
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.telemetry.levels import Retention
from windlass_server.telemetry.meter import UsageMeter
from windlass_server.telemetry.recent import RecentHistory
from windlass_server.telemetry.upkeep import TelemetryUpkeep
from windlass_server.wiring.foundation import Foundation


@dataclass(frozen=True, slots=True)
class Inventory:
    """The nodes' measurements, from the newest to the oldest, and the capacity here and elsewhere."""

    latest: LatestTelemetry
    recent: RecentHistory
    history: TelemetryHistory
    telemetry_upkeep: TelemetryUpkeep
    meter: UsageMeter
    cluster: Cluster
    recent_usage: RecentUsage
    remote_clusters: RemoteClusters
    remote_waits: RemoteWaits


def take_inventory(on: Foundation) -> Inventory:
    """Be ready for nodes and what they measure."""
    latest = LatestTelemetry(on.clock, lambda _node_id: on.hints.world_changed())
    retention = Retention.of_days(on.config.telemetry_days)
    meter = UsageMeter(on.clock)
    recent = RecentHistory(on.clock, meter.take)
    return Inventory(
        latest=latest,
        recent=recent,
        history=TelemetryHistory(on.database, recent, on.clock, retention),
        telemetry_upkeep=TelemetryUpkeep(on.database, recent, on.clock, retention),
        meter=meter,
        cluster=Cluster(on.database, declared_pools(on.config.pools), latest.unhealthy),
        recent_usage=RecentUsage(on.database, on.clock),
        remote_clusters=RemoteClusters(),
        remote_waits=RemoteWaits(),
    )
