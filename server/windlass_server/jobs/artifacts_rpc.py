"""The artifacts of jobs on the wire."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from google.api import httpbody_pb2

from windlass.jobs.v1 import artifact_pb2 as pb
from windlass_server.errors import InvalidInput
from windlass_server.gateway.filenames import attachment
from windlass_server.gateway.ranges import (
    ByteRange,
    Unsatisfiable,
    range_applies,
    requested_range,
)
from windlass_server.jobs.artifact_message import artifact_message
from windlass_server.jobs.artifact_rules import pairs
from windlass_server.jobs.artifacts import ArtifactsService, NewArtifact
from windlass_server.rpc.call import Call
from windlass_server.storage.artifacts import ArtifactFilter

_Part = TypeVar("_Part", pb.UploadJobArtifactRequest, pb.WriteJobArtifactRequest)


class ArtifactsRpc:
    """The part of `windlass.jobs.v1.JobsService` that is about artifacts."""

    _artifacts: ArtifactsService

    async def UploadJobArtifact(
        self, requests: AsyncIterator[pb.UploadJobArtifactRequest], call: Call
    ) -> pb.Artifact:
        first = await _first(requests)
        new = NewArtifact(
            name=first.name or first.filename,
            type=first.type,
            metadata=pairs(first.metadata),
            content_type=first.content.content_type,
            sha256=first.sha256,
        )
        row = await self._artifacts.upload(call.caller, first.job_id, new, _data(first, requests))
        return artifact_message(row)

    async def BeginJobArtifact(
        self, request: pb.BeginJobArtifactRequest, call: Call
    ) -> pb.Artifact:
        new = NewArtifact(
            name=request.name,
            type=request.type,
            metadata=pairs(request.metadata),
            content_type=request.content_type,
            sha256=request.sha256,
            size_bytes=request.size_bytes if request.HasField("size_bytes") else None,
        )
        return artifact_message(await self._artifacts.begin(call.caller, request.job_id, new))

    async def WriteJobArtifact(
        self, requests: AsyncIterator[pb.WriteJobArtifactRequest], call: Call
    ) -> pb.Artifact:
        first = await _first(requests)
        row = await self._artifacts.write(
            call.caller, first.job_id, first.artifact_id, first.offset, _data(first, requests)
        )
        return artifact_message(row)

    async def FinishJobArtifact(
        self, request: pb.FinishJobArtifactRequest, call: Call
    ) -> pb.Artifact:
        row = await self._artifacts.finish(
            call.caller, request.job_id, request.artifact_id, sha256=request.sha256
        )
        return artifact_message(row)

    async def ListJobArtifacts(
        self, request: pb.ListJobArtifactsRequest, call: Call
    ) -> pb.ListJobArtifactsResponse:
        wanted = ArtifactFilter(
            job_id=request.job_id,
            name=request.name,
            type=request.type,
            run_id=request.run_id,
            unfinished=request.show_unfinished,
        )
        rows, token = await self._artifacts.list(
            call.caller, wanted, size=request.page_size, token=request.page_token
        )
        return pb.ListJobArtifactsResponse(
            artifacts=[artifact_message(row) for row in rows], next_page_token=token
        )

    async def GetJobArtifact(self, request: pb.GetJobArtifactRequest, call: Call) -> pb.Artifact:
        row = await self._artifacts.get(call.caller, request.job_id, request.artifact_id)
        return artifact_message(row)

    async def DownloadJobArtifact(
        self, request: pb.DownloadJobArtifactRequest, call: Call
    ) -> AsyncGenerator[httpbody_pb2.HttpBody]:
        row = await self._artifacts.readable(call.caller, request.job_id, request.artifact_id)
        artifact, offset, size = artifact_message(row), request.offset, row.size_bytes
        if offset > size:
            text = f"the artifact has {size} bytes, none of them behind {offset}"
            raise InvalidInput(text, reason="OFFSET_BEHIND_END", size_bytes=str(size))
        told = {
            "content-disposition": attachment(artifact.name.rpartition("/")[2]),
            "etag": f'"{artifact.sha256}"',
        }
        served = None if offset else _range(call, told["etag"], size)
        if served is None:
            told["x-content-length"] = str(size - offset)
            served = ByteRange(offset, size - 1, size)
        else:
            told["content-range"] = str(served)
        if offset:
            # It is not the file that the tag is of.
            del told["etag"]
        call.response_metadata |= told
        content_type = artifact.content_type or "application/octet-stream"
        async with aclosing(self._artifacts.content(row, served.first, served.length)) as pieces:
            async for piece in pieces:
                yield httpbody_pb2.HttpBody(content_type=content_type, data=piece)
                content_type = ""

    async def DeleteJobArtifact(
        self, request: pb.DeleteJobArtifactRequest, call: Call
    ) -> pb.Artifact:
        row = await self._artifacts.delete(call.caller, request.job_id, request.artifact_id)
        return artifact_message(row)


async def _first(requests: AsyncIterator[_Part]) -> _Part:
    """The message that says what is coming."""
    first = await anext(requests, None)
    if first is None:
        raise InvalidInput("the first message says what is coming", reason="START_EXPECTED")
    return first


async def _data(first: _Part, requests: AsyncIterator[_Part]) -> AsyncIterator[bytes]:
    yield first.content.data
    async for request in requests:
        if request.job_id:
            raise InvalidInput("a file has one first message", reason="START_REPEATED")
        yield request.content.data


def _range(call: Call, etag: str, size: int) -> ByteRange | None:
    """The range that is asked for, so that what is before it need not be read; None: all of it."""
    wanted = call.first("range")
    if not wanted or not range_applies(call.first("if-range"), etag, ""):
        return None
    try:
        return requested_range(wanted, size)
    except Unsatisfiable:
        # The gateway refuses it, with the file's size.
        return None
