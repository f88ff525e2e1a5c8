"""The database's tables. Their classes are also the shape of the rows that stores hand out."""

from windlass_server.storage.tables.access import (
    ApiKeyRow,
    OrganisationRow,
    PrincipalRow,
    ProjectRow,
    RoleBindingRow,
)
from windlass_server.storage.tables.allocations import AllocationRow
from windlass_server.storage.tables.arrays import JobArrayRow
from windlass_server.storage.tables.artifacts import ArtifactPartRow, ArtifactRow
from windlass_server.storage.tables.checkpoints import CheckpointRow
from windlass_server.storage.tables.clusters import DEFAULT_CLUSTER, ClusterRow
from windlass_server.storage.tables.custom_metrics import CustomMetricRow, MetricTallyRow
from windlass_server.storage.tables.drains import DrainNodeRow, DrainRow
from windlass_server.storage.tables.duties import DutyRow
from windlass_server.storage.tables.events import EventRow, OutboxRow, RequestRow
from windlass_server.storage.tables.federation import RemoteClusterRow, RemoteRunRow
from windlass_server.storage.tables.job_templates import JobTemplateRow, JobTemplateVersionRow
from windlass_server.storage.tables.jobs import (
    JobDependencyRow,
    JobLabelRow,
    JobRow,
    RunRow,
    SingletonTurnRow,
)
from windlass_server.storage.tables.layouts import GpuLayoutRow
from windlass_server.storage.tables.logs import LogArchiveRow, LogChunkRow
from windlass_server.storage.tables.measures import MeasureRow
from windlass_server.storage.tables.nodes import (
    GpuClaimRow,
    GpuShareRow,
    JoinTokenRow,
    JoinTokenUseRow,
    NodeRow,
)
from windlass_server.storage.tables.pools import DEFAULT_POOL, PoolRow
from windlass_server.storage.tables.preemptions import KeptPlaceRow, PreemptionRow
from windlass_server.storage.tables.prices import PriceRow
from windlass_server.storage.tables.queues import QueueRow
from windlass_server.storage.tables.quotas import QuotaRow
from windlass_server.storage.tables.reservations import ReservationRow, ReservedPartRow
from windlass_server.storage.tables.run_times import RunTimeMarkRow, RunTimeRow
from windlass_server.storage.tables.scheduling_policies import SchedulingPolicyRow
from windlass_server.storage.tables.secrets import SecretRow, SecretVersionRow
from windlass_server.storage.tables.sources import JobSourceRow, SourceRow
from windlass_server.storage.tables.telemetry import TelemetryMarkRow, TelemetrySegmentRow
from windlass_server.storage.tables.webhooks import (
    JobNotificationRow,
    WebhookDeliveryRow,
    WebhookRow,
)

__all__ = [
    "DEFAULT_CLUSTER",
    "DEFAULT_POOL",
    "AllocationRow",
    "ApiKeyRow",
    "ArtifactPartRow",
    "ArtifactRow",
    "CheckpointRow",
    "ClusterRow",
    "CustomMetricRow",
    "DrainNodeRow",
    "DrainRow",
    "DutyRow",
    "EventRow",
    "GpuClaimRow",
    "GpuLayoutRow",
    "GpuShareRow",
    "JobArrayRow",
    "JobDependencyRow",
    "JobLabelRow",
    "JobNotificationRow",
    "JobRow",
    "JobSourceRow",
    "JobTemplateRow",
    "JobTemplateVersionRow",
    "JoinTokenRow",
    "JoinTokenUseRow",
    "KeptPlaceRow",
    "LogArchiveRow",
    "LogChunkRow",
    "MeasureRow",
    "MetricTallyRow",
    "NodeRow",
    "OrganisationRow",
    "OutboxRow",
    "PoolRow",
    "PreemptionRow",
    "PriceRow",
    "PrincipalRow",
    "ProjectRow",
    "QueueRow",
    "QuotaRow",
    "RemoteClusterRow",
    "RemoteRunRow",
    "RequestRow",
    "ReservationRow",
    "ReservedPartRow",
    "RoleBindingRow",
    "RunRow",
    "RunTimeMarkRow",
    "RunTimeRow",
    "SchedulingPolicyRow",
    "SecretRow",
    "SecretVersionRow",
    "SingletonTurnRow",
    "SourceRow",
    "TelemetryMarkRow",
    "TelemetrySegmentRow",
    "WebhookDeliveryRow",
    "WebhookRow",
]
