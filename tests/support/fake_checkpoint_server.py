"""The server's side of checkpoints in memory, on a real gRPC server on loopback.

It keeps what it is sent; what it is told to do wrong (fail calls, cut streams, damage files, want
nothing) it does on purpose.
"""

import hashlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from tests.support.aborting import abort
from windlass.agents.v1 import agents_service_pb2 as service
from windlass.agents.v1 import agents_service_pb2_grpc as service_grpc
from windlass.agents.v1 import checkpoint_pb2 as pb
from windlass_server.errors import WindlassError
from windlass_server.rpc.validation import Validation

CHECKPOINT_ID = "ckpt-01jh0000000000000000000000"
_PART = 100_000


class FakeCheckpointServer(service_grpc.AgentsServiceServicer):
    """One checkpoint. Use it as an async context manager."""

    def __init__(self) -> None:
        self.offers: list[service.OfferCheckpointRequest] = []
        self.uploads: list[bytes] = []
        self.downloads: list[int] = []
        self.files: dict[bytes, bytes] = {}
        self.manifest: pb.CheckpointManifest | None = None
        self.tokens: list[str] = []
        """What the calls came with."""
        self.wanted = True
        self.failures: list[grpc.StatusCode | WindlassError] = []
        """What the next calls end with, one each."""
        self.cut_downloads: list[int] = []
        """After how many bytes the next downloads break off, one each."""
        self._validation = Validation()
        self._server = grpc.aio.server()
        self.port = 0

    async def __aenter__(self) -> Self:
        service_grpc.add_AgentsServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.stop(None)

    async def OfferCheckpoint(  # noqa: N802
        self, request: service.OfferCheckpointRequest, context: Any
    ) -> service.OfferCheckpointResponse:
        """Wants it, unless told otherwise."""
        await self._admit(request, context)
        self.offers.append(request)
        return service.OfferCheckpointResponse(checkpoint_id=CHECKPOINT_ID if self.wanted else "")

    async def UploadCheckpointFile(  # noqa: N802
        self, requests: AsyncIterator[service.UploadCheckpointFileRequest], context: Any
    ) -> service.UploadCheckpointFileResponse:
        """Keeps a file that is what was announced."""
        start, content = service.CheckpointFileStart(), b""
        async for request in requests:
            self._validation.check(request)
            start = request.start if request.HasField("start") else start
            content += request.data
        self.uploads.append(start.sha256)
        await self._admit(start, context)
        assert (hashlib.sha256(content).digest(), len(content)) == (start.sha256, start.size_bytes)
        self.files[start.sha256] = content
        return service.UploadCheckpointFileResponse()

    async def CommitCheckpoint(  # noqa: N802
        self, request: service.CommitCheckpointRequest, context: Any
    ) -> service.CommitCheckpointResponse:
        """Keeps it when nothing is missing."""
        await self._admit(request, context)
        files = [entry.file for entry in request.manifest.entries if entry.HasField("file")]
        missing = {file.sha256 for file in files} - self.files.keys()
        if not missing:
            self.manifest = request.manifest
        return service.CommitCheckpointResponse(missing=sorted(missing))

    async def GetCheckpoint(  # noqa: N802
        self, request: service.GetCheckpointRequest, context: Any
    ) -> service.GetCheckpointResponse:
        """What was kept."""
        await self._admit(request, context)
        return service.GetCheckpointResponse(manifest=self.manifest)

    async def DownloadCheckpointFile(  # noqa: N802
        self, request: service.DownloadCheckpointFileRequest, context: Any
    ) -> AsyncIterator[service.DownloadCheckpointFileResponse]:
        """A file that was kept."""
        await self._admit(request, context)
        self.downloads.append(request.offset)
        content = self.files[request.sha256][request.offset :]
        room = self.cut_downloads.pop(0) if self.cut_downloads else len(content)
        for first in range(0, room, _PART):
            part = content[first : min(first + _PART, room)]
            yield service.DownloadCheckpointFileResponse(data=part)
        if room < len(content):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")

    async def _admit(self, request: Any, context: Any) -> None:
        self._validation.check(request)
        self.tokens.append(dict(context.invocation_metadata())["authorization"])
        if not self.failures:
            return
        failure = self.failures.pop(0)
        if isinstance(failure, grpc.StatusCode):
            await context.abort(failure, "failed by the test")
            return
        await abort(context, failure)
