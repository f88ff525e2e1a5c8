"""Artifacts of jobs: which there are, of what parts, and which nobody needs any more."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, update

from windlass_server.storage.tables import ArtifactPartRow, ArtifactRow

_ARTIFACTS = ArtifactRow.__table__  # type: ignore[attr-defined]
_PARTS = ArtifactPartRow.__table__  # type: ignore[attr-defined]


class State(enum.IntEnum):
    """Where an artifact is in its life."""

    UPLOADING = 1
    READY = 2
    REMOVED = 3


@dataclass(frozen=True, slots=True)
class ArtifactFilter:
    """Which artifacts of a job a list asks for; empty values ask for all.

    Attributes:
        job_id: the job.
        name: of this name.
        type: as jobs.v1.Artifact.Type.
        run_id: left by this run.
        unfinished: also those that are still uploaded.
    """

    job_id: str
    name: str = ""
    type: int = 0
    run_id: str = ""
    unfinished: bool = False


_GET = select(_ARTIFACTS).where(_ARTIFACTS.c.artifact_id == bindparam("artifact_id"))
_THERE = _ARTIFACTS.c.status != State.REMOVED
_COUNT_OF_JOB = select(func.count()).where(_ARTIFACTS.c.job_id == bindparam("job_id"), _THERE)
_LAST_VERSION = select(func.max(_ARTIFACTS.c.version)).where(
    _ARTIFACTS.c.job_id == bindparam("job_id"), _ARTIFACTS.c.name == bindparam("name")
)
_OF_RUN = (
    select(_ARTIFACTS)
    .where(_ARTIFACTS.c.run_id == bindparam("run_id"), _THERE)
    .order_by(_ARTIFACTS.c.artifact_id)
)
_PARTS_OF = (
    select(_PARTS)
    .where(_PARTS.c.artifact_id == bindparam("artifact_id"))
    .order_by(_PARTS.c.position)
)
# Uploads that nobody goes on with, and what has been removed.
_UNNEEDED = (
    select(_ARTIFACTS)
    .where(
        or_(
            _ARTIFACTS.c.status == State.REMOVED,
            and_(
                _ARTIFACTS.c.status == State.UPLOADING,
                _ARTIFACTS.c.changed_at <= bindparam("idle_since"),
            ),
        )
    )
    .order_by(_ARTIFACTS.c.artifact_id)
    .limit(bindparam("size"))
)


class ArtifactStore:
    """Artifacts in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, artifact_id: str) -> ArtifactRow | None:
        """The artifact, or None; also one that has been removed."""
        row = self._connection.execute(_GET, {"artifact_id": artifact_id}).first()
        return cast("ArtifactRow | None", row)

    def lock(self, artifact_id: str) -> ArtifactRow | None:
        """The same, held against other writers until the transaction ends."""
        row = self._connection.execute(_GET.with_for_update(), {"artifact_id": artifact_id}).first()
        return cast("ArtifactRow | None", row)

    def add(self, values: Mapping[str, Any]) -> None:
        """Add an artifact; `values` has every column of ArtifactRow."""
        self._connection.execute(insert(_ARTIFACTS), values)

    def change(self, artifact_id: str, **values: Any) -> None:
        """Set columns of an artifact that is locked."""
        one = _ARTIFACTS.c.artifact_id == artifact_id
        self._connection.execute(update(_ARTIFACTS).where(one).values(**values))

    def count_of(self, job_id: str) -> int:
        """How many artifacts a job has, with those that are uploaded."""
        return int(self._connection.execute(_COUNT_OF_JOB, {"job_id": job_id}).scalar_one())

    def last_version(self, job_id: str, name: str) -> int:
        """The version that a job's last artifact of a name had, also if it was removed; 0 without one.

        The caller has locked the job in this transaction.
        """
        values = {"job_id": job_id, "name": name}
        return self._connection.execute(_LAST_VERSION, values).scalar_one() or 0

    def of_run(self, run_id: str) -> Sequence[ArtifactRow]:
        """What a run has left, oldest first, with what is still uploaded."""
        rows = self._connection.execute(_OF_RUN, {"run_id": run_id}).all()
        return cast("Sequence[ArtifactRow]", rows)

    def page(self, wanted: ArtifactFilter, *, before: str, size: int) -> Sequence[ArtifactRow]:
        """The newest `size` artifacts made before one (empty: all), newest first."""
        columns = _ARTIFACTS.c
        query = select(_ARTIFACTS).where(columns.job_id == wanted.job_id)
        if wanted.unfinished:
            query = query.where(_THERE)
        else:
            query = query.where(columns.status == State.READY)
        for column, value in (
            (columns.name, wanted.name),
            (columns.type, wanted.type),
            (columns.run_id, wanted.run_id),
        ):
            if value:
                query = query.where(column == value)
        if before:
            query = query.where(columns.artifact_id < before)
        rows = self._connection.execute(query.order_by(columns.artifact_id.desc()).limit(size))
        return cast("Sequence[ArtifactRow]", rows.all())

    def parts(self, artifact_id: str) -> Sequence[ArtifactPartRow]:
        """The parts of an artifact's content, in order."""
        rows = self._connection.execute(_PARTS_OF, {"artifact_id": artifact_id}).all()
        return cast("Sequence[ArtifactPartRow]", rows)

    def add_part(self, values: Mapping[str, Any]) -> None:
        """Add a part; `values` has every column of ArtifactPartRow."""
        self._connection.execute(insert(_PARTS), values)

    def unneeded(self, *, idle_since: int, size: int) -> Sequence[ArtifactRow]:
        """Up to `size` artifacts that nobody needs, oldest first.

        Args:
            idle_since: uploads that nobody has written to since (µs) are given up.
            size: how many at most.
        """
        values = {"idle_since": idle_since, "size": size}
        rows = self._connection.execute(_UNNEEDED, values).all()
        return cast("Sequence[ArtifactRow]", rows)

    def remove(self, artifact_id: str) -> None:
        """Forget an artifact whose objects are gone."""
        self._connection.execute(delete(_PARTS).where(_PARTS.c.artifact_id == artifact_id))
        one = _ARTIFACTS.c.artifact_id == artifact_id
        self._connection.execute(delete(_ARTIFACTS).where(one))
