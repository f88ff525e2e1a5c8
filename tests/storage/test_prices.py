"""The price book, and usage priced by it, on both engines."""

from typing import Any

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import START, FakeClock
from tests.support.jobs import add_projects
from tests.support.nodes import add_node, add_run
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Denied, InvalidInput, NotFound, WrongState
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.resources.price_book import HOUR, Resource
from windlass_server.resources.price_message import price_message
from windlass_server.resources.prices import PricesService, WantedPrice
from windlass_server.resources.usage import UsageQuery, UsageService
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import PriceRow

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

EURO = 10**9
GPU, CPU, MEMORY = Resource
DEVELOPER = Caller("ada", roles={"default": Role.ADMIN})


class Book:
    """The service of a price book and its clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock()
        ids, tokens = IdSource(self.clock), PageTokens(b"key")
        self.service = PricesService(database, self.clock, ids, tokens)

    async def set(self, amount: int, resource: int = GPU, **values: Any) -> PriceRow:
        wanted = {"gpu_type": "", "currency": "EUR", "start": None} | values
        return await self.service.set(ADMIN, WantedPrice(resource, amount=amount, **wanted))

    async def listed(self, who: Caller = ADMIN, size: int = 100, **query: Any) -> list[str]:
        asked = {"resource": 0, "gpu_type": ""} | query
        found: list[str] = []
        token = ""
        while True:
            rows, token = await self.service.list(who, size=size, token=token, **asked)
            assert len(rows) <= size
            found += [row.price_id for row in rows]
            if not token:
                return found

    async def cost(self, **query: Any) -> int:
        usage = await UsageService(self.database, self.clock).get(ADMIN, UsageQuery(**query))
        return usage.total().held.cost


@pytest.fixture
async def book(database: Database) -> Book:
    await database.write(lambda tx: add_projects(tx, "default"))
    return Book(database)


async def test_a_price_that_was_set_is_listed_as_it_was_said(book: Book):
    row = await book.set(2_500_000_000, gpu_type="H100", start=START - 5)
    (found,), _ = await book.service.list(ADMIN, resource=0, gpu_type="", size=9, token="")
    assert price_message(found) == price_message(row)
    shown = price_message(found)
    assert (shown.amount, shown.gpu_type, shown.currency, shown.user) == (
        "2.5",
        "H100",
        "EUR",
        "admin",
    )
    assert shown.start_time.ToMicroseconds() == START - 5
    assert price_message(await book.set(1, CPU)).start_time.ToMicroseconds() == START
    assert price_message(await book.set(0, MEMORY)).amount == "0"


async def test_lists_are_by_resource_and_type_newest_first_in_pages(book: Book):
    made = [
        (await book.set(EURO, resource, gpu_type=kind)).price_id
        for resource, kind in ((GPU, "H100"), (CPU, ""), (GPU, "a100"), (MEMORY, ""), (GPU, ""))
    ]
    assert await book.listed(size=2) == made[::-1]
    assert await book.listed(resource=GPU, size=1) == [made[4], made[2], made[0]]
    assert await book.listed(gpu_type="A100") == [made[2]]
    assert await book.listed(who=DEVELOPER) == made[::-1]
    _, token = await book.service.list(ADMIN, resource=0, gpu_type="", size=1, token="")
    with pytest.raises(InvalidInput):
        await book.service.list(ADMIN, resource=CPU, gpu_type="", size=1, token=token)


async def test_a_price_of_the_same_thing_and_time_is_changed_and_keeps_its_id(book: Book):
    first = await book.set(1, gpu_type="H100", start=5)
    book.clock.advance(1)
    again = await book.set(2, gpu_type="h100", start=5)
    other = await book.set(3, gpu_type="h100", start=6)
    assert await book.listed() == [other.price_id, first.price_id]
    (_, found), _ = await book.service.list(ADMIN, resource=0, gpu_type="", size=9, token="")
    assert price_message(found) == price_message(again)
    assert (found.price_id, found.amount, found.gpu_type) == (first.price_id, 2, "h100")
    assert found.created_at == book.clock.now()


async def test_all_prices_are_of_one_currency_until_none_is_left(book: Book):
    euro = await book.set(1)
    with pytest.raises(WrongState) as refused:
        await book.set(1, currency="USD", start=5)
    assert (refused.value.reason, refused.value.metadata["currency"]) == ("CURRENCY_DIFFERS", "EUR")
    # Also in the place of the only one.
    with pytest.raises(WrongState):
        await book.set(1, currency="USD")
    await book.service.delete(ADMIN, euro.price_id)
    assert (await book.set(1, currency="USD")).currency == "USD"


async def test_only_gpus_have_types(book: Book):
    with pytest.raises(InvalidInput) as refused:
        await book.set(1, CPU, gpu_type="H100")
    assert [one.field for one in refused.value.violations] == ["price.gpu_type"]


async def test_only_administrators_of_the_organisation_change_prices(book: Book):
    row = await book.set(1)
    with pytest.raises(Denied):
        await book.service.set(DEVELOPER, WantedPrice(GPU, "", 1, "EUR", None))
    with pytest.raises(Denied):
        await book.service.delete(DEVELOPER, row.price_id)
    with pytest.raises(Denied):
        await book.listed(who=Caller("nobody"))
    with pytest.raises(NotFound, match="there is no price 'price-none'"):
        await book.service.delete(ADMIN, "price-none")


async def test_usage_costs_what_held_at_the_time_and_a_price_that_is_mended_changes_it(book: Book):
    def hold(tx: Any) -> None:
        node = add_node(tx)
        add_run(
            tx, node, cpu_millis=0, memory_bytes=0, gpu_uuids="GPU-0,GPU-1", gpu_types="H100,H100",
            created_at=START, started_at=START + HOUR,
        )  # fmt: skip

    await book.database.write(hold)
    book.clock.advance(4 * 3600)
    window = {"start": START, "end": START + 4 * HOUR}
    assert await book.cost(**window) == 0
    await book.set(2 * EURO, gpu_type="H100", start=START + HOUR)
    ledger = await UsageService(book.database, book.clock).get(ADMIN, UsageQuery(**window))
    assert (ledger.total().held.cost, ledger.unpriced) == (12 * EURO, {(GPU, "H100")})
    wrong = await book.set(50 * EURO, start=START)
    assert await book.cost(**window) == 112 * EURO
    await book.set(5 * EURO, start=START)
    assert await book.cost(**window) == 22 * EURO
    await book.set(EURO, gpu_type="H100", start=START + 3 * HOUR)
    assert await book.cost(**window) == (10 + 8 + 2) * EURO
    ledger = await UsageService(book.database, book.clock).get(ADMIN, UsageQuery(**window))
    assert ledger.unpriced == set()
    assert [amounts.cost for amounts in ledger.total().wasted.values()] == [0, 0, 10 * EURO]
    await book.service.delete(ADMIN, wrong.price_id)
    assert await book.cost(**window) == (8 + 2) * EURO
