"""The part of the resources API that is about what nodes measure: messages to calls and back."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from windlass.resources.v1 import node_metrics_pb2
from windlass_server.resources.live import DEFAULT_INTERVAL, Following, LiveTelemetry
from windlass_server.resources.metrics import NodeMetrics, series_messages, wanted_of
from windlass_server.rpc.call import Call
from windlass_server.timestamps import (
    duration_from_proto,
    duration_to_proto,
    to_proto,
)


class MetricsRpc:
    """What `windlass.resources.v1.ResourcesService` says of measured values."""

    def __init__(self, metrics: NodeMetrics, live: LiveTelemetry) -> None:
        self._metrics = metrics
        self._live = live

    async def GetNodeMetrics(
        self, request: node_metrics_pb2.GetNodeMetricsRequest, call: Call
    ) -> node_metrics_pb2.GetNodeMetricsResponse:
        wanted = wanted_of(request, request.subject)
        question, answer = await self._metrics.get(call.caller, request.node_id, wanted)
        return node_metrics_pb2.GetNodeMetricsResponse(
            start_time=to_proto(answer.start),
            end_time=to_proto(question.end),
            resolution=duration_to_proto(answer.resolution),
            series=series_messages(request.node_id, answer),
        )

    async def StreamTelemetry(
        self, request: node_metrics_pb2.StreamTelemetryRequest, call: Call
    ) -> AsyncIterator[node_metrics_pb2.TelemetryMessage]:
        interval = DEFAULT_INTERVAL
        if request.HasField("min_interval"):
            interval = duration_from_proto(request.min_interval)
        wanted = Following(request.node_id, request.field, interval)
        async with aclosing(self._live.stream(call.caller, wanted)) as messages:
            async for message in messages:
                yield message
