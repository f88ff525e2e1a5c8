"""Archives that jobs bring along: which there are, which jobs name them, and which nobody needs any more."""

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from windlass_server.errors import LostRace
from windlass_server.storage.tables import JobRow, JobSourceRow, SourceRow

_SOURCES = SourceRow.__table__  # type: ignore[attr-defined]
_USES = JobSourceRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]


class State(enum.IntEnum):
    """Where an archive is in its life."""

    UPLOADING = 1
    READY = 2
    REMOVED = 3


_GET = select(_SOURCES).where(_SOURCES.c.source_id == bindparam("source_id"))
_OF_CONTENT = select(_SOURCES).where(
    _SOURCES.c.project == bindparam("project"),
    _SOURCES.c.sha256 == bindparam("sha256"),
    _SOURCES.c.status == State.READY,
)
_BYTES = select(func.coalesce(func.sum(_SOURCES.c.size_bytes), 0)).where(
    _SOURCES.c.project == bindparam("project"),
    _SOURCES.c.status.in_((State.UPLOADING, State.READY)),
    _SOURCES.c.source_id != bindparam("besides"),
)
_NEEDED = exists().where(
    _USES.c.source_id == _SOURCES.c.source_id,
    _JOBS.c.job_id == _USES.c.job_id,
    _JOBS.c.ended_at.is_(None),
)
_UNNEEDED = (
    select(_SOURCES)
    .where(
        or_(
            _SOURCES.c.status == State.REMOVED,
            and_(
                _SOURCES.c.status == State.UPLOADING,
                _SOURCES.c.used_at <= bindparam("idle_since"),
            ),
            and_(
                _SOURCES.c.status == State.READY,
                _SOURCES.c.used_at <= bindparam("unused_since"),
                ~_NEEDED,
            ),
        )
    )
    .order_by(_SOURCES.c.source_id)
    .limit(bindparam("size"))
)


class SourceStore:
    """Archives in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, source_id: str) -> SourceRow | None:
        """The archive, or None; also one that is not whole, or has been removed."""
        row = self._connection.execute(_GET, {"source_id": source_id}).first()
        return cast("SourceRow | None", row)

    def lock(self, source_id: str) -> SourceRow | None:
        """The same, held against other writers until the transaction ends."""
        row = self._connection.execute(_GET.with_for_update(), {"source_id": source_id}).first()
        return cast("SourceRow | None", row)

    def lock_of_content(self, project: str, sha256: str) -> SourceRow | None:
        """The archive that a project has of a content, held against other writers; or None.

        One that somebody removes at this moment is waited for, and then is none.
        """
        values = {"project": project, "sha256": sha256}
        query = _OF_CONTENT.with_for_update()
        return cast("SourceRow | None", self._connection.execute(query, values).first())

    def bytes_of(self, project: str, besides: str = "") -> int:
        """How many bytes a project's archives have together, also of those that are uploaded, but for one."""
        values = {"project": project, "besides": besides}
        return int(self._connection.execute(_BYTES, values).scalar_one())

    def add(self, values: Mapping[str, Any]) -> None:
        """Add an archive; `values` has every column of SourceRow."""
        self._connection.execute(insert(_SOURCES), values)

    def change(self, source_id: str, **values: Any) -> None:
        """Set columns of an archive."""
        one = _SOURCES.c.source_id == source_id
        self._connection.execute(update(_SOURCES).where(one).values(**values))

    def finish(self, source_id: str, **values: Any) -> None:
        """Set columns of an archive that is whole; LostRace when another one of its content was first."""
        try:
            self.change(source_id, **values)
        except IntegrityError:
            message = f"somebody else uploaded the content of {source_id}"
            raise LostRace(message, reason="SOURCE_CHANGED", source_id=source_id) from None

    def use(self, project: str, uses: Collection[tuple[str, str]], at: int) -> bool:
        """Note that new jobs of a project need archives; False when one of these is not there.

        Args:
            project: the project.
            uses: the id of each job with that of its archive.
            at: now (µs).
        """
        wanted = sorted({source_id for _, source_id in uses})
        there = (
            update(_SOURCES)
            .where(
                _SOURCES.c.source_id.in_(wanted),
                _SOURCES.c.project == project,
                _SOURCES.c.status == State.READY,
            )
            .values(used_at=at)
        )
        if self._connection.execute(there).rowcount != len(wanted):
            return False
        rows = [{"job_id": job_id, "source_id": source_id} for job_id, source_id in uses]
        self._connection.execute(insert(_USES), rows)
        return True

    def is_needed(self, source_id: str) -> bool:
        """Whether a job needs an archive that has not ended."""
        query = select(_SOURCES.c.source_id).where(_SOURCES.c.source_id == source_id, _NEEDED)
        return self._connection.execute(query).first() is not None

    def page(self, project: str, *, sha256: str, before: str, size: int) -> Sequence[SourceRow]:
        """The newest `size` archives of a project made before one (empty: all), newest first."""
        columns = _SOURCES.c
        query = select(_SOURCES).where(columns.project == project, columns.status == State.READY)
        if sha256:
            query = query.where(columns.sha256 == sha256)
        if before:
            query = query.where(columns.source_id < before)
        rows = self._connection.execute(query.order_by(columns.source_id.desc()).limit(size))
        return cast("Sequence[SourceRow]", rows.all())

    def unneeded(self, *, idle_since: int, unused_since: int, size: int) -> Sequence[SourceRow]:
        """Up to `size` archives that nobody needs, oldest first.

        Args:
            idle_since: uploads that began before (µs) and have no end are given up.
            unused_since: what no job has named since (µs) goes, unless one that has not ended needs it.
            size: how many at most.
        """
        values = {"idle_since": idle_since, "unused_since": unused_since, "size": size}
        return cast("Sequence[SourceRow]", self._connection.execute(_UNNEEDED, values).all())

    def remove(self, source_id: str) -> None:
        """Forget an archive whose object is gone."""
        self._connection.execute(delete(_SOURCES).where(_SOURCES.c.source_id == source_id))
