"""What was held of the nodes, by whom, and what of it was of no use."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from windlass.resources.v1 import (
    resources_service_pb2,
    resources_service_pb2_grpc,
    usage_pb2,
)
from windlass_client.calls import AsyncGroup, Call, Group, SyncGroup, operation, unary
from windlass_client.quantities import parse_duration

Usage = usage_pb2.Usage

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
GET = unary(_Stub, lambda stub: stub.GetUsage, idempotent=True)


class UsageCalls(Group):
    """Requests about usage."""

    @operation
    def get(
        self,
        by: Sequence[str] = (),
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        bucket: timedelta | float | str | None = None,
        project: str | None = None,
        user: str = "",
        queue: str = "",
        node_id: str = "",
        pool_id: str = "",
        gpu_type: str = "",
        labels: Sequence[str] = (),
    ) -> Call[resources_service_pb2.GetUsageRequest, Usage]:
        """Say what was held in a window of time; amounts are decimal numbers in text.

        Args:
            by: what to break down by: "project", "user", "queue", "node_id", "pool_id", "gpu_type",
                "kind", "holder_id", or "label:" and a key; the total alone by default.
            start: where the window begins, with a zone; by default seven days before its end.
            end: where it ends; now by default.
            bucket: cuts the window, as seconds, a timedelta or such as "1d".
            project: instead of the client's; empty: all that the caller may see.
            user: only of this principal.
            queue: only jobs of this queue.
            node_id: only on this node.
            pool_id: only on nodes that were in this pool.
            gpu_type: only what held GPUs of this type.
            labels: only jobs with all of these, each "key=value".

        Raises:
            InvalidArgument: the window ends before it begins; there would be too many rows.
        """
        request = resources_service_pb2.GetUsageRequest(
            group_by=by,
            start_time=start,
            end_time=end,
            bucket=None if bucket is None else parse_duration(bucket),
            project=self.project if project is None else project,
            user=user,
            queue=queue,
            node_id=node_id,
            pool_id=pool_id,
            gpu_type=gpu_type,
            labels=labels,
        )
        return Call(GET, request)


class UsageReports(UsageCalls, SyncGroup):
    """Usage, blocking."""


class AsyncUsageReports(UsageCalls, AsyncGroup):
    """Usage for asyncio."""
