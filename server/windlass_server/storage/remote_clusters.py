"""How other installations are reached, and how they are."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from windlass_server.storage.tables import ClusterRow, RemoteClusterRow

_REMOTE = RemoteClusterRow.__table__  # type: ignore[attr-defined]
_CLUSTERS = ClusterRow.__table__  # type: ignore[attr-defined]

_WITH_SPEC = select(_REMOTE, _CLUSTERS.c.spec, _CLUSTERS.c.version).join(
    _CLUSTERS, _CLUSTERS.c.cluster_id == _REMOTE.c.cluster_id
)
_ALL = _WITH_SPEC.order_by(_REMOTE.c.cluster_id)
_GET = select(_REMOTE).where(_REMOTE.c.cluster_id == bindparam("cluster_id"))
# Whoever has it keeps it; somebody else gets it when it has run out.
_HOLD = (
    update(_REMOTE)
    .where(
        _REMOTE.c.cluster_id == bindparam("key"),
        or_(
            _REMOTE.c.lease_holder == bindparam("holder"), _REMOTE.c.lease_until <= bindparam("now")
        ),
    )
    .values(lease_holder=bindparam("holder"), lease_until=bindparam("until"))
)


class RemoteClusterStore:
    """Remote clusters in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, cluster_id: str) -> RemoteClusterRow | None:
        """The cluster's row, or None when it is no remote one."""
        found = self._connection.execute(_GET, {"cluster_id": cluster_id}).first()
        return cast("RemoteClusterRow | None", found)

    def all(self) -> Sequence[Any]:
        """Every remote cluster, by name: rows of RemoteClusterRow, with `spec` and `version`."""
        return self._connection.execute(_ALL).all()

    def add(self, values: Mapping[str, Any]) -> None:
        """Add what a remote cluster needs; its row in `clusters` is there."""
        self._connection.execute(insert(_REMOTE), values)

    def change(self, cluster_id: str, **values: Any) -> None:
        """Set columns of a remote cluster."""
        self._connection.execute(
            update(_REMOTE).where(_REMOTE.c.cluster_id == cluster_id).values(**values)
        )

    def remove(self, cluster_id: str) -> None:
        """Remove it; the caller has seen that nothing is open there."""
        self._connection.execute(delete(_REMOTE).where(_REMOTE.c.cluster_id == cluster_id))

    def hold(self, cluster_id: str, holder: str, *, now: int, until: int) -> bool:
        """Take or renew the lease on a cluster's work; False while somebody else has it."""
        values = {"key": cluster_id, "holder": holder, "now": now, "until": until}
        return self._connection.execute(_HOLD, values).rowcount == 1
