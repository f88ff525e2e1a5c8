"""The bytes of artifacts: taken in parts of bounded size as they come, and given again.

Each part is an object of its own, and counts from the moment in which its row is there: what broke off
goes on behind the last one. Nobody needs to know how long an artifact becomes, and no more of it is held
in memory than is on its way to the store.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from windlass_server.access import quota_use
from windlass_server.clock import Clock
from windlass_server.errors import Conflict, Exhausted, InvalidInput, NotFound
from windlass_server.ids import IdSource
from windlass_server.objects.store import ObjectStore
from windlass_server.storage.artifacts import State
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import ArtifactPartRow, ArtifactRow
from windlass_server.storage.transaction import Transaction

PART_BYTES = 32 << 20
# Room that is left to everything else on the disk.
_SPARE_BYTES = 256 << 20
_MAX_KNOWN_DIGESTS = 1000


class ArtifactContent:
    """Stores and reads the content of artifacts.

    Args:
        store: where it goes.
        max_bytes: the longest one.
        part_bytes: the longest part.
    """

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        clock: Clock,
        ids: IdSource,
        *,
        max_bytes: int,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._ids = ids
        self._max_bytes = max_bytes
        self._part_bytes = part_bytes
        self._digests = _Digests()

    async def write(self, row: ArtifactRow, pieces: AsyncIterator[bytes]) -> ArtifactRow:
        """Append to an artifact that is uploaded; returns it as it is then.

        Raises:
            NotFound: it is gone meanwhile.
            Conflict: somebody else wrote meanwhile (`ARTIFACT_OFFSET_DIFFERS`).
            InvalidInput: it becomes too long (`ARTIFACT_TOO_LARGE`).
            Exhausted, Unavailable: as `ObjectStore.put`.
            QuotaExceeded: its project may not have so much.
        """
        digest = self._digests.at(row.artifact_id, row.size_bytes)
        source = _Source(pieces, digest)
        while await source.goes_on():
            self._require_room()
            size, name = 0, self._ids.new("part")
            room = min(self._part_bytes, self._max_bytes - row.size_bytes)
            if room <= 0:
                raise _too_large(self._max_bytes)
            part = source.part(room)
            key = f"{_folder(row.artifact_id)}/{name}"
            await self._store.put(key, part)
            size = source.taken
            try:
                row = await self._database.write(
                    lambda tx, row=row, size=size, name=name: self._append(tx, row, size, name)  # type: ignore[misc]
                )
            except BaseException:
                await asyncio.shield(self._store.delete(key))
                raise
            self._digests.keep(row.artifact_id, row.size_bytes, source.digest)
        return row

    def _append(self, tx: Transaction, row: ArtifactRow, size: int, name: str) -> ArtifactRow:
        now = tx.artifacts.lock(row.artifact_id)
        if now is None or now.status == State.REMOVED:
            raise absent_upload(row.artifact_id)
        if now.status != State.UPLOADING or now.size_bytes != row.size_bytes:
            raise offset_differs(now)
        values = {"size_bytes": row.size_bytes + size, "changed_at": self._clock.now()}
        tx.artifacts.add_part(
            {
                "artifact_id": row.artifact_id,
                "position": row.size_bytes,
                "size_bytes": size,
                "object_name": name,
            }
        )
        tx.artifacts.change(row.artifact_id, **values)
        quota_use.take(tx, quota_use.stored(now.project, owner_of(tx, now), size))
        return changed(now, **values)

    def _require_room(self) -> None:
        free = self._store.free_bytes()
        if free is not None and free < self._part_bytes + _SPARE_BYTES:
            text = "the object store is full"
            raise Exhausted(text, reason="OBJECT_STORE_FULL", retry_seconds=60.0)

    async def sha256(self, row: ArtifactRow) -> str:
        """The digest of what there is of an artifact; read again where it is not known any more."""
        digest = self._digests.at(row.artifact_id, row.size_bytes)
        if digest is None:
            digest = hashlib.sha256()
            async with aclosing(self.read(row)) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(digest.update, piece)
        return str(digest.hexdigest())

    async def read(
        self, row: ArtifactRow, first: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Bytes of an artifact, in pieces of about 1 MiB.

        Args:
            row: the artifact.
            first: how many to leave out.
            length: how many, no more than there are; None: all that follow.

        Raises:
            NotFound: the store has not all of it any more (`ARTIFACT_DAMAGED`).
        """
        left = row.size_bytes - first if length is None else length
        parts = await self._database.read(lambda tx: tx.artifacts.parts(row.artifact_id))
        for part in parts:
            skip = max(0, first - part.position)
            if left <= 0 or skip >= part.size_bytes:
                continue
            wanted = min(part.size_bytes - skip, left)
            async with aclosing(self._part(part, skip, wanted)) as pieces:
                async for piece in pieces:
                    yield piece
            left -= wanted
        if left:
            raise _damaged(row.artifact_id)

    async def _part(self, part: ArtifactPartRow, skip: int, wanted: int) -> AsyncGenerator[bytes]:
        key = f"{_folder(part.artifact_id)}/{part.object_name}"
        try:
            async with aclosing(self._store.get(key, skip)) as pieces:
                async for piece in pieces:
                    cut = piece if len(piece) <= wanted else piece[:wanted]
                    wanted -= len(cut)
                    yield cut
                    if not wanted:
                        break
        except NotFound:
            raise _damaged(part.artifact_id) from None
        if wanted:
            raise _damaged(part.artifact_id)

    async def remove(self, artifact_id: str) -> None:
        """Remove all objects of an artifact."""
        await self._store.remove(_folder(artifact_id))


class _Source:
    """A stream of bytes that is cut into parts, and digested on its way.

    Args:
        pieces: the stream.
        digest: of what comes before it; None when that is not known.
    """

    def __init__(self, pieces: AsyncIterator[bytes], digest: Any | None) -> None:
        self._pieces = pieces
        self._left = b""
        self.digest = digest
        self.taken = 0

    async def goes_on(self) -> bool:
        """Whether there is more; waits for it."""
        while not self._left:
            piece = await anext(self._pieces, None)
            if piece is None:
                return False
            self._left = piece
        return True

    async def part(self, most: int) -> AsyncGenerator[bytes]:
        """The next bytes, at most so many; `taken` counts them."""
        self.taken = 0
        while self.taken < most and await self.goes_on():
            room = most - self.taken
            piece, self._left = self._left[:room], self._left[room:]
            if self.digest is not None:
                self.digest.update(piece)
            self.taken += len(piece)
            yield piece


@dataclass(frozen=True, slots=True)
class _Known:
    """The digest of the first bytes of an artifact."""

    size: int
    digest: Any


class _Digests:
    """Digests of uploads that go on, so that what they have is not read again at their end."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def at(self, artifact_id: str, size: int) -> Any | None:
        """That of the first `size` bytes, to go on with; None when it is not known."""
        if size == 0:
            return hashlib.sha256()
        known = self._known.get(artifact_id)
        return known.digest.copy() if known is not None and known.size == size else None

    def keep(self, artifact_id: str, size: int, digest: Any | None) -> None:
        """Remember it."""
        if digest is None:
            return
        self._known[artifact_id] = _Known(size, digest.copy())
        self._known.move_to_end(artifact_id)
        if len(self._known) > _MAX_KNOWN_DIGESTS:
            self._known.popitem(last=False)


def owner_of(tx: Transaction, row: ArtifactRow) -> str:
    """Whose it is for quotas: who uploaded it, or whose job left it."""
    job = None if row.run_id is None else tx.jobs.get(row.job_id)
    return row.user if job is None else job.user


def _folder(artifact_id: str) -> str:
    return f"artifacts/{artifact_id}"


def absent_upload(artifact_id: str) -> NotFound:
    """That there is no such upload, or not any more."""
    text = f"there is no artifact {artifact_id!r} that is uploaded"
    return NotFound(text, reason="ARTIFACT_NOT_FOUND", kind="artifact", id=artifact_id)


def offset_differs(row: ArtifactRow) -> Conflict:
    """That bytes do not belong where an upload is."""
    text = f"the server has {row.size_bytes} bytes of {row.artifact_id}: go on there"
    reason = "ARTIFACT_OFFSET_DIFFERS"
    return Conflict(text, reason=reason, size_bytes=str(row.size_bytes))


def _too_large(most: int) -> InvalidInput:
    text = f"an artifact has at most {most} bytes"
    return InvalidInput(text, reason="ARTIFACT_TOO_LARGE", max_bytes=str(most))


def _damaged(artifact_id: str) -> NotFound:
    text = f"the object store has not all of artifact {artifact_id} any more"
    return NotFound(text, reason="ARTIFACT_DAMAGED")
