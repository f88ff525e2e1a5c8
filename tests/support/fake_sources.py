"""The archives of a control plane in memory."""

import hashlib
from typing import Any

import grpc

from windlass.jobs.v1 import source_pb2 as pb


class FakeSources:
    """The part of a fake `JobsService` that is about archives.

    Attributes:
        sources: what there is, oldest first.
        archives: the bytes of each, by its id.
    """

    def __init__(self) -> None:
        self.sources: list[pb.SourceArchive] = []
        self.archives: dict[str, bytes] = {}

    async def UploadSource(self, requests: Any, _context: Any) -> pb.SourceArchive:
        project, content = "", b""
        async for request in requests:
            project = project or request.project
            content += request.content.data
        digest = hashlib.sha256(content).hexdigest()
        made = pb.SourceArchive(
            source_id=f"source-{len(self.sources) + 1}",
            project=project,
            sha256=digest,
            size_bytes=len(content),
        )
        self.sources.append(made)
        self.archives[made.source_id] = content
        return made

    async def ListSources(
        self, request: pb.ListSourcesRequest, _context: Any
    ) -> pb.ListSourcesResponse:
        found = [
            one
            for one in reversed(self.sources)
            if one.project == request.project and request.sha256 in ("", one.sha256)
        ]
        return pb.ListSourcesResponse(sources=found)

    async def GetSource(self, request: pb.GetSourceRequest, context: Any) -> pb.SourceArchive:
        for one in self.sources:
            if one.source_id == request.source_id:
                return one
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no source {request.source_id!r}")
        raise AssertionError

    async def DeleteSource(self, request: pb.DeleteSourceRequest, context: Any) -> pb.SourceArchive:
        found = await self.GetSource(pb.GetSourceRequest(source_id=request.source_id), context)
        self.sources.remove(found)
        return found
