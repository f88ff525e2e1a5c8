"""Takes what tasks leave for their jobs to the server, when they have ended."""

# The stubs are generic for the type checker alone.
from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import structlog

from windlass.agents.v1 import agents_service_pb2_grpc
from windlass.agents.v1 import artifact_pb2 as pb
from windlass_agent import artifact_files, checkpoint_files
from windlass_agent.artifact_files import Leaf
from windlass_agent.run_types import Collected, RunRequest
from windlass_agent.server_calls import Metadata, Refused, ServerCalls

_log = structlog.get_logger(__name__)

# When the server says so of one file, it is so of all.
_OF_ALL = (
    "ARTIFACTS_TOO_LATE",
    "OBJECT_STORE_FULL",
    "QUOTA",
    "RUN_NOT_FOUND",
    "TOO_MANY_ARTIFACTS",
)


class Artifacts(Protocol):
    """What the runner needs."""

    async def collect(self, run: RunRequest, folder: Path) -> Collected:
        """Make the files in a folder of a run that has ended artifacts of its job."""
        ...


class ArtifactCollector(ServerCalls):
    """Uploads what is missing, file by file: what is there already is not sent again."""

    async def collect(self, run: RunRequest, folder: Path) -> Collected:
        """See `Artifacts`. Waits for a server that is not there."""
        try:
            found = await asyncio.to_thread(artifact_files.find, folder)
            if not found.files:
                return Collected(problem=found.problem)
            missing = await self._missing(run, found.files)
        except (OSError, Refused) as error:
            return _told(run, Collected(problem=f"Artifacts could not be taken: {error}."))
        taken = [one for one in found.files if one.name not in missing]
        problems = [found.problem] if found.problem else []
        for file in found.files:
            if file.name not in missing:
                continue
            try:
                await self.call(_Upload(run, folder, file))
                taken.append(file)
            except (OSError, Refused) as error:
                problems.append(f"{file.name}: {error}")
                if getattr(error, "reason", "") in _OF_ALL:
                    break
        left = len(found.files) - len(taken)
        problem = ""
        if problems:
            more = f" ({left} files in all)" if left > 1 else ""
            problem = f"Some artifacts could not be taken: {problems[0]}{more}."
        return _told(run, Collected(len(taken), sum(one.size for one in taken), problem))

    async def _missing(self, run: RunRequest, files: tuple[Leaf, ...]) -> set[str]:
        request = pb.OfferArtifactsRequest(
            run_id=run.run_id,
            epoch=run.epoch,
            files=[pb.ArtifactFile(name=one.name, size_bytes=one.size) for one in files],
        )
        answer = await self.call(lambda stub, who: stub.OfferArtifacts(request, metadata=who))
        return set(answer.missing)


class _Upload:
    """One file on its way to the server; may be called again."""

    def __init__(self, run: RunRequest, folder: Path, file: Leaf) -> None:
        self._run = run
        self._folder = folder
        self._file = file
        self._trouble: OSError | None = None

    async def __call__(
        self, stub: agents_service_pb2_grpc.AgentsServiceAsyncStub, who: Metadata
    ) -> None:
        self._trouble = None
        try:
            await stub.UploadArtifact(self._messages(), metadata=who)
        except asyncio.CancelledError:
            # grpc cancels a call whose requests fail, and does not say why.
            if self._trouble is not None:
                raise self._trouble from None
            raise

    async def _messages(self) -> AsyncIterator[pb.UploadArtifactRequest]:
        yield pb.UploadArtifactRequest(
            start=pb.ArtifactStart(
                run_id=self._run.run_id,
                epoch=self._run.epoch,
                name=self._file.name,
                size_bytes=self._file.size,
            )
        )
        digest = hashlib.sha256()
        parts = checkpoint_files.read(self._folder, self._file.path)
        try:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                digest.update(part)
                yield pb.UploadArtifactRequest(data=part)
        except OSError as error:
            self._trouble = error
            raise
        yield pb.UploadArtifactRequest(sha256=digest.digest())


def _told(run: RunRequest, collected: Collected) -> Collected:
    if collected.problem:
        _log.error("artifacts are lost", run_id=run.run_id, why=collected.problem)
    if collected.count:
        _log.info("artifacts taken", run_id=run.run_id, files=collected.count, bytes=collected.size)
    return collected
