"""A gateway over the sample contract, a dispatcher that does as it is told, and an ASGI client."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc_tools
from google.api import annotations_pb2
from google.protobuf import any_pb2
from google.rpc import status_pb2
from grpc_tools import protoc

from windlass_server.gateway.app import Gateway
from windlass_server.gateway.dispatch import OutgoingCall, RpcFailure

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = "sample/v1/sample.proto"
SAMPLE_SERVICE = "sample.v1.ShelfService"
STREAMS = "sample/v1/streams.proto"
PLACES = "sample/v1/places.proto"
PLACE_SERVICE = "sample.v1.PlaceService"
STREAM_SERVICES = ("sample.v1.StreamService", "sample.v1.BlobService")
PLANNED = "windlass.options.v1.planned"
LIMITS = "windlass.options.v1.limits"
WINDLASS_SERVICES = [
    f"windlass.{area}.v1.{area.capitalize()}Service"
    for area in (
        "jobs",
        "resources",
        "experiments",
        "deployments",
        "pipelines",
        "access",
        "system",
    )
]


def compile_protos(out: Path, *sources: str, path: Path | None = None) -> bytes:
    """The descriptor set of protos in tests/support/protos, or in `path`, with all imports."""
    includes = [
        path or ROOT / "tests/support/protos",
        ROOT / "protos",
        Path(annotations_pb2.__file__).parents[2],
        Path(grpc_tools.__file__).parent / "_proto",
    ]
    target = out / "descriptors.binpb"
    command = [
        "protoc",
        *(f"--proto_path={each}" for each in includes),
        f"--descriptor_set_out={target}",
        "--include_imports",
        *sources,
        "google/rpc/error_details.proto",
        "google/rpc/status.proto",
    ]
    assert protoc.main(command) == 0, command
    return target.read_bytes()


def windlass_descriptors() -> bytes:
    """The product's own descriptor set."""
    return (ROOT / "gen/windlass.binpb").read_bytes()


def failure(code: int, message: str, *details: Any) -> RpcFailure:
    """An RpcFailure whose status carries the details, messages or ready `Any`s."""
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        if isinstance(detail, any_pb2.Any):
            status.details.append(detail)
        else:
            status.details.add().Pack(detail)
    return RpcFailure(code, message, status.SerializeToString())


@dataclass
class FakeDispatcher:
    """Answers by script and remembers what it was asked.

    Attributes:
        reply: bytes of every unary answer, or what to raise; None echoes the request.
        stream_script: what a stream does in turn: bytes are sent, exceptions raised, events waited
            for.
        response_metadata: what it fills into each call.
        trailing_metadata: what it fills into a stream's call at its end.
        calls: the calls and their requests.
        closed: set when a stream was closed, however it ended.
        streams: the streams that were handed out; kept, so that none is closed by being collected.
    """

    reply: bytes | Exception | None = None
    stream_script: list[bytes | Exception | asyncio.Event] = field(default_factory=list)
    response_metadata: dict[str, str] = field(default_factory=dict)
    trailing_metadata: dict[str, str | bytes] = field(default_factory=dict)
    calls: list[tuple[OutgoingCall, bytes]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    streams: list[AsyncIterator[bytes]] = field(default_factory=list)

    async def unary(self, call: OutgoingCall, request: bytes) -> bytes:
        self.calls.append((call, request))
        call.response_metadata.update(self.response_metadata)
        if isinstance(self.reply, Exception):
            raise self.reply
        return request if self.reply is None else self.reply

    def stream(self, call: OutgoingCall, request: bytes) -> AsyncIterator[bytes]:
        self.calls.append((call, request))
        call.response_metadata.update(self.response_metadata)
        self.streams.append(self._play(call))
        return self.streams[-1]

    async def client_stream(self, call: OutgoingCall, requests: AsyncIterator[bytes]) -> bytes:
        self.calls.extend([(call, request) async for request in requests])
        call.response_metadata.update(self.response_metadata)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.calls[-1][1] if self.reply is None else self.reply

    async def bidi_stream(
        self, call: OutgoingCall, requests: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        call.response_metadata.update(self.response_metadata)
        async for request in requests:
            self.calls.append((call, request))
            yield request

    async def _play(self, call: OutgoingCall) -> AsyncIterator[bytes]:
        try:
            for step in self.stream_script:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
            call.trailing_metadata.update(self.trailing_metadata)
        finally:
            self.closed.set()


@dataclass
class Answer:
    """What an ASGI application answered."""

    status: int
    headers: list[tuple[str, str]]
    chunks: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The header's only value; None when it is absent."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} is given twice: {values}"
        return values[0] if values else None

    @property
    def reason(self) -> str:
        """The reason of the error's only ErrorInfo."""
        infos = [d for d in self.json["details"] if d["@type"].endswith("google.rpc.ErrorInfo")]
        assert len(infos) == 1, self.json
        return str(infos[0]["reason"])

    @property
    def violations(self) -> dict[str, str]:
        """Field to description, of the error's BadRequest."""
        return {
            each["field"]: each["description"]
            for detail in self.json["details"]
            if detail["@type"].endswith("google.rpc.BadRequest")
            for each in detail["field_violations"]
        }


Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Body = bytes | str | list[bytes] | list[bytes | None] | AsyncIterator[bytes] | None


class AsgiClient:
    """Calls an ASGI application without a server between.

    A body is sent whole, or in pieces, as they are asked for; a piece that is None never comes.

    Attributes:
        gone: set it to close the connection under the application.
        on_chunk: called with each chunk of the answer, when it is sent.
        read_before_answer: how many pieces of the body were read before the answer began.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], *, http_version: str = "1.1") -> None:
        self._app = app
        self._http_version = http_version
        self.gone = asyncio.Event()
        self.on_chunk: Callable[[bytes], None] = lambda _: None
        self.read_before_answer = 0

    async def request(
        self,
        method: str,
        target: str,
        body: Body = None,
        headers: Headers = (),
        *,
        client: tuple[str, int] | None = ("127.0.0.1", 5555),
    ) -> Answer:
        path, _, query = target.partition("?")
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if isinstance(body, str):
            body = body.encode()
        if isinstance(body, bytes):
            pairs.append(("content-length", str(len(body))))
        elif body is not None:
            pairs.append(("transfer-encoding", "chunked"))
        scope = {
            "type": "http",
            "http_version": self._http_version,
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "surrogateescape"),
            "query_string": query.encode("utf-8", "surrogateescape"),
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in pairs],
            "client": client,
        }
        return await self._run(scope, body)

    async def _run(self, scope: dict[str, Any], body: Body) -> Answer:
        messages = _messages(body)
        answer = Answer(0, [], [])
        ended = False
        self.read_before_answer = 0
        leaving = asyncio.create_task(self.gone.wait())
        # Goes on when `receive` is cancelled, as a server's does: nothing of the body is lost.
        reading: asyncio.Future[dict[str, Any] | None] | None = None

        async def receive() -> dict[str, Any]:
            nonlocal reading
            reading = reading or asyncio.ensure_future(anext(messages, None))
            either: set[asyncio.Future[Any]] = {reading, leaving}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                message, reading = reading.result(), None
                if message is not None:
                    self.read_before_answer += answer.status == 0
                    return message
            await leaving
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal ended
            assert not ended, "sent after the end"
            if message["type"] == "http.response.start":
                assert answer.status == 0, "started twice"
                answer.status = message["status"]
                answer.headers = [(k.decode(), v.decode()) for k, v in message["headers"]]
                return
            answer.chunks.append(message["body"])
            ended = not message.get("more_body", False)
            self.on_chunk(message["body"])

        try:
            await self._app(scope, receive, send)
        finally:
            leaving.cancel()
            if reading is not None:
                reading.cancel()
                await asyncio.wait({reading})
            await messages.aclose()
        return answer


async def _messages(body: Body) -> AsyncGenerator[dict[str, Any]]:
    """The body as ASGI's messages."""
    if isinstance(body, AsyncIterator):
        async for piece in body:
            yield {"type": "http.request", "body": piece, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}
        return
    pieces = body if isinstance(body, list) else [body or b""]
    for index, each in enumerate(pieces):
        if each is None:
            await asyncio.Event().wait()
        yield {"type": "http.request", "body": each, "more_body": index + 1 < len(pieces)}


def sample_gateway(descriptors: bytes, dispatcher: FakeDispatcher, **options: Any) -> Gateway:
    """A gateway over the sample contract."""
    return Gateway(
        descriptor_set=descriptors,
        services=[SAMPLE_SERVICE],
        dispatcher=dispatcher,
        planned_extension=PLANNED,
        limits_extension=LIMITS,
        domain="sample",
        **options,
    )
