"""Templates of jobs."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, and_, bindparam, func, insert, select, update

from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import JobTemplateRow, JobTemplateVersionRow

_HEADS: Table = JobTemplateRow.__table__  # type: ignore[attr-defined]
_VERSIONS: Table = JobTemplateVersionRow.__table__  # type: ignore[attr-defined]

_HEAD = select(_HEADS).where(
    _HEADS.c.project == bindparam("project"), _HEADS.c.name == bindparam("name")
)
_OF_VERSION = select(_VERSIONS).where(
    _VERSIONS.c.project == bindparam("project"),
    _VERSIONS.c.name == bindparam("name"),
    _VERSIONS.c.version == bindparam("version"),
)
_OLDER = (
    select(_VERSIONS)
    .where(
        _VERSIONS.c.project == bindparam("project"),
        _VERSIONS.c.name == bindparam("name"),
        _VERSIONS.c.version < bindparam("before"),
    )
    .order_by(_VERSIONS.c.version.desc())
    .limit(bindparam("size"))
)
_NAMES = select(_HEADS.c.name).where(
    _HEADS.c.project == bindparam("project"), _HEADS.c.removed.is_(False)
)
_NEWEST = select(_VERSIONS).join(
    _HEADS,
    and_(
        _HEADS.c.project == _VERSIONS.c.project,
        _HEADS.c.name == _VERSIONS.c.name,
        _HEADS.c.version == _VERSIONS.c.version,
    ),
)
_NEWEST_OF = _NEWEST.where(
    _HEADS.c.project == bindparam("project"),
    _HEADS.c.name.in_(bindparam("names", expanding=True)),
    _HEADS.c.removed.is_(False),
)


class JobTemplateStore:
    """Templates in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self, project: str, name: str) -> JobTemplateRow | None:
        """The template, also one that was removed, held against other writers; or None."""
        values = {"project": project, "name": name}
        found = self._connection.execute(_HEAD.with_for_update(), values).first()
        return cast("JobTemplateRow | None", found)

    def get(self, project: str, name: str, version: int = 0) -> JobTemplateVersionRow | None:
        """A version of a template, 0: the newest; None when there is none, or the template was removed."""
        values: dict[str, Any] = {"project": project, "name": name}
        head = self._connection.execute(_HEAD, values).first()
        if head is None or head.removed:
            return None
        values |= {"version": version or head.version}
        return cast(
            "JobTemplateVersionRow | None", self._connection.execute(_OF_VERSION, values).first()
        )

    def names(self, project: str) -> list[str]:
        """The names of a project's templates, in order."""
        # Ordered here, as an engine might order their hyphens otherwise.
        return sorted(row.name for row in self._connection.execute(_NAMES, {"project": project}))

    def newest(self, project: str, names: Sequence[str]) -> Sequence[JobTemplateVersionRow]:
        """The newest versions of these templates, by name."""
        values = {"project": project, "names": list(names)}
        found = self._connection.execute(_NEWEST_OF, values).all()
        rows = cast("Sequence[JobTemplateVersionRow]", found)
        return sorted(rows, key=lambda row: row.name)

    def older(
        self, project: str, name: str, before: int, size: int
    ) -> Sequence[JobTemplateVersionRow]:
        """The first `size` versions of a template from before another one, the newest first."""
        values = {"project": project, "name": name, "before": before, "size": size}
        found = self._connection.execute(_OLDER, values).all()
        return cast("Sequence[JobTemplateVersionRow]", found)

    def count(self, project: str) -> int:
        """How many templates a project has."""
        query = select(func.count()).select_from(_NAMES.subquery())
        return int(self._connection.execute(query, {"project": project}).scalar_one())

    def add(self, project: str, name: str) -> bool:
        """Add a template without versions; False when there is one of that name, or was."""
        values = {"project": project, "name": name, "version": 0, "removed": False}
        return insert_new(self._connection, _HEADS, values)

    def add_version(self, **values: Any) -> None:
        """Add a version, with every column, of a template that is locked, and make it the newest."""
        self._connection.execute(insert(_VERSIONS).values(**values))
        self._change(values["project"], values["name"], version=values["version"], removed=False)

    def remove(self, project: str, name: str) -> None:
        """Note that a template, which is locked, was removed."""
        self._change(project, name, removed=True)

    def _change(self, project: str, name: str, **values: Any) -> None:
        query = update(_HEADS).where(_HEADS.c.project == project, _HEADS.c.name == name)
        self._connection.execute(query.values(**values))
