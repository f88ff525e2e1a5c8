"""What jobs have saved, for people: lists, and files to take away."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from windlass.agents.v1.checkpoint_pb2 import CheckpointManifest
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.jobs import checkpoint_archive
from windlass_server.jobs.checkpoints import CheckpointsService, damaged
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.checkpoints import State
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import CheckpointRow
from windlass_server.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Archive:
    """A checkpoint that is there as a whole."""

    row: CheckpointRow
    manifest: CheckpointManifest

    @property
    def size(self) -> int:
        """Bytes of the tar archive."""
        return checkpoint_archive.size_of(self.manifest.entries)


class JobCheckpoints:
    """Shows checkpoints.

    Args:
        checkpoints: keeps them.
        page_tokens: seals where a page ends.
    """

    def __init__(
        self, database: Database, checkpoints: CheckpointsService, page_tokens: PageTokens
    ) -> None:
        self._database = database
        self._checkpoints = checkpoints
        self._page_tokens = page_tokens

    async def list(
        self, who: Caller, job_id: str, *, size: int, token: str
    ) -> tuple[Sequence[CheckpointRow], str]:
        """A page of a job's checkpoints, newest first, and the token of the next one.

        Raises:
            NotFound: no such job, or foreign.
        """
        size = page_size(size)
        query = f"job checkpoints {job_id}"
        before = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> Sequence[CheckpointRow]:
            _require(tx, who, "jobs.get", job_id)
            return tx.checkpoints.page(job_id, before=before, size=size + 1)

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].checkpoint_id)

    async def archive(self, who: Caller, job_id: str, checkpoint_id: str) -> Archive:
        """A saved checkpoint, to be read as a file.

        Raises:
            NotFound: no such job or checkpoint, or foreign; or it is not whole (`CHECKPOINT_DAMAGED`).
        """

        def load(tx: Transaction) -> CheckpointRow:
            _require(tx, who, "jobs.logs", job_id)
            row = tx.checkpoints.get(checkpoint_id)
            if row is None or row.job_id != job_id or row.status != State.SAVED:
                raise absent("checkpoint", checkpoint_id)
            return row

        row = await self._database.read(load)
        manifest = await self._checkpoints.manifest_of(row)
        if not checkpoint_archive.is_fit(manifest.entries):
            raise damaged(row)
        await self._checkpoints.require_files(row, manifest)
        return Archive(row, manifest)

    async def pieces(self, archive: Archive) -> AsyncGenerator[bytes]:
        """The bytes of the tar archive; breaks off when a file is lost meanwhile."""
        for entry in archive.manifest.entries:
            yield checkpoint_archive.header(entry)
            if entry.HasField("file") and entry.file.size_bytes:
                content = self._checkpoints.content(archive.row, entry.file.sha256)
                async with aclosing(content) as parts:
                    async for part in parts:
                        yield part
                yield checkpoint_archive.padding(entry)
        yield checkpoint_archive.END


def _require(tx: Transaction, who: Caller, permission: str, job_id: str) -> None:
    job = tx.jobs.get(job_id)
    if job is None:
        raise absent("job", job_id)
    require_object(who, permission, job.project, kind="job", object_id=job_id)
