"""Prices."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, insert, select

from windlass_server.storage.tables import OrganisationRow, PriceRow

_PRICES: Table = PriceRow.__table__  # type: ignore[attr-defined]
_ORGANISATIONS: Table = OrganisationRow.__table__  # type: ignore[attr-defined]

_GET = select(_PRICES).where(_PRICES.c.price_id == bindparam("price_id"))
_ALL = select(_PRICES).order_by(_PRICES.c.start_at, _PRICES.c.price_id)
_DELETE = delete(_PRICES).where(_PRICES.c.price_id == bindparam("key"))
_DELETE_SAME = delete(_PRICES).where(
    _PRICES.c.resource == bindparam("of"),
    _PRICES.c.gpu_key == bindparam("type"),
    _PRICES.c.start_at == bindparam("since"),
)
# The one row that every installation has, so that prices are set one after the other.
_LOCK = select(_ORGANISATIONS.c.organisation_id).with_for_update()


class PriceStore:
    """Prices in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, price_id: str) -> PriceRow | None:
        """The price, or None."""
        row = self._connection.execute(_GET, {"price_id": price_id}).first()
        return cast("PriceRow | None", row)

    def all(self) -> Sequence[PriceRow]:
        """Every price, the earliest first."""
        return cast("Sequence[PriceRow]", self._connection.execute(_ALL).all())

    def page(
        self, *, before: str, size: int, resource: int = 0, gpu_key: str = ""
    ) -> Sequence[PriceRow]:
        """The `size` prices that were set last before `before` (an id; empty: last of all)."""
        query = select(_PRICES).order_by(_PRICES.c.price_id.desc()).limit(size)
        if before:
            query = query.where(_PRICES.c.price_id < before)
        if resource:
            query = query.where(_PRICES.c.resource == resource)
        if gpu_key:
            query = query.where(_PRICES.c.gpu_key == gpu_key)
        return cast("Sequence[PriceRow]", self._connection.execute(query).all())

    def lock(self) -> None:
        """Keep others from setting prices until the transaction ends."""
        self._connection.execute(_LOCK)

    def set(self, values: Mapping[str, Any]) -> None:
        """Add a price, in the place of one of the same resource, type and start."""
        same = {"of": values["resource"], "type": values["gpu_key"], "since": values["start_at"]}
        self._connection.execute(_DELETE_SAME, same)
        self._connection.execute(insert(_PRICES), values)

    def remove(self, price_id: str) -> None:
        """Remove a price."""
        self._connection.execute(_DELETE, {"key": price_id})
