"""What jobs save for their next attempts: taken from one node, kept, and given to the next.

A checkpoint is offered, uploaded and committed while its run still counts as running, so that the job
is never placed again without it. It exists for others from the commit on, whole.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from windlass.agents.v1 import agent_pb2, agents_service_pb2, checkpoint_pb2
from windlass_server import actors
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import Exhausted, InvalidInput, NotFound, WrongState
from windlass_server.ids import IdSource
from windlass_server.jobs import rules
from windlass_server.jobs.damaged_checkpoints import shown
from windlass_server.jobs.ends import attempts_failed
from windlass_server.jobs.ranks import event_of
from windlass_server.jobs.retry_policy import by_policy
from windlass_server.jobs.states import Event, Status
from windlass_server.objects.store import ObjectStore
from windlass_server.storage.checkpoints import State
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import CheckpointRow, JobRow, RunRow
from windlass_server.storage.transaction import Transaction

_MANIFEST = "manifest"
_FILES = "files"
# Room that an offer leaves to everything else on the disk.
_SPARE_BYTES = 256 << 20
_REMOVALS_AT_ONCE = 100
# How often it is looked whether a file that is on its way may still come.
_LOOK_SECONDS = 1.0
MAX_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of checkpoints.

    Attributes:
        max_bytes: the largest one.
        newest: how many of a job.
        after_end: how long when the job has ended, in microseconds.
        forced: how long a run may save what it has that had to leave its node by force, in microseconds.
        for_retry: how long when the job has ended without success, so that a retry begins with them.
    """

    max_bytes: int
    newest: int
    after_end: int
    forced: int = 60 * MICROS_PER_SECOND
    for_retry: int = 0


class CheckpointsService:
    """Keeps checkpoints.

    Args:
        store: where their files go.
        keeping: what is kept.
    """

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        clock: Clock,
        ids: IdSource,
        keeping: Keeping,
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._ids = ids
        self._keeping = keeping

    async def offer(self, node_id: str, request: agents_service_pb2.OfferCheckpointRequest) -> str:
        """The id under which a run's checkpoint may be uploaded; empty when nobody needs it.

        Raises:
            NotFound: the run is not this node's.
            WrongState: it is too large (`CHECKPOINT_TOO_LARGE`), or comes too late of a run that had to
                leave by force (`CHECKPOINT_TOO_LATE`).
            Exhausted: there is no room for it (`OBJECT_STORE_FULL`).
        """
        run, job = await self._database.read(lambda tx: _run_of(tx, node_id, request.run_id))
        if run.epoch != request.epoch or not run.active:
            raise _no_run(request.run_id)
        # What a job of several nodes saves, its first rank saves for all.
        if run.rank:
            return ""
        faults = await self._database.read(
            lambda tx: len(attempts_failed(tx.runs.nodes_ended_by(job.job_id, rules.NODE_FAULTS)))
        )
        wanted = not request.HasField("exit") or self._wanted(run, job, request.exit, faults)
        if job.status == Status.CANCELLING or not wanted:
            return ""
        self._require_time(run)
        self._require_room(run.run_id, request.size_bytes, request.entry_count)
        return await self._database.write(lambda tx: self._begin(tx, run, request))

    def _wanted(self, run: RunRow, job: JobRow, end: agent_pb2.RunExit, faults: int) -> bool:
        """Whether somebody may begin with what a run saves at its end."""
        if self._keeping.after_end:
            return True
        event = _event(run, job, end, faults)
        for_retry = self._keeping.for_retry > 0 and event not in (None, Event.SUCCEED)
        return event is Event.REQUEUE or for_retry

    def _require_time(self, run: RunRow) -> None:
        """Nobody waits long for what a run saves that had to leave its node by force."""
        if run.forced_at is not None and self._clock.now() >= run.forced_at + self._keeping.forced:
            seconds = self._keeping.forced / MICROS_PER_SECOND
            text = f"the run had to leave its node by force, and had {seconds:g} seconds to save"
            raise WrongState(text, reason="CHECKPOINT_TOO_LATE", subject=run.run_id)

    async def _in_time(self, run_id: str, parts: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
        """The parts, for as long as their run may save."""
        looked_at = float("-inf")
        async for part in parts:
            if self._clock.monotonic() - looked_at >= _LOOK_SECONDS:
                looked_at = self._clock.monotonic()
                run = await self._database.read(lambda tx: tx.runs.get(run_id))
                if run is not None:
                    self._require_time(run)
            yield part

    def _require_room(self, run_id: str, size: int, entries: int) -> None:
        most = self._keeping.max_bytes
        if size > most or entries > MAX_ENTRIES:
            text = (
                f"the checkpoint has {size} bytes in {entries} files; "
                f"at most {most} bytes in {MAX_ENTRIES} files are kept"
            )
            raise WrongState(
                text, reason="CHECKPOINT_TOO_LARGE", subject=run_id, max_bytes=str(most)
            )
        free = self._store.free_bytes()
        if free is not None and free < size + _SPARE_BYTES:
            text = f"the checkpoint has {size} bytes, and the object store has no room for them"
            raise Exhausted(text, reason="OBJECT_STORE_FULL", retry_seconds=60.0)

    def _begin(
        self, tx: Transaction, run: RunRow, request: agents_service_pb2.OfferCheckpointRequest
    ) -> str:
        tx.jobs.lock(run.job_id)
        begun = tx.checkpoints.saving(run.run_id)
        if begun is not None:
            # What was uploaded of it so far is of use if it is the same.
            sizes = {"size_bytes": request.size_bytes, "entry_count": request.entry_count}
            tx.checkpoints.change(begun.checkpoint_id, **sizes)
            return begun.checkpoint_id
        checkpoint_id = self._ids.new("ckpt")
        tx.checkpoints.add(
            {
                "checkpoint_id": checkpoint_id,
                "job_id": run.job_id,
                "run_id": run.run_id,
                "attempt": run.attempt,
                "status": State.SAVING,
                "size_bytes": request.size_bytes,
                "entry_count": request.entry_count,
                "created_at": self._clock.now(),
                "saved_at": None,
            }
        )
        return checkpoint_id

    async def store_file(
        self,
        node_id: str,
        start: checkpoint_pb2.CheckpointFile,
        checkpoint_id: str,
        parts: AsyncIterable[bytes],
    ) -> None:
        """Store the content of a file of a checkpoint that is being saved.

        Raises:
            NotFound: there is no such checkpoint to save for this node.
            InvalidInput: the content is not what was announced (`CHECKPOINT_FILE_DIFFERS`).
            WrongState: as `offer`, when it takes too long.
            Exhausted, Unavailable: as `ObjectStore.put`.
        """
        row = await self._database.read(lambda tx: _saving(tx, node_id, checkpoint_id))
        if start.size_bytes > row.size_bytes:
            raise _differs()
        key = f"{_folder(row)}/{_FILES}/{start.sha256.hex()}"
        async with aclosing(self._in_time(row.run_id, parts)) as timely:
            await self._store.put(key, _checked(timely, start))

    async def commit(
        self, node_id: str, checkpoint_id: str, manifest: checkpoint_pb2.CheckpointManifest
    ) -> list[bytes]:
        """Keep a checkpoint, or answer the digests of the files that it lacks.

        Raises:
            NotFound: there is no such checkpoint to save for this node.
            InvalidInput: the manifest makes no sense (`CHECKPOINT_MANIFEST_INVALID`).
        """
        row = await self._database.read(lambda tx: _begun(tx, node_id, checkpoint_id))
        if row.status == State.SAVED:
            return []
        files = _files(manifest, row)
        held = await self._store.sizes(f"{_folder(row)}/{_FILES}")
        missing = [digest for digest, size in files.items() if held.get(digest.hex()) != size]
        if missing:
            return missing
        await self._store.put(f"{_folder(row)}/{_MANIFEST}", _one(manifest.SerializeToString()))
        await self._database.write(lambda tx: self._commit(tx, node_id, row))
        return []

    def _commit(self, tx: Transaction, node_id: str, row: CheckpointRow) -> None:
        job = tx.jobs.lock(row.job_id)
        # Looked at again under the lock.
        if job is None or _begun(tx, node_id, row.checkpoint_id).status == State.SAVED:
            return
        now = self._clock.now()
        tx.checkpoints.change(row.checkpoint_id, status=State.SAVED, saved_at=now)
        tx.runs.note_saved(row.job_id, row.attempt, row.created_at)
        for old in tx.checkpoints.saved(row.job_id)[self._keeping.newest :]:
            tx.checkpoints.change(old.checkpoint_id, status=State.UNNEEDED)
        tx.jobs.change(job.job_id, job.version, checkpoint=shown(row, now))
        tx.events.record(
            project=job.project,
            object_id=job.job_id,
            at=now,
            actor=actors.node(node_id),
            status=job.status,
            reason="CHECKPOINT_SAVED",
            message=f"{row.size_bytes} bytes in {row.entry_count} files for the next attempt",
            run_id=row.run_id,
        )

    async def manifest(
        self, node_id: str, request: agents_service_pb2.GetCheckpointRequest
    ) -> checkpoint_pb2.CheckpointManifest:
        """What a checkpoint consists of, for the node of a run that begins with it.

        Raises:
            NotFound: there is none, or it is not this node's business; or the store has lost it
                (`CHECKPOINT_DAMAGED`).
        """
        row = await self._database.read(
            lambda tx: _readable(tx, node_id, request.run_id, request.checkpoint_id)
        )
        return await self.manifest_of(row)

    async def manifest_of(self, row: CheckpointRow) -> checkpoint_pb2.CheckpointManifest:
        """What a saved checkpoint consists of; NotFound (`CHECKPOINT_DAMAGED`) when that is lost."""
        try:
            async with aclosing(self._store.get(f"{_folder(row)}/{_MANIFEST}")) as parts:
                content = b"".join([part async for part in parts])
            return checkpoint_pb2.CheckpointManifest.FromString(content)
        except (NotFound, DecodeError):
            raise damaged(row) from None

    async def file(
        self, node_id: str, request: agents_service_pb2.DownloadCheckpointFileRequest
    ) -> AsyncGenerator[bytes]:
        """The content of a file of such a checkpoint; raises as `manifest`."""
        row = await self._database.read(
            lambda tx: _readable(tx, node_id, request.run_id, request.checkpoint_id)
        )
        async with aclosing(self.content(row, request.sha256, request.offset)) as parts:
            async for part in parts:
                yield part

    async def content(
        self, row: CheckpointRow, sha256: bytes, offset: int = 0
    ) -> AsyncGenerator[bytes]:
        """The content of one of its files; NotFound (`CHECKPOINT_DAMAGED`) when that is lost."""
        key = f"{_folder(row)}/{_FILES}/{sha256.hex()}"
        try:
            async with aclosing(self._store.get(key, offset)) as parts:
                async for part in parts:
                    yield part
        except NotFound:
            raise damaged(row) from None

    async def require_files(
        self, row: CheckpointRow, manifest: checkpoint_pb2.CheckpointManifest
    ) -> None:
        """NotFound (`CHECKPOINT_DAMAGED`) unless all files are there, as long as they should be."""
        held = await self._store.sizes(f"{_folder(row)}/{_FILES}")
        for entry in manifest.entries:
            if (
                entry.HasField("file")
                and held.get(entry.file.sha256.hex()) != entry.file.size_bytes
            ):
                raise damaged(row)

    async def remove_unneeded(self) -> bool:
        """Remove some checkpoints that nobody needs; whether there may be more."""
        keeping, now = self._keeping, self._clock.now()
        rows = await self._database.read(
            lambda tx: tx.checkpoints.unneeded(
                ended_before=now - keeping.after_end,
                failed_before=now - max(keeping.after_end, keeping.for_retry),
                size=_REMOVALS_AT_ONCE,
            )
        )
        for row in rows:
            await self._store.remove(_folder(row))
            await self._database.write(lambda tx, row=row: tx.checkpoints.remove(row.checkpoint_id))  # type: ignore[misc]
        return len(rows) == _REMOVALS_AT_ONCE


def _folder(row: CheckpointRow) -> str:
    return f"checkpoints/{row.job_id}/{row.checkpoint_id}"


def _event(run: RunRow, job: JobRow, end: agent_pb2.RunExit, faults: int) -> Event | None:
    """What happens to the job behind a run that ended in this way; None when it has moved on."""
    if job.attempt != run.attempt:
        return None
    if job.verdict is not None:
        return event_of(job.verdict)
    code = end.exit_code if end.HasField("exit_code") else None
    cause = rules.cause_of(end.cause, asked=run.want == agent_pb2.RunDirective.STOPPED)
    cause = rules.blaming_device(cause, code, failed=bool(run.device_fault))
    ending = rules.ending(
        cause,
        code,
        end.exit_signal if end.HasField("exit_signal") else None,
        end.message,
        faults=faults + (cause in rules.NODE_FAULTS),
        attempt=run.attempt,
    )
    signal = end.exit_signal if end.HasField("exit_signal") else None
    again = by_policy(job, run, ending, code, signal)
    return ending.event if again is None else again.ending.event


def _run_of(tx: Transaction, node_id: str, run_id: str) -> tuple[RunRow, JobRow]:
    run = tx.runs.get(run_id)
    job = tx.jobs.get(run.job_id) if run is not None and run.node_id == node_id else None
    if run is None or job is None:
        raise _no_run(run_id)
    return run, job


def _begun(tx: Transaction, node_id: str, checkpoint_id: str) -> CheckpointRow:
    row = tx.checkpoints.get(checkpoint_id)
    run = tx.runs.get(row.run_id) if row is not None else None
    if row is None or run is None or run.node_id != node_id or row.status == State.UNNEEDED:
        raise _no_checkpoint(checkpoint_id)
    return row


def _saving(tx: Transaction, node_id: str, checkpoint_id: str) -> CheckpointRow:
    row = _begun(tx, node_id, checkpoint_id)
    if row.status != State.SAVING:
        raise _no_checkpoint(checkpoint_id)
    return row


def _readable(tx: Transaction, node_id: str, run_id: str, checkpoint_id: str) -> CheckpointRow:
    run, job = _run_of(tx, node_id, run_id)
    row = tx.checkpoints.get(checkpoint_id)
    readable = row is not None and row.job_id in (job.job_id, job.checkpoint_of)
    if not run.active or row is None or not readable or row.status != State.SAVED:
        raise _no_checkpoint(checkpoint_id)
    return row


def _files(manifest: checkpoint_pb2.CheckpointManifest, row: CheckpointRow) -> dict[bytes, int]:
    """Bytes of each file by its digest; InvalidInput when that is not what was offered."""
    files = [entry.file for entry in manifest.entries if entry.HasField("file")]
    total = sum(file.size_bytes for file in files)
    if total != row.size_bytes or len(manifest.entries) != row.entry_count:
        text = "the manifest is not that of the checkpoint that was offered"
        raise InvalidInput(text, reason="CHECKPOINT_MANIFEST_INVALID")
    return {file.sha256: file.size_bytes for file in files}


async def _checked(
    parts: AsyncIterable[bytes], expected: checkpoint_pb2.CheckpointFile
) -> AsyncIterator[bytes]:
    """The parts; InvalidInput at their end, or before, when they are not what is expected."""
    digest, size = hashlib.sha256(), 0
    async for part in parts:
        size += len(part)
        if size > expected.size_bytes:
            raise _differs()
        digest.update(part)
        yield part
    if size != expected.size_bytes or digest.digest() != expected.sha256:
        raise _differs()


async def _one(part: bytes) -> AsyncIterator[bytes]:
    yield part


def _differs() -> InvalidInput:
    text = "the content of the file is not what was announced"
    return InvalidInput(text, reason="CHECKPOINT_FILE_DIFFERS")


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"there is no run {run_id} of this node", reason="RUN_NOT_FOUND")


def damaged(row: CheckpointRow) -> NotFound:
    """That a checkpoint is not whole any more."""
    text = f"the object store has not all of checkpoint {row.checkpoint_id} any more"
    return NotFound(text, reason="CHECKPOINT_DAMAGED")


def _no_checkpoint(checkpoint_id: str) -> NotFound:
    text = f"there is no checkpoint {checkpoint_id} for this node"
    return NotFound(text, reason="CHECKPOINT_NOT_FOUND")
