"""Takes what tasks save to the server, and brings it to the node of the next attempt."""

# The stubs are generic for the type checker alone.
from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from windlass.agents.v1 import agents_service_pb2 as service
from windlass.agents.v1 import agents_service_pb2_grpc, checkpoint_pb2
from windlass_agent import checkpoint_files
from windlass_agent.run_types import Damage, RunExit, RunRequest
from windlass_agent.server_calls import Metadata, Refused, ServerCalls
from windlass_agent.wire import exit_of

_log = structlog.get_logger(__name__)

_FILES_AT_ONCE = 2
_ROUNDS = 3


class Checkpoints(Protocol):
    """What the runner needs. Both answer what went wrong, in a sentence; nothing when all is well."""

    async def save(self, run: RunRequest, end: RunExit | None, folder: Path) -> str:
        """Keep what a run has in a folder; `end` is None while it goes on."""
        ...

    async def restore(self, run: RunRequest, folder: Path) -> str:
        """Bring the checkpoint that a run begins with into a folder; a `Damage` when it is not whole."""
        ...


_DAMAGED = "CHECKPOINT_DAMAGED"


class CheckpointKeeper(ServerCalls):
    """Keeps checkpoints with the server, once it is said where that is."""

    async def save(self, run: RunRequest, end: RunExit | None, folder: Path) -> str:
        """Keep what a run has saved; see `Checkpoints`. Waits for a server that is not there."""
        try:
            await self._save(run, end, folder)
        except (OSError, Refused) as error:
            problem = f"The checkpoint could not be kept: {error}."
            _log.error("a checkpoint is lost", run_id=run.run_id, why=problem)
            return problem
        return ""

    async def restore(self, run: RunRequest, folder: Path) -> str:
        """Bring what a run begins with; see `Checkpoints`. Waits for a server that is not there."""
        try:
            await self._restore(run, folder)
        except (OSError, Refused, checkpoint_files.UnfitPath) as error:
            problem = f"The checkpoint could not be restored: {error}."
            _log.error("a checkpoint is not restored", run_id=run.run_id, why=problem)
            damaged = (
                isinstance(error, checkpoint_files.UnfitPath)
                or getattr(error, "reason", "") == _DAMAGED
            )
            return Damage(problem) if damaged else problem
        return ""

    async def _save(self, run: RunRequest, end: RunExit | None, folder: Path) -> None:
        found = await asyncio.to_thread(checkpoint_files.scan, folder)
        if not found:
            return
        offer = service.OfferCheckpointRequest(
            run_id=run.run_id,
            epoch=run.epoch,
            exit=None if end is None else exit_of(end),
            size_bytes=sum(one.size for one in found),
            entry_count=len(found),
        )
        answer = await self.call(lambda stub, who: stub.OfferCheckpoint(offer, metadata=who))
        if not answer.checkpoint_id:
            return
        manifest = await asyncio.to_thread(checkpoint_files.manifest_of, folder, found)
        commit = service.CommitCheckpointRequest(
            checkpoint_id=answer.checkpoint_id, manifest=manifest
        )
        # The server says what it lacks, so that nothing is sent twice whatever broke off.
        for _ in range(_ROUNDS):
            left = await self.call(lambda stub, who: stub.CommitCheckpoint(commit, metadata=who))
            if not left.missing:
                _log.info("checkpoint saved", run_id=run.run_id, bytes=offer.size_bytes)
                return
            await self._upload(folder, commit, set(left.missing))
        raise Refused("the server has lost some of its files again and again")

    async def _upload(
        self, folder: Path, commit: service.CommitCheckpointRequest, missing: set[bytes]
    ) -> None:
        files = {
            entry.file.sha256: entry
            for entry in commit.manifest.entries
            if entry.HasField("file") and entry.file.sha256 in missing
        }

        async def upload(entry: checkpoint_pb2.CheckpointEntry) -> None:
            start = service.CheckpointFileStart(
                checkpoint_id=commit.checkpoint_id,
                sha256=entry.file.sha256,
                size_bytes=entry.file.size_bytes,
            )
            await self.call(_Upload(folder, entry.path, start))

        await _all([upload(entry) for entry in files.values()])

    async def _restore(self, run: RunRequest, folder: Path) -> None:
        assert run.restore is not None
        checkpoint_id, size = run.restore.checkpoint_id, run.restore.size_bytes
        free = shutil.disk_usage(folder).free
        if free < size:
            raise Refused(f"it takes {size} bytes and the node's disk has {free}")
        asked = service.GetCheckpointRequest(
            run_id=run.run_id, epoch=run.epoch, checkpoint_id=checkpoint_id
        )
        answer = await self.call(lambda stub, who: stub.GetCheckpoint(asked, metadata=who))
        await asyncio.to_thread(checkpoint_files.make_folders, folder, answer.manifest)
        await _all(
            [
                self._download(run, checkpoint_id, folder, entry)
                for entry in answer.manifest.entries
                if entry.HasField("file")
            ]
        )
        await asyncio.to_thread(checkpoint_files.finish, folder, answer.manifest)
        _log.info("checkpoint restored", run_id=run.run_id, bytes=size)

    async def _download(
        self,
        run: RunRequest,
        checkpoint_id: str,
        folder: Path,
        entry: checkpoint_pb2.CheckpointEntry,
    ) -> None:
        digest, size = hashlib.sha256(), 0
        fd = checkpoint_files.create(folder, entry.path)

        async def download(
            stub: agents_service_pb2_grpc.AgentsServiceAsyncStub, who: Metadata
        ) -> None:
            nonlocal size
            asked = service.DownloadCheckpointFileRequest(
                run_id=run.run_id,
                epoch=run.epoch,
                checkpoint_id=checkpoint_id,
                sha256=entry.file.sha256,
                offset=size,
            )
            async for part in stub.DownloadCheckpointFile(asked, metadata=who):
                await asyncio.to_thread(_write, fd, part.data)
                digest.update(part.data)
                size += len(part.data)

        try:
            await self.call(download)
        finally:
            os.close(fd)
        if digest.digest() != entry.file.sha256:
            raise Refused(f"the content of {os.fsdecode(entry.path)} is damaged", _DAMAGED)


@dataclass(slots=True)
class _Upload:
    """One file on its way to the server; may be called again."""

    folder: Path
    path: bytes
    start: service.CheckpointFileStart
    trouble: OSError | None = None

    async def __call__(
        self, stub: agents_service_pb2_grpc.AgentsServiceAsyncStub, who: Metadata
    ) -> None:
        self.trouble = None
        try:
            await stub.UploadCheckpointFile(self._parts(), metadata=who)
        except asyncio.CancelledError:
            # grpc cancels a call whose requests fail, and does not say why.
            if self.trouble is not None:
                raise self.trouble from None
            raise

    async def _parts(self) -> AsyncIterator[service.UploadCheckpointFileRequest]:
        yield service.UploadCheckpointFileRequest(start=self.start)
        parts = checkpoint_files.read(self.folder, self.path)
        try:
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                yield service.UploadCheckpointFileRequest(data=part)
        except OSError as error:
            self.trouble = error
            raise


async def _all(works: Sequence[Awaitable[None]]) -> None:
    """Do all, some at a time; with the first that fails the others end."""
    room = asyncio.Semaphore(_FILES_AT_ONCE)

    async def one(work: Awaitable[None]) -> None:
        async with room:
            await work

    tasks = [asyncio.ensure_future(one(work)) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
