"""The artifacts of a control plane in memory, whose connections break when a test says so."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.api import httpbody_pb2

from windlass.jobs.v1 import artifact_pb2 as pb

PIECE = 1 << 20


class FakeArtifacts:
    """The part of a fake `JobsService` that is about artifacts.

    Attributes:
        artifacts: what there is, oldest first.
        contents: the bytes of each, by its id.
        breaks: after how many bytes the next upload or download breaks off, of as many as there are.
    """

    def __init__(self) -> None:
        self.artifacts: list[pb.Artifact] = []
        self.contents: dict[str, bytearray] = {}
        self.breaks: list[int] = []

    async def UploadJobArtifact(self, requests: Any, context: Any) -> pb.Artifact:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not used by the client")
        raise AssertionError

    async def BeginJobArtifact(self, request: Any, context: Any) -> pb.Artifact:
        artifact_id = f"artifact-{len(self.artifacts) + 1}"
        metadata = dict(one.split("=", 1) for one in request.metadata)
        made = pb.Artifact(
            artifact_id=artifact_id,
            job_id=request.job_id,
            name=request.name,
            type=request.type or pb.Artifact.OTHER,
            metadata=metadata,
            content_type=request.content_type,
            state=pb.Artifact.UPLOADING,
        )
        self.artifacts.append(made)
        self.contents[artifact_id] = bytearray()
        return made

    async def WriteJobArtifact(self, requests: Any, context: Any) -> pb.Artifact:
        artifact, left = pb.Artifact(), self.breaks.pop(0) if self.breaks else -1
        async for request in requests:
            if request.artifact_id:
                artifact = await self._artifact(request, context)
                assert request.offset == artifact.size_bytes
            content = self.contents[artifact.artifact_id]
            content += request.content.data[: left if left >= 0 else None]
            artifact.size_bytes = len(content)
            if left >= 0:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return artifact

    async def FinishJobArtifact(self, request: Any, context: Any) -> pb.Artifact:
        artifact = await self._artifact(request, context)
        artifact.sha256 = hashlib.sha256(self.contents[artifact.artifact_id]).hexdigest()
        assert request.sha256 in ("", artifact.sha256)
        artifact.state = pb.Artifact.READY
        artifact.version = 1
        return artifact

    async def GetJobArtifact(self, request: Any, context: Any) -> pb.Artifact:
        return await self._artifact(request, context)

    async def ListJobArtifacts(self, request: Any, context: Any) -> pb.ListJobArtifactsResponse:
        found = [
            one
            for one in reversed(self.artifacts)
            if request.name in ("", one.name)
            and request.type in (0, one.type)
            and (request.show_unfinished or one.state == pb.Artifact.READY)
        ]
        return pb.ListJobArtifactsResponse(artifacts=found)

    async def DownloadJobArtifact(
        self, request: Any, context: Any
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        artifact = await self._artifact(request, context)
        content = bytes(self.contents[artifact.artifact_id])[request.offset :]
        left = self.breaks.pop(0) if self.breaks else -1
        if left >= 0:
            yield httpbody_pb2.HttpBody(data=content[:left])
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        for start in range(0, len(content), PIECE):
            yield httpbody_pb2.HttpBody(data=content[start : start + PIECE])

    async def DeleteJobArtifact(self, request: Any, context: Any) -> pb.Artifact:
        artifact = await self._artifact(request, context)
        self.artifacts.remove(artifact)
        return artifact

    async def _artifact(self, request: Any, context: Any) -> pb.Artifact:
        for one in self.artifacts:
            if (one.job_id, one.artifact_id) == (request.job_id, request.artifact_id):
                return one
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no {request.artifact_id}")
        raise AssertionError
