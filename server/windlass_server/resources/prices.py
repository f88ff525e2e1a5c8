"""What resources cost: authorise, load, decide, store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from windlass_server.access.policy import ORGANISATION, Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import FieldViolation, InvalidInput, WrongState
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.price_book import Price, PriceBook, Resource
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import PriceRow
from windlass_server.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class WantedPrice:
    """A price that somebody sets.

    Attributes:
        resource: as `resources.v1.Price.Resource`.
        gpu_type: empty for every type, and for what is no GPU.
        amount: in billionths of the currency, for one and an hour.
        start: from when on, in microseconds since 1970; None: from now on.
    """

    resource: int
    gpu_type: str
    amount: int
    currency: str
    start: int | None


class PricesService:
    """The price book.

    Args:
        page_tokens: makes list tokens.
    """

    def __init__(
        self, database: Database, clock: Clock, ids: IdSource, page_tokens: PageTokens
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens

    async def list(
        self, who: Caller, *, resource: int, gpu_type: str, size: int, token: str
    ) -> tuple[Sequence[PriceRow], str]:
        """A page of prices, newest first, and the token of the next one."""
        require(who, "prices.list", ORGANISATION)
        size = page_size(size)
        query = f"prices {resource} {gpu_type}"
        before = self._page_tokens.read(query, token) if token else ""
        found = await self._database.read(
            lambda tx: tx.prices.page(
                before=before, size=size + 1, resource=resource, gpu_key=gpu_type.casefold()
            )
        )
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].price_id)

    async def set(self, who: Caller, wanted: WantedPrice) -> PriceRow:
        """Set a price; one of the same resource from the same time on is changed.

        Raises:
            InvalidInput: `GPU_TYPE_OF_NO_GPU`, there are no types of this resource.
            WrongState: `CURRENCY_DIFFERS`, the other prices are of another currency.
        """
        require(who, "prices.set", ORGANISATION)
        if wanted.gpu_type and wanted.resource != Resource.GPU:
            text = "is only for GPUs"
            violation = FieldViolation("price.gpu_type", text, "GPU_TYPE_OF_NO_GPU")
            message = f"price.gpu_type {text}"
            raise InvalidInput(message, reason="GPU_TYPE_OF_NO_GPU", violations=(violation,))
        columns = self._columns(who, wanted)

        def store(tx: Transaction) -> PriceRow:
            tx.prices.lock()
            currencies = {one.currency for one in tx.prices.all()}
            if currencies - {wanted.currency}:
                other = min(currencies)
                message = f"all prices are of one currency, and there are some of {other}"
                raise WrongState(
                    message, reason="CURRENCY_DIFFERS", subject="prices", currency=other
                )
            stored = tx.prices.set(columns)
            _record(tx, stored, who, "PRICE_SET", self._clock.now())
            return stored

        return await self._database.write(store)

    async def delete(self, who: Caller, price_id: str) -> PriceRow:
        """Remove a price; returns it as it was. NotFound when there is none."""
        require(who, "prices.set", ORGANISATION)

        def store(tx: Transaction) -> PriceRow:
            tx.prices.lock()
            found = tx.prices.get(price_id)
            if found is None:
                raise absent("price", price_id)
            tx.prices.remove(price_id)
            _record(tx, found, who, "PRICE_DELETED", self._clock.now())
            return found

        return await self._database.write(store)

    def _columns(self, who: Caller, wanted: WantedPrice) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "price_id": self._ids.new("price"),
            "resource": wanted.resource,
            "gpu_type": wanted.gpu_type,
            "gpu_key": wanted.gpu_type.casefold(),
            "amount": wanted.amount,
            "currency": wanted.currency,
            "start_at": now if wanted.start is None else wanted.start,
            "user": who.user,
            "created_at": now,
        }


def price_book(tx: Transaction) -> PriceBook:
    """All prices, within a transaction."""
    rows = tx.prices.all()
    return PriceBook(
        (Price(Resource(one.resource), one.gpu_key, one.amount, one.start_at) for one in rows),
        currency=rows[0].currency if rows else "",
    )


def _record(tx: Transaction, price: PriceRow, who: Caller, reason: str, at: int) -> None:
    what = " ".join(filter(None, (Resource(price.resource).name, price.gpu_type)))
    tx.events.record(
        project=ORGANISATION,
        object_id=price.price_id,
        at=at,
        actor=who.user,
        status=0,
        reason=reason,
        message=f"{what} for {price.amount} billionths of {price.currency} an hour",
        run_id="",
    )
