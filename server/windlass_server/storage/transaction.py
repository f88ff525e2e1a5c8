"""What a transaction's work is given: a connection, and the stores that speak through it."""

from collections.abc import Callable
from functools import cached_property

from sqlalchemy import Connection

from windlass_server.storage.access import AccessStore
from windlass_server.storage.allocations import AllocationStore
from windlass_server.storage.arrays import ArrayStore
from windlass_server.storage.artifacts import ArtifactStore
from windlass_server.storage.charges import ChargeStore
from windlass_server.storage.checkpoints import CheckpointStore
from windlass_server.storage.clusters import ClusterStore
from windlass_server.storage.custom_metrics import CustomMetricStore
from windlass_server.storage.dependencies import DependencyStore
from windlass_server.storage.drains import DrainStore
from windlass_server.storage.duties import DutyStore
from windlass_server.storage.events import EventStore
from windlass_server.storage.gpu_shares import GpuShareStore
from windlass_server.storage.holders import HolderStore
from windlass_server.storage.job_templates import JobTemplateStore
from windlass_server.storage.job_views import JobViewStore
from windlass_server.storage.jobs import JobStore
from windlass_server.storage.layouts import LayoutStore
from windlass_server.storage.log_archives import LogArchiveStore
from windlass_server.storage.measures import MeasureStore
from windlass_server.storage.node_changes import NodeChanges
from windlass_server.storage.nodes import NodeStore
from windlass_server.storage.pools import PoolStore
from windlass_server.storage.preemptions import PreemptionStore
from windlass_server.storage.prices import PriceStore
from windlass_server.storage.queues import QueueStore
from windlass_server.storage.quotas import QuotaStore
from windlass_server.storage.remote_clusters import RemoteClusterStore
from windlass_server.storage.remote_runs import RemoteRunStore
from windlass_server.storage.reservations import ReservationStore
from windlass_server.storage.run_times import RunTimeStore
from windlass_server.storage.runs import RunStore
from windlass_server.storage.scheduling_policies import SchedulingPolicyStore
from windlass_server.storage.secrets import SecretStore
from windlass_server.storage.singletons import SingletonStore
from windlass_server.storage.sources import SourceStore
from windlass_server.storage.telemetry import TelemetryStore
from windlass_server.storage.usage import UsageStore
from windlass_server.storage.webhook_deliveries import WebhookDeliveryStore
from windlass_server.storage.webhooks import WebhookStore


class Transaction:
    """One transaction's view of the database.

    A transaction's work is a plain function of this object. It may run more than once (a
    serialisation failure, a read that turns out long), so it must do nothing but read, decide and
    write here; what else shall follow is handed to `after_commit`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.hooks: list[Callable[[], None]] = []

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Call `hook` on the event loop when, and only when, the transaction is durable."""
        self.hooks.append(hook)

    @cached_property
    def jobs(self) -> JobStore:
        return JobStore(self.connection)

    @cached_property
    def job_templates(self) -> JobTemplateStore:
        return JobTemplateStore(self.connection)

    @cached_property
    def queues(self) -> QueueStore:
        return QueueStore(self.connection)

    @cached_property
    def arrays(self) -> ArrayStore:
        return ArrayStore(self.connection)

    @cached_property
    def dependencies(self) -> DependencyStore:
        return DependencyStore(self.connection)

    @cached_property
    def singletons(self) -> SingletonStore:
        return SingletonStore(self.connection)

    @cached_property
    def job_views(self) -> JobViewStore:
        return JobViewStore(self.connection)

    @cached_property
    def runs(self) -> RunStore:
        return RunStore(self.connection)

    @cached_property
    def remote_runs(self) -> RemoteRunStore:
        return RemoteRunStore(self.connection)

    @cached_property
    def remote_clusters(self) -> RemoteClusterStore:
        return RemoteClusterStore(self.connection)

    @cached_property
    def nodes(self) -> NodeStore:
        return NodeStore(self.connection)

    @cached_property
    def node_changes(self) -> NodeChanges:
        return NodeChanges(self.connection)

    @cached_property
    def layouts(self) -> LayoutStore:
        return LayoutStore(self.connection)

    @cached_property
    def gpu_shares(self) -> GpuShareStore:
        return GpuShareStore(self.connection)

    @cached_property
    def allocations(self) -> AllocationStore:
        return AllocationStore(self.connection)

    @cached_property
    def clusters(self) -> ClusterStore:
        return ClusterStore(self.connection)

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        return CheckpointStore(self.connection)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.connection)

    @cached_property
    def sources(self) -> SourceStore:
        return SourceStore(self.connection)

    @cached_property
    def pools(self) -> PoolStore:
        return PoolStore(self.connection)

    @cached_property
    def drains(self) -> DrainStore:
        return DrainStore(self.connection)

    @cached_property
    def duties(self) -> DutyStore:
        return DutyStore(self.connection)

    @cached_property
    def run_times(self) -> RunTimeStore:
        return RunTimeStore(self.connection)

    @cached_property
    def holders(self) -> HolderStore:
        return HolderStore(self.connection)

    @cached_property
    def reservations(self) -> ReservationStore:
        return ReservationStore(self.connection)

    @cached_property
    def access(self) -> AccessStore:
        return AccessStore(self.connection)

    @cached_property
    def events(self) -> EventStore:
        return EventStore(self.connection)

    @cached_property
    def log_archives(self) -> LogArchiveStore:
        return LogArchiveStore(self.connection)

    @cached_property
    def measures(self) -> MeasureStore:
        return MeasureStore(self.connection)

    @cached_property
    def preemptions(self) -> PreemptionStore:
        return PreemptionStore(self.connection)

    @cached_property
    def prices(self) -> PriceStore:
        return PriceStore(self.connection)

    @cached_property
    def scheduling_policies(self) -> SchedulingPolicyStore:
        return SchedulingPolicyStore(self.connection)

    @cached_property
    def charges(self) -> ChargeStore:
        return ChargeStore(self.connection)

    @cached_property
    def quotas(self) -> QuotaStore:
        return QuotaStore(self.connection)

    @cached_property
    def secrets(self) -> SecretStore:
        return SecretStore(self.connection)

    @cached_property
    def custom_metrics(self) -> CustomMetricStore:
        return CustomMetricStore(self.connection)

    @cached_property
    def usage(self) -> UsageStore:
        return UsageStore(self.connection)

    @cached_property
    def telemetry(self) -> TelemetryStore:
        return TelemetryStore(self.connection)

    @cached_property
    def webhooks(self) -> WebhookStore:
        return WebhookStore(self.connection)

    @cached_property
    def webhook_deliveries(self) -> WebhookDeliveryStore:
        return WebhookDeliveryStore(self.connection)
