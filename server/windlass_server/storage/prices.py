"""Prices."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from windlass_server.storage.rows import row
from windlass_server.storage.tables import OrganisationRow, PriceRow

_PRICES: Table = PriceRow.__table__  # type: ignore[attr-defined]
_ORGANISATIONS: Table = OrganisationRow.__table__  # type: ignore[attr-defined]

_GET = select(_PRICES).where(_PRICES.c.price_id == bindparam("price_id"))
_ALL = select(_PRICES).order_by(_PRICES.c.start_at, _PRICES.c.price_id)
_DELETE = delete(_PRICES).where(_PRICES.c.price_id == bindparam("key"))
_SAME = select(_PRICES.c.price_id).where(
    _PRICES.c.resource == bindparam("resource"),
    _PRICES.c.gpu_key == bindparam("gpu_key"),
    _PRICES.c.start_at == bindparam("start_at"),
)
# The one row that every installation has, so that prices are set one after the other.
_LOCK = select(_ORGANISATIONS.c.organisation_id).with_for_update()


class PriceStore:
    """Prices in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, price_id: str) -> PriceRow | None:
        """The price, or None."""
        found = self._connection.execute(_GET, {"price_id": price_id}).first()
        return cast("PriceRow | None", found)

    def all(self) -> Sequence[PriceRow]:
        """Every price, the earliest first."""
        return cast("Sequence[PriceRow]", self._connection.execute(_ALL).all())

    def page(
        self, *, before: str, size: int, resource: int = 0, gpu_key: str = ""
    ) -> Sequence[PriceRow]:
        """The newest `size` prices older than `before` (an id; empty: the newest of all)."""
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

    def set(self, values: Mapping[str, Any]) -> PriceRow:
        """Add a price, or change the one of the same resource, type and start, which keeps its id.

        Args:
            values: every column of PriceRow.
        """
        same = {name: values[name] for name in ("resource", "gpu_key", "start_at")}
        price_id = self._connection.scalar(_SAME, same)
        if price_id is None:
            self._connection.execute(insert(_PRICES), values)
            return row(PriceRow, values)
        values = {**values, "price_id": price_id}
        one = _PRICES.c.price_id == price_id
        self._connection.execute(update(_PRICES).where(one).values(**values))
        return row(PriceRow, values)

    def remove(self, price_id: str) -> None:
        """Remove a price."""
        self._connection.execute(_DELETE, {"key": price_id})
