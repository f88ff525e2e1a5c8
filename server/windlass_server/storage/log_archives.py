"""Which logs are in the object store, and where in their objects each part is."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, delete, insert, or_, select, update

from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import LogArchiveRow, LogChunkRow, RunRow

_ARCHIVES = LogArchiveRow.__table__  # type: ignore[attr-defined]
_CHUNKS = LogChunkRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]


class LogArchiveStore:
    """The index of archived logs in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, run_id: str) -> LogArchiveRow | None:
        """The archive of a run's log, or None."""
        one = select(_ARCHIVES).where(_ARCHIVES.c.run_id == run_id)
        return cast("LogArchiveRow | None", self._connection.execute(one).first())

    def chunks(self, run_id: str) -> Sequence[LogChunkRow]:
        """The parts of an archived log, in their order."""
        some = select(_CHUNKS).where(_CHUNKS.c.run_id == run_id).order_by(_CHUNKS.c.number)
        return cast("Sequence[LogChunkRow]", self._connection.execute(some).all())

    def complete(self, run_ids: Sequence[str], *, ended_before: int) -> Sequence[RunRow]:
        """Those of these runs that ended then (µs) or before, and whose logs grow no more.

        They have `run_id`, `rank`, `log_end` and `log_lost` alone.
        """
        some = select(_RUNS.c.run_id, _RUNS.c.rank, _RUNS.c.log_end, _RUNS.c.log_lost).where(
            _RUNS.c.run_id.in_(run_ids), _RUNS.c.forgotten, _RUNS.c.end_noted_at <= ended_before
        )
        return cast("Sequence[RunRow]", self._connection.execute(some).all())

    def add(self, archive: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]]) -> bool:
        """Note an archive whose object is there; False when the log has one already."""
        if not insert_new(self._connection, _ARCHIVES, archive):
            return False
        self._connection.execute(insert(_CHUNKS), list(chunks))
        return True

    def expiring(self, *, archived_before: int | None, size: int) -> Sequence[LogArchiveRow]:
        """Up to `size` archives with an object that shall go, the oldest first.

        Args:
            archived_before: those of this time (µs) or older; None for only those that have begun to go.
            size: how many at most.
        """
        old = _ARCHIVES.c.expired_at.is_not(None)
        if archived_before is not None:
            old = or_(old, _ARCHIVES.c.archived_at <= archived_before)
        some = (
            select(_ARCHIVES)
            .where(_ARCHIVES.c.key != "", old)
            .order_by(_ARCHIVES.c.archived_at)
            .limit(size)
        )
        return cast("Sequence[LogArchiveRow]", self._connection.execute(some).all())

    def expire(self, run_id: str, at: int) -> None:
        """Let nobody read an archived log any more."""
        one = update(_ARCHIVES).where(_ARCHIVES.c.run_id == run_id)
        self._connection.execute(one.where(_ARCHIVES.c.expired_at.is_(None)).values(expired_at=at))

    def removed(self, run_id: str) -> None:
        """Note that the object of an archive is gone."""
        self._connection.execute(delete(_CHUNKS).where(_CHUNKS.c.run_id == run_id))
        one = update(_ARCHIVES).where(_ARCHIVES.c.run_id == run_id)
        self._connection.execute(one.values(key="", stored_bytes=0))
