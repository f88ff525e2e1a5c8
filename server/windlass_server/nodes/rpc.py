"""The agents' private API: connects streams with their sessions."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import ClassVar

from windlass.agents.v1 import (
    agent_pb2,
    agents_service_pb2,
    artifact_pb2,
    checkpoint_pb2,
    preparation_pb2,
    profile_pb2,
)
from windlass_server import __version__
from windlass_server.errors import InvalidInput
from windlass_server.jobs.checkpoints import CheckpointsService
from windlass_server.jobs.profiles import JobProfiles
from windlass_server.jobs.run_artifacts import RunArtifacts
from windlass_server.jobs.sources import SourcesService
from windlass_server.nodes.duties import RunMetrics, Runs, Samples
from windlass_server.nodes.pace import Pace
from windlass_server.nodes.registry import NodeRegistry
from windlass_server.nodes.telemetry_session import TelemetrySession, telemetry
from windlass_server.nodes.versions import check_release
from windlass_server.objects.logs import LogStore
from windlass_server.resources.membership import Membership
from windlass_server.rpc.call import Call
from windlass_server.telemetry.known_batches import BatchReader, KnownBatch


class AgentsRpc:
    """Servicer of `windlass.agents.v1.AgentsService`."""

    READERS: ClassVar = {"StreamTelemetry": BatchReader}

    def __init__(
        self,
        membership: Membership,
        registry: NodeRegistry,
        runs: Runs,
        logs: LogStore,
        samples: Samples,
        metrics: RunMetrics,
        profiles: JobProfiles,
        checkpoints: CheckpointsService,
        artifacts: RunArtifacts,
        sources: SourcesService,
        pace: Pace,
    ) -> None:
        self._membership = membership
        self._registry = registry
        self._runs = runs
        self._logs = logs
        self._checkpoints = checkpoints
        self._artifacts = artifacts
        self._sources = sources
        self._pace = pace
        self._samples = samples
        self._metrics = metrics
        self._profiles = profiles

    async def Join(
        self, request: agents_service_pb2.JoinRequest, _call: Call
    ) -> agents_service_pb2.JoinResponse:
        # No rule bounds what the contract does not know, and it would be stored with the rest.
        request.DiscardUnknownFields()
        # Before the token is used: a machine that cannot be spoken with is no node.
        check_release(request.inventory.agent_version, __version__)
        node_id = await self._membership.join(
            request.join_token, request.public_key, request.inventory
        )
        return agents_service_pb2.JoinResponse(node_id=node_id)

    async def OpenSession(
        self, requests: AsyncIterator[agents_service_pb2.OpenSessionRequest], call: Call
    ) -> AsyncIterator[agents_service_pb2.OpenSessionResponse]:
        session = self._registry.control(call.caller.node_id, _control_messages(requests))
        async with aclosing(session) as answers:
            async for message in answers:
                yield agents_service_pb2.OpenSessionResponse(message=message)

    async def StreamTelemetry(
        self,
        requests: AsyncIterator[agents_service_pb2.StreamTelemetryRequest | KnownBatch],
        call: Call,
    ) -> AsyncIterator[agents_service_pb2.StreamTelemetryResponse]:
        session = TelemetrySession(
            call.caller.node_id,
            self._logs,
            self._samples,
            self._metrics,
            self._runs,
            self._registry.tell,
            self._pace,
        )
        async with aclosing(telemetry(session, _telemetry_messages(requests))) as replies:
            async for message in replies:
                yield agents_service_pb2.StreamTelemetryResponse(message=message)

    async def OfferCheckpoint(
        self, request: agents_service_pb2.OfferCheckpointRequest, call: Call
    ) -> agents_service_pb2.OfferCheckpointResponse:
        checkpoint_id = await self._checkpoints.offer(call.caller.node_id, request)
        return agents_service_pb2.OfferCheckpointResponse(checkpoint_id=checkpoint_id)

    async def UploadCheckpointFile(
        self, requests: AsyncIterator[agents_service_pb2.UploadCheckpointFileRequest], call: Call
    ) -> agents_service_pb2.UploadCheckpointFileResponse:
        first = await anext(requests, None)
        if first is None or not first.HasField("start"):
            raise InvalidInput("the first message is start", reason="START_EXPECTED")
        file = checkpoint_pb2.CheckpointFile(
            sha256=first.start.sha256, size_bytes=first.start.size_bytes
        )
        await self._checkpoints.store_file(
            call.caller.node_id, file, first.start.checkpoint_id, _content(requests)
        )
        return agents_service_pb2.UploadCheckpointFileResponse()

    async def CommitCheckpoint(
        self, request: agents_service_pb2.CommitCheckpointRequest, call: Call
    ) -> agents_service_pb2.CommitCheckpointResponse:
        request.DiscardUnknownFields()
        missing = await self._checkpoints.commit(
            call.caller.node_id, request.checkpoint_id, request.manifest
        )
        return agents_service_pb2.CommitCheckpointResponse(missing=missing)

    async def GetCheckpoint(
        self, request: agents_service_pb2.GetCheckpointRequest, call: Call
    ) -> agents_service_pb2.GetCheckpointResponse:
        manifest = await self._checkpoints.manifest(call.caller.node_id, request)
        return agents_service_pb2.GetCheckpointResponse(manifest=manifest)

    async def DownloadCheckpointFile(
        self, request: agents_service_pb2.DownloadCheckpointFileRequest, call: Call
    ) -> AsyncIterator[agents_service_pb2.DownloadCheckpointFileResponse]:
        async with aclosing(self._checkpoints.file(call.caller.node_id, request)) as parts:
            async for part in parts:
                yield agents_service_pb2.DownloadCheckpointFileResponse(data=part)

    async def DownloadSource(
        self, request: preparation_pb2.DownloadSourceRequest, call: Call
    ) -> AsyncIterator[preparation_pb2.DownloadSourceResponse]:
        content = self._sources.content_for(call.caller.node_id, request)
        async with aclosing(content) as parts:
            async for part in parts:
                yield part

    async def OfferArtifacts(
        self, request: artifact_pb2.OfferArtifactsRequest, call: Call
    ) -> artifact_pb2.OfferArtifactsResponse:
        missing = await self._artifacts.offer(call.caller.node_id, request)
        return artifact_pb2.OfferArtifactsResponse(missing=missing)

    async def UploadProfile(
        self, request: profile_pb2.UploadProfileRequest, call: Call
    ) -> profile_pb2.UploadProfileResponse:
        self._profiles.upload(call.caller.node_id, request)
        return profile_pb2.UploadProfileResponse()

    async def UploadArtifact(
        self, requests: AsyncIterator[artifact_pb2.UploadArtifactRequest], call: Call
    ) -> artifact_pb2.UploadArtifactResponse:
        first = await anext(requests, None)
        if first is None or not first.HasField("start"):
            raise InvalidInput("the first message is start", reason="START_EXPECTED")
        await self._artifacts.upload(call.caller.node_id, first.start, requests)
        return artifact_pb2.UploadArtifactResponse()


async def _content(
    requests: AsyncIterator[agents_service_pb2.UploadCheckpointFileRequest],
) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.HasField("start"):
            raise InvalidInput("a file has one start", reason="START_REPEATED")
        yield request.data


async def _control_messages(
    requests: AsyncIterator[agents_service_pb2.OpenSessionRequest],
) -> AsyncIterator[agent_pb2.AgentMessage]:
    async for request in requests:
        # As in Join.
        request.DiscardUnknownFields()
        yield request.message


async def _telemetry_messages(
    requests: AsyncIterator[agents_service_pb2.StreamTelemetryRequest | KnownBatch],
) -> AsyncIterator[agent_pb2.TelemetryMessage | KnownBatch]:
    async for request in requests:
        yield request if isinstance(request, KnownBatch) else request.message
