"""The three ways to one backend: windlass's gateway, the real Envoy, and plain gRPC."""

# grpc's classes are generic for the type checker alone.
from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc import aio

from tests.differential import raw_http
from tests.differential.backend import Backend, Script, Types
from tests.differential.case import Case, Reaches, Refused
from tests.differential.outcome import SHOWN, Form, Outcome, read
from tests.support.envoy import running_envoy
from tests.support.gateway import PLACE_SERVICE, PLANNED, SAMPLE_SERVICE, STREAM_SERVICES
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.envoy.bootstrap import Front, bootstrap
from windlass_server.gateway.granian_server import GranianServer
from windlass_server.gateway.serving import Address, App
from windlass_server.gateway.upstream import UpstreamDispatcher

SERVICES = (SAMPLE_SERVICE, *STREAM_SERVICES, PLACE_SERVICE)
DOMAIN = "sample"
# What both front ends are told; the ports are not known before they run.
FRONT = Front(
    listen=Address("127.0.0.1", 0),
    server=Address("127.0.0.1", 0),
    admin=Address("127.0.0.1", 0),
    planned_extension=PLANNED,
    limits_extension="windlass.options.v1.limits",
    domain=DOMAIN,
    max_body_bytes=64 << 10,
    default_timeout=5,
)
# google/rpc/code.proto, once more and by hand.
HTTP_STATUSES = {
    1: 499,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}
_HTTP_BODY = "google.api.HttpBody"
_OF_FILES = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox"}


class Lab:
    """The backend and the addresses of what is before it."""

    def __init__(self, backend: Backend, channel: aio.Channel, gateway: str, envoy: str) -> None:
        self.backend = backend
        self.types = backend.types
        self._channel = channel
        self.gateway = gateway
        self.envoy = envoy

    async def through(self, address: str, case: Case) -> Outcome:
        """What comes of the request at a front end."""
        self.backend.expect(case.script)
        method, _, target = case.line.partition(" ")
        reply = await raw_http.send(
            address, method, target, case.headers, case.body, chunked=case.chunked
        )
        await self.backend.settled()
        form = "head" if method == "HEAD" else self._form(case)
        outcome = read(reply, self._shown(case), form)
        self._add_call(case, outcome)
        if outcome.status >= 400 and case.script == Script():
            # The front end refused it: its words are its own, and of a stream that it broke off
            # the backend may have seen a part.
            outcome.body, outcome.request = None, ()
        return outcome

    def _form(self, case: Case) -> Form:
        """What a successful answer's body is."""
        if isinstance(case.expect, Refused):
            return "json"
        method, narrow = self._method(case), case.expect.narrow
        answer = method.output_type
        if _holds_file(answer) or (
            narrow and _holds_file(answer.fields_by_name[narrow].message_type)
        ):
            return "file"
        return "stream" if method.server_streaming else "json"

    def _add_call(self, case: Case, outcome: Outcome) -> None:
        """Add what the backend got."""
        outcome.request = self._request()
        if not self.backend.received or not isinstance(case.expect, Reaches):
            return
        (call,) = self.backend.received
        outcome.metadata = {name: call.metadata.get(name) for name in case.expect.metadata}
        if case.expect.deadline is not None and call.remaining is not None:
            outcome.deadline = call.remaining

    async def expected(self, case: Case) -> Outcome:
        """What has to come of it: what the table says, and plain gRPC answers."""
        expect = case.expect
        if isinstance(expect, Refused):
            media_type = "application/json" if expect.reason else ""
            outcome = Outcome(status=expect.status, media_type=media_type)
            outcome.headers = dict(expect.headers)
            if not case.line.startswith("HEAD "):
                outcome.code, outcome.reason = expect.code, expect.reason
                outcome.fields = tuple(sorted(expect.fields))
            return outcome
        self.backend.expect(case.script)
        outcome = await self._call(case, expect)
        self._add_call(case, outcome)
        outcome.headers.update(expect.headers)
        for name, value in expect.told.items():
            setattr(outcome, name, value)
        outcome.metadata = dict(expect.metadata)
        outcome.deadline = None if expect.deadline is None else float(expect.deadline)
        if case.line.startswith("HEAD "):
            outcome.body, outcome.end, outcome.ids = None, "", ()
            outcome.code, outcome.reason, outcome.fields = 0, "", ()
        return outcome

    async def _call(self, case: Case, expect: Reaches) -> Outcome:
        method = self._method(case)
        kind = method.input_type.full_name
        messages = [self.types.read(kind, each) for each in expect.messages]
        try:
            if method.server_streaming:
                return await self._stream(case, expect, messages)
            answer, call = await self._unary(method, messages, expect.deadline)
        except aio.AioRpcError as error:
            return self._failed(case, error)
        outcome = self._answered(answer, expect.narrow)
        outcome.headers.update(await self._metadata(case, call))
        return outcome

    async def _unary(
        self, method: Any, messages: list[Any], timeout: float | None
    ) -> tuple[Any, Any]:
        shape = "stream_unary" if method.client_streaming else "unary_unary"
        start = self._start(shape, method)
        request = iter(messages) if method.client_streaming else messages[0]
        call = start(request, timeout=timeout)
        return await call, call

    async def _stream(self, case: Case, expect: Reaches, messages: list[Any]) -> Outcome:
        method = self._method(case)
        shape = "stream_stream" if method.client_streaming else "unary_stream"
        request = iter(messages) if method.client_streaming else messages[0]
        call = self._start(shape, method)(request, timeout=expect.deadline)
        items: list[Any] = []
        end = "end"
        try:
            async for each in call:
                items.append(each)  # noqa: PERF401 - those before an error are kept
        except aio.AioRpcError as error:
            if not items:
                return self._failed(case, error)
            end = str(error.code().value[0])
        outcome = self._streamed(case, expect, items)
        outcome.headers = await self._metadata(case, call, trailing=False)
        if _holds_file(method.output_type):
            outcome.headers.update(_OF_FILES)
        else:
            outcome.end = end
            outcome.headers["cache-control"] = "no-store"
        return outcome

    def _streamed(self, case: Case, expect: Reaches, items: list[Any]) -> Outcome:
        if items and _holds_file(items[0].DESCRIPTOR):
            data = b"".join(each.data for each in items)
            return Outcome(media_type=items[0].content_type, body=base64.b64encode(data).decode())
        accept = dict(case.headers).get("accept", "")
        outcome = Outcome(body=[self.types.written(each) for each in items])
        if expect.form:
            accept = expect.form
        for media_type in ("text/event-stream", "application/x-ndjson", "application/json"):
            if accept.startswith(media_type):
                outcome.media_type = media_type
        if outcome.media_type == "text/event-stream":
            outcome.ids = tuple(getattr(each, "cursor", "") for each in items)
        return outcome

    def _answered(self, answer: Any, narrow: str) -> Outcome:
        if narrow and _holds_file(answer.DESCRIPTOR.fields_by_name[narrow].message_type):
            answer, narrow = getattr(answer, narrow), ""
        if _holds_file(answer.DESCRIPTOR):
            data = base64.b64encode(answer.data).decode()
            return Outcome(media_type=answer.content_type, body=data, headers=dict(_OF_FILES))
        written = self.types.written(answer)
        return Outcome(body=written.get(narrow) if narrow else written)

    def _failed(self, case: Case, error: aio.AioRpcError) -> Outcome:
        assert isinstance(case.expect, Reaches)
        code = error.code().value[0]
        metadata = dict(error.trailing_metadata() or ())
        passed = case.expect.deadline is not None and code == 4
        message = "the call took too long" if passed else error.details()
        body: dict[str, Any] = {"code": code, "message": message, "details": []}
        outcome = Outcome(status=HTTP_STATUSES[code], body=body, code=code)
        status = status_pb2.Status.FromString(metadata.get("grpc-status-details-bin", b""))
        body["details"] = [self._detail(each) for each in status.details]
        if "grpc-status-details-bin" not in metadata:
            body["details"] = [_info(error.code().name)]
        outcome.reason = ",".join(each["reason"] for each in body["details"] if "reason" in each)
        outcome.fields = tuple(
            sorted(
                violation["field"]
                for each in body["details"]
                for violation in each.get("field_violations", ())
            )
        )
        outcome.headers = {
            **({"www-authenticate": "Bearer"} if code == 16 else {}),
            **dict(error.initial_metadata() or ()),
        }
        for each in body["details"]:
            if "retry_delay" in each:
                outcome.headers["retry-after"] = each["retry_delay"].removesuffix("s")
        outcome.headers = {
            name: outcome.headers[name]
            for name in (*SHOWN, *self._shown(case))
            if name in outcome.headers
        }
        return outcome

    def _detail(self, detail: Any) -> Any:
        """A detail as JSON; one of a type that nobody knows as its bytes."""
        try:
            packed = self.types.message("google.protobuf.Any").FromString(
                detail.SerializeToString()
            )
            return self.types.written(packed)
        except (TypeError, DecodeError, json_format.SerializeToJsonError):
            return {"@type": detail.type_url, "value": base64.b64encode(detail.value).decode()}

    def _start(self, shape: str, method: Any) -> Any:
        path = f"/{method.containing_service.full_name}/{method.name}"
        answer = self.types.message(method.output_type.full_name)
        return getattr(self._channel, shape)(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )

    async def _metadata(self, case: Case, call: Any, *, trailing: bool = True) -> dict[str, str]:
        """The answer's metadata that a front end shows as headers."""
        found = dict(await call.initial_metadata() or ())
        if trailing:
            found.update(dict(await call.trailing_metadata() or ()))
        sent = dict(case.headers)
        if "x-request-id" in case.shown:
            found["x-request-id"] = sent["x-request-id"]
        return {name: found[name] for name in self._shown(case) if name in found}

    def _shown(self, case: Case) -> tuple[str, ...]:
        scripted = (*case.script.headers, *case.script.trailers)
        names = (name for name, _ in scripted if name != "x-content-length")  # see docs
        return (*case.shown, *names)

    def _method(self, case: Case) -> Any:
        assert isinstance(case.expect, Reaches)
        service, _, method = case.expect.rpc.partition(".")
        return self.types.methods[f"/sample.v1.{service}/{method}"]

    def _request(self) -> tuple[str, ...]:
        """The calls that the backend got, as text."""
        assert len(self.backend.received) <= 1, self.backend.received
        return tuple(
            line
            for call in self.backend.received
            for line in (call.method, *map(_text, call.messages))
        )


def _holds_file(descriptor: Any) -> bool:
    return descriptor is not None and descriptor.full_name == _HTTP_BODY


def _text(message: Any) -> str:
    return text_format.MessageToString(message, as_one_line=True)


def _info(reason: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"@type": kind, "reason": reason, "domain": DOMAIN, "metadata": {}}


@asynccontextmanager
async def gateway_before(backend: Backend, descriptor_set: bytes) -> AsyncIterator[Gateway]:
    """A gateway that calls the backend, as an ASGI application."""
    upstream = UpstreamDispatcher(f"127.0.0.1:{backend.port}", domain=DOMAIN)
    gateway = Gateway(
        descriptor_set=descriptor_set,
        services=SERVICES,
        dispatcher=upstream,
        planned_extension=PLANNED,
        limits_extension=FRONT.limits_extension,
        domain=DOMAIN,
        max_body_bytes=FRONT.max_body_bytes,
        default_timeout=FRONT.default_timeout,
    )
    try:
        yield gateway
    finally:
        gateway.drain()
        await upstream.close()


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    """An ASGI application under granian; yields its `host:port`."""
    http = GranianServer(app, Address("127.0.0.1", 0))
    await http.start()
    try:
        yield f"127.0.0.1:{http.address.port}"
    finally:
        await http.stop(1)


@asynccontextmanager
async def running_backend(descriptor_set: bytes) -> AsyncIterator[Backend]:
    """A started backend."""
    backend = Backend(Types(descriptor_set))
    await backend.start()
    try:
        yield backend
    finally:
        await backend.stop()


@asynccontextmanager
async def running_lab(descriptor_set: bytes, directory: Path) -> AsyncIterator[Lab]:
    """Start everything."""
    async with running_backend(descriptor_set) as backend:
        front = replace(FRONT, server=Address("127.0.0.1", backend.port))
        async with (
            gateway_before(backend, descriptor_set) as gateway,
            serving(gateway) as address,
            running_envoy(bootstrap(descriptor_set, SERVICES, front), directory) as envoy,
            aio.insecure_channel(f"127.0.0.1:{backend.port}") as channel,
        ):
            yield Lab(backend, channel, address, envoy)
