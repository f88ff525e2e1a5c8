"""The sample contract's streams and files, served by real servicers through the real pipeline."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

# Puts HttpBody into the default pool, as others in the same process may have done already.
from google.api import httpbody_pb2  # noqa: F401
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.support.gateway import STREAM_SERVICES, STREAMS
from windlass_server.errors import NotFound
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.dispatch import Dispatcher
from windlass_server.rpc.authorisation import Authorisation
from windlass_server.rpc.call import Call
from windlass_server.rpc.dispatcher import InProcessDispatcher
from windlass_server.rpc.draining import Draining
from windlass_server.rpc.methods import served_methods
from windlass_server.rpc.pipeline import Pipeline
from windlass_server.rpc.request_id import RequestId
from windlass_server.rpc.validation import Validation


class SampleTypes:
    """Message classes of the sample contract, also known to protobuf's default pool."""

    def __init__(self, descriptor_set: bytes) -> None:
        self._pool = descriptor_pool.Default()
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
            if file.name == STREAMS:
                self._pool.AddSerializedFile(file.SerializeToString())

    def __getattr__(self, name: str) -> Any:
        full_name = "google.api.HttpBody" if name == "HttpBody" else f"sample.v1.{name}"
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(full_name))


@dataclass
class StreamServicer:
    """Serves `sample.v1.StreamService`.

    Attributes:
        committed: what whole streams said.
        taken: how many messages of a client's stream were taken.
        given: how many messages of a server's stream were asked for.
        ended: how server's streams ended: `end`, or the name of an exception.
        waiting: whether one has nothing to send, as for a negative cursor.
        idle: set when a call has ended, and cleared when one begins.
    """

    types: SampleTypes
    committed: list[list[str]] = field(default_factory=list)
    taken: int = 0
    given: int = 0
    ended: list[str] = field(default_factory=list)
    waiting: bool = False
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def Collect(self, notes: AsyncIterator[Any], call: Call) -> Any:
        texts: list[str] = []
        room = ""
        async for note in notes:
            self.taken += 1
            room = room or note.room
            texts.append(note.text or note.detail.text)
            if note.text == "no more":
                raise NotFound("the room is closed", reason="ROOM_CLOSED")
            if note.text == "enough":
                break
        self.committed.append(texts)
        return self.types.Collected(room=room, count=len(texts), texts=texts)

    async def Chat(self, notes: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async with _NotedEnd(self.ended, self.idle):
            async for note in notes:
                self.taken += 1
                yield note

    async def Follow(self, request: Any, call: Call) -> AsyncIterator[Any]:
        async with _NotedEnd(self.ended, self.idle):
            first = int(request.cursor or 0)
            if first < 0:
                self.waiting = True
                await asyncio.Event().wait()
            for number in range(first, request.count):
                self.given += 1
                yield self.types.Note(
                    number=number, text="x" * request.size, cursor=str(number + 1)
                )


class HangingStreams(StreamServicer):
    """Answers what it is told to at first, and then nothing more."""

    async def Follow(self, request: Any, call: Call) -> AsyncIterator[Any]:
        async with _NotedEnd(self.ended, self.idle):
            for number in range(request.count):
                yield self.types.Note(number=number)
            await asyncio.Event().wait()

    async def Chat(self, notes: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async with _NotedEnd(self.ended, self.idle):
            async for note in notes:
                yield note
            await asyncio.Event().wait()

    async def Collect(self, notes: AsyncIterator[Any], call: Call) -> Any:
        async with _NotedEnd(self.ended, self.idle):
            await asyncio.Event().wait()


class _NotedEnd:
    """Notes how a call ends, and that none is under way any more."""

    def __init__(self, ended: list[str], idle: asyncio.Event) -> None:
        self._ended = ended
        self._idle = idle

    async def __aenter__(self) -> None:
        self._idle.clear()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.append(kind.__name__ if kind else "end")
        self._idle.set()


@dataclass
class StoredBlob:
    """A file of `BlobServicer`."""

    data: bytes
    content_type: str = "application/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)
    times: int = 1  # how often the data is sent in a row


@dataclass
class BlobServicer:
    """Serves `sample.v1.BlobService` from memory.

    Attributes:
        blobs: what can be downloaded, by name.
        committed: the uploads that came to their end, by name.
        calls: the calls, for their metadata.
        piece: bytes of each message of a download.
        sent: how many messages of downloads were asked for.
        ended: how streams ended, as above.
        idle: as above.
    """

    types: SampleTypes
    blobs: dict[str, StoredBlob] = field(default_factory=dict)
    committed: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    piece: int = 64 << 10
    sent: int = 0
    ended: list[str] = field(default_factory=list)
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def Upload(self, requests: AsyncIterator[Any], call: Call) -> Any:
        self.calls.append(call)
        blob = self.types.Blob()
        digest = hashlib.sha256()
        async with _NotedEnd(self.ended, self.idle):
            async for request in requests:
                if blob.messages == 0:
                    blob.name, blob.filename = request.name, request.filename
                    blob.version, blob.content_type = request.version, request.content.content_type
                blob.messages += 1
                blob.size += len(request.content.data)
                digest.update(request.content.data)
        blob.sha256 = digest.hexdigest()
        self.committed[blob.name] = blob
        return blob

    async def UploadSmall(self, requests: AsyncIterator[Any], call: Call) -> Any:
        return await self.Upload(requests, call)

    async def Put(self, request: Any, call: Call) -> Any:
        async def one() -> AsyncIterator[Any]:
            yield request

        return await self.Upload(one(), call)

    async def Download(self, request: Any, call: Call) -> AsyncIterator[Any]:
        self.calls.append(call)
        blob = self._find(request.name)
        call.response_metadata.update(blob.metadata)
        async with _NotedEnd(self.ended, self.idle):
            for start in list(range(0, len(blob.data), self.piece)) * blob.times:
                self.sent += 1
                yield self.types.HttpBody(
                    content_type=blob.content_type if start == 0 else "",
                    data=blob.data[start : start + self.piece],
                )

    async def Get(self, request: Any, call: Call) -> Any:
        self.calls.append(call)
        blob = self._find(request.name)
        call.response_metadata.update(blob.metadata)
        return self.types.HttpBody(content_type=blob.content_type, data=blob.data)

    async def Describe(self, request: Any, call: Call) -> Any:
        return self.types.Described(name=request.name, content=await self.Get(request, call))

    async def Echo(self, request: Any, call: Call) -> Any:
        self.calls.append(call)
        return request

    async def Pipe(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        self.calls.append(call)
        async for request in requests:
            yield request

    def _find(self, name: str) -> StoredBlob:
        try:
            return self.blobs[name]
        except KeyError:
            raise NotFound(f"there is no blob {name}", reason="BLOB_NOT_FOUND") from None


@dataclass
class SampleServer:
    """The services, and what a gateway needs to serve them."""

    descriptor_set: bytes
    types: SampleTypes
    streams: StreamServicer
    blobs: BlobServicer
    pipeline: Pipeline
    draining: Draining

    def gateway(self, dispatcher: Dispatcher | None = None, **options: Any) -> Gateway:
        """A gateway that serves them, by default in its process."""
        unrouted = next(iter(self.pipeline.methods.values()))
        return Gateway(
            descriptor_set=self.descriptor_set,
            services=STREAM_SERVICES,
            dispatcher=dispatcher or InProcessDispatcher(self.pipeline, unrouted),
            limits_extension="windlass.options.v1.limits",
            domain="sample",
            **options,
        )


def sample_server(
    descriptor_set: bytes, types: SampleTypes, streams: StreamServicer | None = None
) -> SampleServer:
    """Servicers behind a pipeline of their own."""
    streams, blobs = streams or StreamServicer(types), BlobServicer(types)
    draining = Draining()
    pipeline = Pipeline(
        served_methods(dict(zip(STREAM_SERVICES, (streams, blobs), strict=True))),
        before_parsing=[RequestId()],
        after_parsing=[Authorisation()],
        validation=Validation(),
        draining=draining,
    )
    return SampleServer(descriptor_set, types, streams, blobs, pipeline, draining)
