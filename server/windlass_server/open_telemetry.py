"""Traces and metrics of the server for an OpenTelemetry collector, when one is configured.

Sent over OTLP/gRPC by threads of the SDK's own, in batches; what a collector that is away does not take
in time is dropped. Further settings, such as credentials, come from the SDK's own `OTEL_EXPORTER_OTLP_…` variables.
"""

import time

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import StatusCode

_TIMEOUT_SECONDS = 5
_CLOSE_MILLIS = 2000
_NANOS = 1_000_000_000


class OpenTelemetry:
    """The SDK, set up for one server.

    Args:
        endpoint: the collector, `http://host:port`, or `https://…` for TLS.
        version: of the server.
        sample_ratio: the share of traces that are kept, of those that begin here.
        interval_seconds: time between two exports of metrics.
    """

    def __init__(
        self, endpoint: str, *, version: str, sample_ratio: float, interval_seconds: float
    ) -> None:
        resource = Resource.create({SERVICE_NAME: "windlass", SERVICE_VERSION: version})
        insecure = not endpoint.startswith("https://")
        self._traces = TracerProvider(
            resource=resource,
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
            shutdown_on_exit=False,
        )
        spans = OTLPSpanExporter(endpoint=endpoint, insecure=insecure, timeout=_TIMEOUT_SECONDS)
        self._traces.add_span_processor(BatchSpanProcessor(spans))
        metrics = OTLPMetricExporter(endpoint=endpoint, insecure=insecure, timeout=_TIMEOUT_SECONDS)
        reader = PeriodicExportingMetricReader(metrics, interval_seconds * 1000)
        self._metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self.tracer = self._traces.get_tracer("windlass", version)
        meter = self._metrics.get_meter("windlass", version)
        self.call_seconds = meter.create_histogram(
            "rpc.server.duration", "s", "How long calls took, streams included."
        )
        self._cycle_seconds = meter.create_histogram(
            "windlass.duty.duration", "s", "How long cycles of the server's own duties took."
        )

    def cycle_ended(self, duty: str, seconds: float, failed: bool) -> None:
        """Note a cycle of one of the server's own duties."""
        self._cycle_seconds.record(seconds, {"windlass.duty": duty})
        ended = time.time_ns()  # noqa: TID251 - of a trace, which says what the system's clock says
        span = self.tracer.start_span(
            f"duty {duty}",
            start_time=ended - round(seconds * _NANOS),
            attributes={"windlass.duty": duty},
        )
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def close(self) -> None:
        """Send what is left; blocks for some seconds when the collector is away."""
        self._traces.force_flush(_CLOSE_MILLIS)
        self._traces.shutdown()
        self._metrics.shutdown(_CLOSE_MILLIS)
