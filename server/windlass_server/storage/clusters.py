"""Clusters."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, select, update

from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import ClusterRow

_CLUSTERS: Table = ClusterRow.__table__  # type: ignore[attr-defined]

_GET = select(_CLUSTERS).where(_CLUSTERS.c.cluster_id == bindparam("cluster_id"))
_LOCK = _GET.with_for_update()
_HOLD = _GET.with_for_update(read=True)
_PAGE = (
    select(_CLUSTERS)
    .where(_CLUSTERS.c.cluster_id > bindparam("after"))
    .order_by(_CLUSTERS.c.cluster_id)
    .limit(bindparam("size"))
)


class ClusterStore:
    """Clusters in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, cluster_id: str) -> ClusterRow | None:
        """The cluster, or None."""
        return self._first(_GET, cluster_id)

    def lock(self, cluster_id: str) -> ClusterRow | None:
        """The cluster, held against all others until the transaction ends; or None."""
        return self._first(_LOCK, cluster_id)

    def hold(self, cluster_id: str) -> ClusterRow | None:
        """The cluster, which nobody can change until the transaction ends; or None.

        For what is going to refer to it: several can hold it at once.
        """
        return self._first(_HOLD, cluster_id)

    def page(self, *, after: str, size: int) -> Sequence[ClusterRow]:
        """The first `size` clusters by name, behind the name `after`."""
        rows = self._connection.execute(_PAGE, {"after": after, "size": size}).all()
        return cast("Sequence[ClusterRow]", rows)

    def add(self, values: Mapping[str, Any]) -> bool:
        """Add a cluster; `values` has every column. False when there is one of that name."""
        return insert_new(self._connection, _CLUSTERS, values)

    def change(self, cluster_id: str, **values: Any) -> None:
        """Set columns of a cluster that is locked."""
        self._connection.execute(
            update(_CLUSTERS).where(_CLUSTERS.c.cluster_id == cluster_id).values(**values)
        )

    def remove(self, cluster_id: str) -> None:
        """Remove a cluster that is locked."""
        self._connection.execute(delete(_CLUSTERS).where(_CLUSTERS.c.cluster_id == cluster_id))

    def _first(self, query: Any, cluster_id: str) -> ClusterRow | None:
        row = self._connection.execute(query, {"cluster_id": cluster_id}).first()
        return cast("ClusterRow | None", row)
