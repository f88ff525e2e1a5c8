"""Policies of the scheduler."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, select, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import OrganisationRow, SchedulingPolicyRow

_POLICIES: Table = SchedulingPolicyRow.__table__  # type: ignore[attr-defined]
_ORGANISATIONS: Table = OrganisationRow.__table__  # type: ignore[attr-defined]

# Read in every cycle of the scheduler.
_ALL = Hot(select(_POLICIES).order_by(_POLICIES.c.policy_id))
_GET = select(_POLICIES).where(_POLICIES.c.policy_id == bindparam("policy_id"))
_DELETE = delete(_POLICIES).where(_POLICIES.c.policy_id == bindparam("key"))
# The one row that every installation has, so that policies are changed one after the other.
_LOCK = select(_ORGANISATIONS.c.organisation_id).with_for_update()


class SchedulingPolicyStore:
    """Policies in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, policy_id: str) -> SchedulingPolicyRow | None:
        """The policy, or None when nobody has set it."""
        found = self._connection.execute(_GET, {"policy_id": policy_id}).first()
        return cast("SchedulingPolicyRow | None", found)

    def all(self) -> Sequence[SchedulingPolicyRow]:
        """Every policy, by id."""
        return cast("Sequence[SchedulingPolicyRow]", _ALL.all(self._connection, {}))

    def lock(self) -> None:
        """Keep others from changing policies until the transaction ends."""
        self._connection.execute(_LOCK)

    def add(self, values: Mapping[str, Any]) -> bool:
        """Add a policy; `values` has every column. False when it is there."""
        return insert_new(self._connection, _POLICIES, values)

    def change(self, policy_id: str, **values: Any) -> None:
        """Set columns of a policy, when all are locked."""
        one = _POLICIES.c.policy_id == policy_id
        self._connection.execute(update(_POLICIES).where(one).values(**values))

    def remove(self, policy_id: str) -> None:
        """Remove a policy."""
        self._connection.execute(_DELETE, {"key": policy_id})
