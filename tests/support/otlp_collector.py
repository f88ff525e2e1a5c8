"""An OpenTelemetry collector that keeps what it is sent, over OTLP/gRPC as real ones take it."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from grpc import aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

T = TypeVar("T")


class OtlpCollector:
    """Spans as dictionaries, and the names of metrics with their points."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.metrics: dict[str, list[dict[str, Any]]] = {}
        self.resources: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._server = aio.server()
        self.endpoint = ""

    async def start(self) -> None:
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._server)  # type: ignore[no-untyped-call]
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), self._server)  # type: ignore[no-untyped-call]
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self.endpoint = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop(None)

    async def once(self, look: Callable[["OtlpCollector"], T | None]) -> T:
        """What `look` finds, as soon as it finds anything."""
        async with asyncio.timeout(60), self._news:
            while not (found := look(self)):
                await self._news.wait()
            return found

    def span(self, name: str) -> dict[str, Any] | None:
        return next((span for span in self.spans if span["name"] == name), None)

    async def take_spans(self, request: Any) -> None:
        for resource in request.resource_spans:
            self.resources.append(_attributes(resource.resource.attributes))
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        {
                            "name": span.name,
                            "kind": span.kind,
                            "trace_id": span.trace_id.hex(),
                            "parent_id": span.parent_span_id.hex(),
                            "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                            "status": span.status.code,
                            **_attributes(span.attributes),
                        }
                    )
        async with self._news:
            self._news.notify_all()

    async def take_metrics(self, request: Any) -> None:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = metric.histogram.data_points or metric.sum.data_points
                    self.metrics.setdefault(metric.name, []).extend(
                        {"count": point.count, **_attributes(point.attributes)} for point in points
                    )
        async with self._news:
            self._news.notify_all()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: OtlpCollector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._collector.take_spans(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: OtlpCollector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._collector.take_metrics(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _attributes(attributes: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value")
        for one in attributes
    }
