"""Secrets of projects, as they are kept: encrypted."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select, tuple_, update

from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import SecretRow, SecretVersionRow

_SECRETS = SecretRow.__table__  # type: ignore[attr-defined]
_VERSIONS = SecretVersionRow.__table__  # type: ignore[attr-defined]

_GET = select(_SECRETS).where(
    _SECRETS.c.project == bindparam("project"), _SECRETS.c.name == bindparam("name")
)
_THERE = ~_SECRETS.c.deleted
_COUNT = select(func.count()).where(_SECRETS.c.project == bindparam("project"), _THERE)
_PAGE = (
    select(_SECRETS)
    .where(
        _SECRETS.c.project == bindparam("project"),
        _THERE,
        _SECRETS.c.name > bindparam("after"),
    )
    .order_by(_SECRETS.c.name)
    .limit(bindparam("size"))
)
_OF_NAMES = select(_SECRETS).where(
    _SECRETS.c.project == bindparam("project"),
    _THERE,
    _SECRETS.c.name.in_(bindparam("names", expanding=True)),
)
_VERSIONS_OF = (
    select(_VERSIONS)
    .where(_VERSIONS.c.project == bindparam("project"), _VERSIONS.c.name == bindparam("name"))
    .order_by(_VERSIONS.c.version.desc())
)
_KEY = tuple_(_VERSIONS.c.project, _VERSIONS.c.name, _VERSIONS.c.version)
_UNDER_OTHERS = (
    select(_VERSIONS)
    .where(_VERSIONS.c.key_id != bindparam("key_id"))
    .order_by(_VERSIONS.c.project, _VERSIONS.c.name, _VERSIONS.c.version)
)


class SecretStore:
    """Secrets in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, project: str, name: str) -> SecretRow | None:
        """A secret, also one that was deleted; or None."""
        row = self._connection.execute(_GET, {"project": project, "name": name}).first()
        return cast("SecretRow | None", row)

    def lock(self, project: str, name: str) -> SecretRow | None:
        """The same, held against other writers until the transaction ends."""
        values = {"project": project, "name": name}
        row = self._connection.execute(_GET.with_for_update(), values).first()
        return cast("SecretRow | None", row)

    def count(self, project: str) -> int:
        """How many a project has."""
        return int(self._connection.execute(_COUNT, {"project": project}).scalar_one())

    def page(self, project: str, *, after: str, size: int) -> Sequence[SecretRow]:
        """The first `size` secrets of a project behind a name (empty: from the first on), by name."""
        values = {"project": project, "after": after, "size": size}
        return cast("Sequence[SecretRow]", self._connection.execute(_PAGE, values).all())

    def of_names(self, project: str, names: Collection[str]) -> dict[str, SecretRow]:
        """Those of these secrets of a project that there are, by name."""
        values = {"project": project, "names": sorted(names)}
        return {row.name: row for row in self._connection.execute(_OF_NAMES, values)}  # type: ignore[misc]

    def add(self, values: Mapping[str, Any]) -> bool:
        """Add a secret; `values` has every column of SecretRow. False when there is one of that name."""
        return insert_new(self._connection, _SECRETS, values)

    def change(self, project: str, name: str, **values: Any) -> None:
        """Set columns of a secret that is locked."""
        one = (_SECRETS.c.project == project) & (_SECRETS.c.name == name)
        self._connection.execute(update(_SECRETS).where(one).values(**values))

    def versions(self, project: str, name: str) -> Sequence[SecretVersionRow]:
        """The values that are kept of a secret, the newest first."""
        values = {"project": project, "name": name}
        rows = self._connection.execute(_VERSIONS_OF, values).all()
        return cast("Sequence[SecretVersionRow]", rows)

    def versions_of(
        self, project: str, wanted: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], SecretVersionRow]:
        """Those of these values of a project that are kept, by name and version."""
        if not wanted:
            return {}
        of_these = tuple_(_VERSIONS.c.name, _VERSIONS.c.version).in_(sorted(wanted))
        query = select(_VERSIONS).where(_VERSIONS.c.project == project, of_these)
        return {(row.name, row.version): row for row in self._connection.execute(query)}  # type: ignore[misc]

    def add_version(self, values: Mapping[str, Any]) -> None:
        """Keep a value; `values` has every column of SecretVersionRow."""
        self._connection.execute(insert(_VERSIONS), values)

    def drop_versions(self, project: str, name: str, *, upto: int) -> None:
        """Drop the values of a secret up to a version."""
        those = (_VERSIONS.c.project == project) & (_VERSIONS.c.name == name)
        self._connection.execute(delete(_VERSIONS).where(those, _VERSIONS.c.version <= upto))

    def under_other_keys(
        self, key_id: str, *, after: tuple[str, str, int], size: int
    ) -> Sequence[SecretVersionRow]:
        """The first `size` values behind one that are encrypted under another key than this."""
        behind = tuple_(*map(literal, after)) < _KEY
        query = _UNDER_OTHERS.where(behind).limit(size)
        rows = self._connection.execute(query, {"key_id": key_id}).all()
        return cast("Sequence[SecretVersionRow]", rows)

    def seal_anew(self, row: SecretVersionRow, *, key_id: str, sealed: bytes) -> None:
        """Put the same value, encrypted under another key, in the place of what there is."""
        one = (
            (_VERSIONS.c.project == row.project)
            & (_VERSIONS.c.name == row.name)
            & (_VERSIONS.c.version == row.version)
        )
        values = {"key_id": key_id, "sealed": sealed}
        self._connection.execute(update(_VERSIONS).where(one).values(values))
