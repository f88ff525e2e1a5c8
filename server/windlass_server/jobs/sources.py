"""Archives that jobs bring along: uploaded once by content, named by jobs, removed when nobody needs them."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from windlass.agents.v1 import preparation_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, absent, require, require_object
from windlass_server.clock import Clock
from windlass_server.errors import Exhausted, InvalidInput, NotFound, WrongState
from windlass_server.ids import IdSource
from windlass_server.jobs.source_rules import HEAD_BYTES, is_archive
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed
from windlass_server.storage.rows import row as new_row
from windlass_server.storage.sources import State
from windlass_server.storage.tables import SourceRow
from windlass_server.storage.transaction import Transaction

_REMOVALS_AT_ONCE = 100
# So often an upload asks whether there is room for more.
_STEP_BYTES = 16 << 20
# Room that is left to everything else on the disk.
_SPARE_BYTES = 256 << 20
# An upload that is not whole after so long was cut off by the end of its server.
_IDLE_MICROS = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of archives.

    Attributes:
        max_bytes: the largest one.
        project_bytes: all of a project together.
        unused: how long one is kept that no job names, in microseconds.
    """

    max_bytes: int
    project_bytes: int
    unused: int


class SourcesService:
    """The archives of all projects.

    Args:
        store: where they are kept.
        keeping: what is kept.
    """

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
        keeping: Keeping,
    ) -> None:
        self._database = database
        # Whoever sends slowly holds up other archives alone.
        self._store = store.apart()
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens
        self._keeping = keeping

    async def upload(
        self, who: Caller, project: str, pieces: AsyncIterator[bytes], *, sha256: str = ""
    ) -> SourceRow:
        """Take an archive, or find that the project has it.

        Args:
            who: the caller.
            project: whose it is to be; empty: the caller's default project.
            pieces: the content.
            sha256: digest that it must have, in hexadecimal; empty: any.

        Raises:
            NotFound: there is no such project.
            InvalidInput: it is no archive, has another digest, or is too large.
            Exhausted: the project has too much, or the store no room.
            Unavailable: as `ObjectStore.put`.
        """
        project = project or who.default_project
        require(who, "sources.create", project)
        row = await self._database.write(lambda tx: self._begin(tx, who, project))
        upload = _Upload(pieces, self._keeping.max_bytes, partial(self._go_on, row))
        try:
            await self._store.put(_key(row.source_id), upload.checked())
            if sha256 and sha256 != upload.sha256:
                raise _digest_differs(upload.sha256)
            return await self._database.write(lambda tx: self._finish(tx, row, upload))
        except BaseException:
            # Also when the call was cancelled: whoever uploads is gone.
            await asyncio.shield(self._give_up(row.source_id))
            raise

    def _begin(self, tx: Transaction, who: Caller, project: str) -> SourceRow:
        if not tx.access.has_project(project):
            raise absent("project", project)
        self._require_free()
        self._require_bound(tx, project, 1)
        now = self._clock.now()
        values: dict[str, Any] = {
            "source_id": self._ids.new("source"),
            "project": project,
            "status": int(State.UPLOADING),
            "size_bytes": 0,
            "sha256": None,
            "user": who.user,
            "created_at": now,
            "used_at": now,
        }
        tx.sources.add(values)
        return new_row(SourceRow, values)

    async def _go_on(self, row: SourceRow, size: int) -> None:
        """Note how much of an archive has come; Exhausted when there is no room for more."""

        def store(tx: Transaction) -> None:
            self._require_bound(tx, row.project, size, besides=row.source_id)
            tx.sources.change(row.source_id, size_bytes=size, used_at=self._clock.now())

        self._require_free()
        await self._database.write(store)

    def _require_bound(
        self, tx: Transaction, project: str, size: int, *, besides: str = ""
    ) -> None:
        most = self._keeping.project_bytes
        if tx.sources.bytes_of(project, besides) + size > most:
            text = f"the archives of project {project} may have {most} bytes together: delete some"
            raise Exhausted(text, reason="TOO_MANY_SOURCES", retry_seconds=60.0)

    def _require_free(self) -> None:
        free = self._store.free_bytes()
        if free is not None and free < _STEP_BYTES + _SPARE_BYTES:
            text = "the object store is full"
            raise Exhausted(text, reason="OBJECT_STORE_FULL", retry_seconds=60.0)

    def _finish(self, tx: Transaction, row: SourceRow, upload: "_Upload") -> SourceRow:
        now = self._clock.now()
        there = tx.sources.lock_of_content(row.project, upload.sha256)
        if there is not None:
            tx.sources.change(row.source_id, status=int(State.REMOVED))
            tx.sources.change(there.source_id, used_at=now)
            return changed(there, used_at=now)
        self._require_bound(tx, row.project, upload.size, besides=row.source_id)
        values = {"status": int(State.READY), "size_bytes": upload.size, "sha256": upload.sha256}
        tx.sources.finish(row.source_id, **values, used_at=now)
        return new_row(SourceRow, vars(row) | values | {"used_at": now})

    async def _give_up(self, source_id: str) -> None:
        await self._store.delete(_key(source_id))
        await self._database.write(lambda tx: tx.sources.remove(source_id))

    async def list(
        self, who: Caller, project: str, *, sha256: str, size: int, token: str
    ) -> tuple[Sequence[SourceRow], str]:
        """A page of a project's archives, newest first, and the token of the next one.

        Raises:
            NotFound: there is no such project.
        """
        project = project or who.default_project
        size = page_size(size)
        query = f"sources {project} {sha256}"
        before = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> Sequence[SourceRow]:
            if not tx.access.has_project(project):
                raise absent("project", project)
            return tx.sources.page(project, sha256=sha256, before=before, size=size + 1)

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].source_id)

    async def get(self, who: Caller, source_id: str) -> SourceRow:
        """An archive; NotFound when there is none, or foreign."""
        return await self._database.read(
            lambda tx: _found(who, "sources.get", tx.sources.get(source_id), source_id)
        )

    async def delete(self, who: Caller, source_id: str) -> SourceRow:
        """Remove an archive; returns it as it was.

        Raises:
            NotFound: there is none, or foreign.
            WrongState: a job needs it that has not ended (`SOURCE_IN_USE`).
        """

        def store(tx: Transaction) -> SourceRow:
            # Locked: a job that names it meanwhile comes before this, or not at all.
            row = _found(who, "sources.delete", tx.sources.lock(source_id), source_id)
            if tx.sources.is_needed(source_id):
                text = f"a job that has not ended needs {source_id}"
                raise WrongState(text, reason="SOURCE_IN_USE", subject=source_id)
            tx.sources.change(source_id, status=int(State.REMOVED), sha256=None)
            return row

        return await self._database.write(store)

    async def content_for(
        self, node_id: str, request: preparation_pb2.DownloadSourceRequest
    ) -> AsyncGenerator[preparation_pb2.DownloadSourceResponse]:
        """What the job of a run brings along, for the run's node.

        Raises:
            NotFound: the run is not this node's, or has ended; or its archive is not there any more.
        """
        row = await self._database.read(lambda tx: _of_run(tx, node_id, request))
        try:
            async with aclosing(self._store.get(_key(row.source_id), request.offset)) as parts:
                about: dict[str, Any] = {
                    "sha256": bytes.fromhex(row.sha256 or ""),
                    "size_bytes": row.size_bytes,
                }
                async for part in parts:
                    yield preparation_pb2.DownloadSourceResponse(data=part, **about)
                    about = {}
        except NotFound:
            text = f"the object store has not all of {row.source_id} any more"
            raise NotFound(text, reason="SOURCE_DAMAGED") from None

    async def remove_unneeded(self) -> bool:
        """Remove some archives that nobody needs; whether there may be more."""
        now = self._clock.now()
        rows = await self._database.read(
            lambda tx: tx.sources.unneeded(
                idle_since=now - _IDLE_MICROS,
                unused_since=now - self._keeping.unused,
                size=_REMOVALS_AT_ONCE,
            )
        )
        for row in rows:
            if await self._database.write(lambda tx, row=row: _set_aside(tx, row)):  # type: ignore[misc]
                await self._give_up(row.source_id)
        return len(rows) == _REMOVALS_AT_ONCE


class _Upload:
    """An archive on its way to the store: looked at, counted and digested.

    Args:
        pieces: the content.
        most: the most bytes.
        go_on: called with how many have come, now and then; raises when no more may.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes], most: int, go_on: Callable[[int], Awaitable[None]]
    ) -> None:
        self._pieces = pieces
        self._most = most
        self._go_on = go_on
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of what has come."""
        return self._digest.hexdigest()

    async def checked(self) -> AsyncGenerator[bytes]:
        """The pieces; InvalidInput when they are no archive, or too many."""
        head, asked = b"", 0
        async for piece in self._pieces:
            self.size += len(piece)
            if self.size > self._most:
                text = f"an archive has at most {self._most} bytes"
                raise InvalidInput(text, reason="SOURCE_TOO_LARGE", max_bytes=str(self._most))
            self._digest.update(piece)
            head = head if len(head) >= HEAD_BYTES else head + piece[:HEAD_BYTES]
            if len(head) >= HEAD_BYTES:
                _require_archive(head)
            if self.size - asked >= _STEP_BYTES:
                await self._go_on(self.size)
                asked = self.size
            yield piece
        _require_archive(head)


def require_source(tx: Transaction, spec: job_pb2.Job) -> None:
    """NotFound (`SOURCE_NOT_FOUND`) unless a job's project has the archive that it brings along."""
    source_id = spec.source.source_id
    if not source_id:
        return
    row = tx.sources.get(source_id)
    if row is None or row.project != spec.project or row.status != State.READY:
        raise absent("source", source_id)


def use_sources(tx: Transaction, jobs: Sequence[tuple[str, job_pb2.Job]], at: int) -> None:
    """Note the archives that new jobs bring along; NotFound when one is gone meanwhile.

    Args:
        tx: the transaction.
        jobs: each with its id.
        at: now (µs).
    """
    uses: dict[str, list[tuple[str, str]]] = {}
    for job_id, spec in jobs:
        if spec.source.source_id:
            uses.setdefault(spec.project, []).append((job_id, spec.source.source_id))
    for project, some in uses.items():
        if not tx.sources.use(project, some, at):
            raise absent("source", some[0][1])


def _set_aside(tx: Transaction, row: SourceRow) -> bool:
    """Let an archive that nobody needed be gone for all; False when somebody needs it meanwhile."""
    now = tx.sources.lock(row.source_id)
    if now is None or (now.status, now.used_at) != (row.status, row.used_at):
        return False
    if now.status == State.READY and tx.sources.is_needed(row.source_id):
        return False
    tx.sources.change(row.source_id, status=int(State.REMOVED), sha256=None)
    return True


def _found(who: Caller, permission: str, row: SourceRow | None, source_id: str) -> SourceRow:
    if row is None or row.status != State.READY:
        raise absent("source", source_id)
    require_object(who, permission, row.project, kind="source", object_id=source_id)
    return row


def _of_run(
    tx: Transaction, node_id: str, request: preparation_pb2.DownloadSourceRequest
) -> SourceRow:
    run = tx.runs.get(request.run_id)
    if run is None or (run.node_id, run.epoch) != (node_id, request.epoch) or not run.active:
        text = f"there is no run {request.run_id} of this node"
        raise NotFound(text, reason="RUN_NOT_FOUND")
    job = tx.jobs.get(run.job_id)
    source_id = "" if job is None else job_pb2.Job.FromString(job.spec).source.source_id
    row = tx.sources.get(source_id) if source_id else None
    if row is None or row.status != State.READY:
        raise absent("source", source_id)
    return row


def _key(source_id: str) -> str:
    return f"sources/{source_id}"


def _require_archive(head: bytes) -> None:
    if not is_archive(head):
        text = "that is neither a tar (plain, or of gzip, bzip2, xz or zstd) nor a zip"
        raise InvalidInput(text, reason="SOURCE_FORMAT_UNKNOWN")


def _digest_differs(digest: str) -> InvalidInput:
    text = f"the content has the SHA-256 {digest}, and not that which it must have"
    return InvalidInput(text, reason="SOURCE_DIGEST_DIFFERS", sha256=digest)
