"""What was held of the nodes, by whom, what of it was of no use, and what it cost."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

import grpc
from google.api import httpbody_pb2

from windlass.resources.v1 import (
    resources_service_pb2,
    resources_service_pb2_grpc,
    usage_pb2,
)
from windlass_client.calls import AsyncGroup, Call, Group, SyncGroup, built, operation, unary
from windlass_client.connect import AioTransport, BlockingTransport
from windlass_client.quantities import parse_duration

Usage = usage_pb2.Usage

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
GET = unary(_Stub, lambda stub: stub.GetUsage, idempotent=True)


class UsageFilter(TypedDict, total=False):
    """Which usage is asked for, and how it is cut.

    Attributes:
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
    """

    start: datetime | None
    end: datetime | None
    bucket: timedelta | float | str | None
    project: str | None
    user: str
    queue: str
    node_id: str
    pool_id: str
    gpu_type: str
    labels: Sequence[str]


class UsageCalls(Group):
    """Requests about usage."""

    @operation
    def get(
        self, by: Sequence[str] = (), **wanted: Unpack[UsageFilter]
    ) -> Call[resources_service_pb2.GetUsageRequest, Usage]:
        """Say what was held in a window of time; amounts are decimal numbers in text.

        Args:
            by: what to break down by: "project", "user", "queue", "node_id", "pool_id", "gpu_type",
                "kind", "holder_id", or "label:" and a key; the total alone by default.
            wanted: as `UsageFilter` has it.

        Raises:
            InvalidArgument: the window ends before it begins; there would be too many rows.
        """
        fields = _fields(self.project, by, wanted)
        return Call(GET, resources_service_pb2.GetUsageRequest(**fields))


def _fields(project: str, by: Sequence[str], wanted: UsageFilter) -> dict[str, Any]:
    """The fields of a request."""
    values = {**wanted}
    asked, bucket = values.pop("project", None), values.pop("bucket", None)
    return {
        "group_by": by,
        "project": project if asked is None else asked,
        "start_time": values.pop("start", None),
        "end_time": values.pop("end", None),
        "bucket": None if bucket is None else parse_duration(bucket),  # type: ignore[arg-type]
        **values,
    }


def _export_request(
    project: str, by: Sequence[str], wanted: UsageFilter
) -> resources_service_pb2.ExportUsageRequest:
    return resources_service_pb2.ExportUsageRequest(**_fields(project, by, wanted))


def _bind(
    channel: grpc.Channel,
) -> (
    "grpc.UnaryStreamMultiCallable[resources_service_pb2.ExportUsageRequest, httpbody_pb2.HttpBody]"
):
    return _Stub(channel).ExportUsage


class UsageReports(UsageCalls, SyncGroup):
    """Usage, blocking."""

    def __init__(self, transport: BlockingTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def export(self, by: Sequence[str] = (), **wanted: Unpack[UsageFilter]) -> Iterator[bytes]:
        """Iterate over the pieces of a file of comma separated values; arguments as for `get`."""
        request = built(_export_request, self.project, by, wanted)
        for piece in self._wire.stream(_bind, request):
            yield piece.data


class AsyncUsageReports(UsageCalls, AsyncGroup):
    """Usage for asyncio."""

    def __init__(self, transport: AioTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    async def export(
        self, by: Sequence[str] = (), **wanted: Unpack[UsageFilter]
    ) -> AsyncIterator[bytes]:
        """Iterate over the pieces of a file; see `UsageReports.export`."""
        request = built(_export_request, self.project, by, wanted)
        async for piece in self._wire.stream(_bind, request):
            yield piece.data
