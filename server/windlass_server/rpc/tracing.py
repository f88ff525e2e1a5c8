"""A span for each call, in the trace of whoever called (W3C's `traceparent`)."""

import time
from functools import partial

from google.rpc import code_pb2
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from windlass_server.open_telemetry import OpenTelemetry
from windlass_server.rpc.call import Call

# What is the server's fault, by OpenTelemetry's conventions for RPCs.
_FAULTS = frozenset(
    {
        code_pb2.UNKNOWN,
        code_pb2.DEADLINE_EXCEEDED,
        code_pb2.UNIMPLEMENTED,
        code_pb2.INTERNAL,
        code_pb2.UNAVAILABLE,
        code_pb2.DATA_LOSS,
    }
)


class Tracing:
    """Notes each call as a span and by how long it took."""

    def __init__(self, telemetry: OpenTelemetry) -> None:
        self._telemetry = telemetry
        self._propagator = TraceContextTextMapPropagator()

    def began(self, call: Call) -> None:
        """Begin the call's span; its end is noted by its finalizers."""
        service, _, method = call.method.path.lstrip("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        carrier = {name: call.first(name) for name in ("traceparent", "tracestate")}
        span = self._telemetry.tracer.start_span(
            f"{service}/{method}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        call.finalizers.append(partial(self._ended, call, span, attributes, time.monotonic()))

    def _ended(self, call: Call, span: Span, attributes: dict[str, str], began: float) -> None:
        code = {"rpc.grpc.status_code": call.code}
        self._telemetry.call_seconds.record(time.monotonic() - began, {**attributes, **code})
        span.set_attributes({**code, "windlass.request_id": call.request_id})
        if call.authenticated is not None:
            span.set_attribute("enduser.id", call.authenticated.user)
        if call.code in _FAULTS:
            span.set_status(StatusCode.ERROR, code_pb2.Code.Name(call.code))
        span.end()
