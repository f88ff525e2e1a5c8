"""Artifacts of jobs, for people: authorise, load, decide, store.

An artifact is begun, written and finished. It exists for others from then on, whole; what nobody goes on
with is removed after a while.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from windlass_server.access import quota_use
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock
from windlass_server.errors import InvalidInput, WrongState
from windlass_server.ids import IdSource
from windlass_server.jobs import artifact_rules as rules
from windlass_server.jobs.artifact_content import (
    ArtifactContent,
    absent_upload,
    offset_differs,
    owner_of,
)
from windlass_server.jobs.artifact_message import details_of
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.artifacts import ArtifactFilter, State
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed
from windlass_server.storage.rows import row as new_row
from windlass_server.storage.tables import ArtifactRow, JobRow
from windlass_server.storage.transaction import Transaction

_CREATE = "artifacts.create"
_REMOVALS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """What an uploader says of an artifact.

    Attributes:
        name: what it is called.
        type: as jobs.v1.Artifact.Type; 0: as its name says.
        metadata: what else there is to know of it.
        content_type: its media type; may be empty.
        sha256: digest that the content must have, in hexadecimal; empty: any.
        size_bytes: length that it must have; None: any.
        run_id: the run that left it; None for a person's.
        rank: which part of its job that was.
        attempt: which attempt of its job.
    """

    name: str
    type: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    content_type: str = ""
    sha256: str = ""
    size_bytes: int | None = None
    run_id: str | None = None
    rank: int = 0
    attempt: int = 0


class ArtifactsService:
    """The artifacts of all jobs.

    Args:
        content: their bytes.
        page_tokens: seals where a page ends.
        idle: how long an upload that nobody goes on with is kept, in microseconds.
    """

    def __init__(
        self,
        database: Database,
        content: ArtifactContent,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
        *,
        idle: int,
    ) -> None:
        self._database = database
        self._content = content
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens
        self._idle = idle

    async def upload(
        self, who: Caller, job_id: str, new: NewArtifact, pieces: AsyncIterator[bytes]
    ) -> ArtifactRow:
        """Take an artifact as a whole; what breaks off leaves nothing.

        Raises:
            As `begin`, `ArtifactContent.write` and `finish`.
        """
        row = await self.begin(who, job_id, new)
        return await self.fill(row, pieces)

    async def fill(
        self,
        row: ArtifactRow,
        pieces: AsyncIterator[bytes],
        *,
        wanted: Callable[[], str] = lambda: "",
    ) -> ArtifactRow:
        """Write and finish an artifact that was just begun, or remove it.

        Args:
            row: the artifact.
            pieces: its content.
            wanted: says at the end of that which digest it must have; empty: any.
        """
        try:
            return await self._finish(await self._content.write(row, pieces), wanted())
        except BaseException:
            # Also when the call was cancelled: whoever uploads is gone.
            await asyncio.shield(self._give_up(row.artifact_id))
            raise

    async def begin(self, who: Caller, job_id: str, new: NewArtifact) -> ArtifactRow:
        """Begin an upload.

        Raises:
            NotFound: no such job, or foreign.
            InvalidInput: its name is none (`ARTIFACT_NAME_INVALID`).
            WrongState: the job has too many (`TOO_MANY_ARTIFACTS`).
            QuotaExceeded: its project may not have so much.
        """
        rules.require_name(new.name)
        return await self._database.write(
            lambda tx: self.add(tx, _require(tx, who, _CREATE, job_id), new, who.user)
        )

    def add(self, tx: Transaction, job: JobRow, new: NewArtifact, user: str) -> ArtifactRow:
        """Add an artifact without content to a job; raises WrongState as `begin`."""
        if tx.artifacts.count_of(job.job_id) >= rules.MAX_ARTIFACTS:
            text = (
                f"job {job.job_id} has {rules.MAX_ARTIFACTS} artifacts, the most that there can be"
            )
            raise WrongState(text, reason="TOO_MANY_ARTIFACTS", subject=job.job_id)
        if new.size_bytes and new.run_id is None:
            # Before any of it is sent.
            ask = quota_use.stored(job.project, user, new.size_bytes)
            quota_use.require_allowed(quota_use.use_in(tx, job.project), ask)
        now = self._clock.now()
        values: dict[str, Any] = {
            "artifact_id": self._ids.new("artifact"),
            "job_id": job.job_id,
            "project": job.project,
            "status": int(State.UPLOADING),
            "name": new.name,
            "version": None,
            "type": new.type or int(rules.type_of(new.name)),
            "details": details_of(new.metadata, rules.media_type(new.content_type)),
            "wanted_sha256": new.sha256,
            "wanted_bytes": new.size_bytes,
            "size_bytes": 0,
            "sha256": "",
            "user": user,
            "run_id": new.run_id,
            "rank": new.rank,
            "attempt": new.attempt,
            "created_at": now,
            "changed_at": now,
            "finished_at": None,
        }
        tx.artifacts.add(values)
        return new_row(ArtifactRow, values)

    async def write(
        self,
        who: Caller,
        job_id: str,
        artifact_id: str,
        offset: int,
        pieces: AsyncIterator[bytes],
    ) -> ArtifactRow:
        """Append to an upload what has to begin at `offset`.

        Raises:
            NotFound: no such job or upload, or foreign.
            Conflict: it is not there that the upload goes on (`ARTIFACT_OFFSET_DIFFERS`).
            As `ArtifactContent.write`.
        """
        row = await self._database.read(lambda tx: _found(tx, who, _CREATE, job_id, artifact_id))
        if row.status != State.UPLOADING:
            raise absent_upload(artifact_id)
        if row.size_bytes != offset:
            raise offset_differs(row)
        return await self._content.write(row, pieces)

    async def finish(
        self, who: Caller, job_id: str, artifact_id: str, *, sha256: str
    ) -> ArtifactRow:
        """Make an upload an artifact that others see; harmless when repeated.

        Raises:
            NotFound: no such job or artifact, or foreign.
            InvalidInput: it has another digest (`ARTIFACT_DIGEST_DIFFERS`) or length
                (`ARTIFACT_SIZE_DIFFERS`) than it must have; it is removed unless it may become longer.
            Conflict: somebody goes on writing (`ARTIFACT_OFFSET_DIFFERS`).
        """
        row = await self._database.read(lambda tx: _found(tx, who, _CREATE, job_id, artifact_id))
        return await self._finish(row, sha256)

    async def _finish(self, row: ArtifactRow, sha256: str) -> ArtifactRow:
        if row.wanted_bytes is not None and row.size_bytes != row.wanted_bytes:
            if row.size_bytes > row.wanted_bytes:
                await self._give_up(row.artifact_id)
            raise _size_differs(row)
        digest = row.sha256 or await self._content.sha256(row)
        for wanted in (row.wanted_sha256, sha256):
            if wanted and wanted != digest:
                if row.status == State.UPLOADING:
                    await self._give_up(row.artifact_id)
                raise _digest_differs(digest)
        if row.status == State.READY:
            return row
        return await self._database.write(lambda tx: self._store(tx, row, digest))

    def _store(self, tx: Transaction, row: ArtifactRow, digest: str) -> ArtifactRow:
        # Locked for the version, which counts for all artifacts of a name.
        job = tx.jobs.lock(row.job_id)
        now = tx.artifacts.lock(row.artifact_id)
        if job is None or now is None or now.status == State.REMOVED:
            raise absent_upload(row.artifact_id)
        if now.status == State.READY:
            return now
        if now.size_bytes != row.size_bytes:
            raise offset_differs(now)
        at = self._clock.now()
        values: dict[str, Any] = {
            "status": int(State.READY),
            "version": tx.artifacts.last_version(row.job_id, row.name) + 1,
            "sha256": digest,
            "changed_at": at,
            "finished_at": at,
        }
        tx.artifacts.change(row.artifact_id, **values)
        done = changed(now, **values)
        if done.run_id is None:
            _note(tx, job, done, "ARTIFACT_ADDED", done.user, at)
        return done

    async def list(
        self, who: Caller, wanted: ArtifactFilter, *, size: int, token: str
    ) -> tuple[Sequence[ArtifactRow], str]:
        """A page of a job's artifacts, newest first, and the token of the next one.

        Raises:
            NotFound: no such job, or foreign.
        """
        size = page_size(size)
        query = f"artifacts {wanted}"
        before = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> Sequence[ArtifactRow]:
            _require(tx, who, "artifacts.list", wanted.job_id)
            return tx.artifacts.page(wanted, before=before, size=size + 1)

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].artifact_id)

    async def get(self, who: Caller, job_id: str, artifact_id: str) -> ArtifactRow:
        """An artifact, also one that is still uploaded; NotFound when there is none, or foreign."""
        return await self._database.read(
            lambda tx: _found(tx, who, "artifacts.get", job_id, artifact_id)
        )

    async def readable(self, who: Caller, job_id: str, artifact_id: str) -> ArtifactRow:
        """An artifact that can be read; NotFound when there is none, or foreign."""
        row = await self.get(who, job_id, artifact_id)
        if row.status != State.READY:
            raise absent("artifact", artifact_id)
        return row

    def content(self, row: ArtifactRow, first: int, length: int) -> AsyncGenerator[bytes]:
        """Bytes of an artifact, as `ArtifactContent.read`."""
        return self._content.read(row, first, length)

    async def delete(self, who: Caller, job_id: str, artifact_id: str) -> ArtifactRow:
        """Remove an artifact, or give an upload up; returns it as it was.

        Raises:
            NotFound: no such job or artifact, or foreign.
        """

        def store(tx: Transaction) -> ArtifactRow:
            row = _found(tx, who, "artifacts.delete", job_id, artifact_id, lock=True)
            job = tx.jobs.get(job_id)
            self._mark_removed(tx, row)
            if row.status == State.READY and job is not None:
                _note(tx, job, row, "ARTIFACT_DELETED", who.user, self._clock.now())
            return row

        return await self._database.write(store)

    async def _give_up(self, artifact_id: str) -> None:
        def store(tx: Transaction) -> None:
            row = tx.artifacts.lock(artifact_id)
            if row is not None and row.status == State.UPLOADING:
                self._mark_removed(tx, row)

        await self._database.write(store)

    def _mark_removed(self, tx: Transaction, row: ArtifactRow) -> None:
        """Let an artifact that is locked be gone for all; its objects are removed behind that."""
        tx.artifacts.change(
            row.artifact_id, status=int(State.REMOVED), changed_at=self._clock.now()
        )
        size = row.size_bytes
        quota_use.give_back(tx, quota_use.stored(row.project, owner_of(tx, row), size))

    async def remove_unneeded(self) -> bool:
        """Remove some artifacts that nobody needs; whether there may be more."""
        idle_since = self._clock.now() - self._idle
        rows = await self._database.read(
            lambda tx: tx.artifacts.unneeded(idle_since=idle_since, size=_REMOVALS_AT_ONCE)
        )
        for row in rows:
            # Nobody goes on with an upload from here on.
            await self._give_up(row.artifact_id)
            await self._content.remove(row.artifact_id)
            await self._database.write(lambda tx, row=row: tx.artifacts.remove(row.artifact_id))  # type: ignore[misc]
        return len(rows) == _REMOVALS_AT_ONCE


def _require(tx: Transaction, who: Caller, permission: str, job_id: str) -> JobRow:
    job = tx.jobs.get(job_id)
    if job is None:
        raise absent("job", job_id)
    require_object(who, permission, job.project, kind="job", object_id=job_id)
    return job


def _found(
    tx: Transaction,
    who: Caller,
    permission: str,
    job_id: str,
    artifact_id: str,
    *,
    lock: bool = False,
) -> ArtifactRow:
    _require(tx, who, permission, job_id)
    row = tx.artifacts.lock(artifact_id) if lock else tx.artifacts.get(artifact_id)
    if row is None or row.job_id != job_id or row.status == State.REMOVED:
        raise absent("artifact", artifact_id)
    return row


def _note(tx: Transaction, job: JobRow, row: ArtifactRow, reason: str, actor: str, at: int) -> None:
    tx.events.record(
        project=job.project,
        object_id=job.job_id,
        at=at,
        actor=actor,
        status=job.status,
        reason=reason,
        message=f"{row.name}, version {row.version}: {row.size_bytes} bytes",
        run_id=row.run_id or "",
    )


def _digest_differs(digest: str) -> InvalidInput:
    text = f"the content has the SHA-256 {digest}, and not that which it must have"
    return InvalidInput(text, reason="ARTIFACT_DIGEST_DIFFERS", sha256=digest)


def _size_differs(row: ArtifactRow) -> InvalidInput:
    text = f"the content has {row.size_bytes} bytes, and must have {row.wanted_bytes}"
    reason = "ARTIFACT_SIZE_DIFFERS"
    return InvalidInput(text, reason=reason, size_bytes=str(row.size_bytes))
