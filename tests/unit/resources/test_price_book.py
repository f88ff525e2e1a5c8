"""Costs at the prices of their time, which add up however time is cut."""

import itertools
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.resources.ledger import Ledger, Span, Window
from windlass_server.resources.price_book import HOUR, Holding, Price, PriceBook, Resource

EURO = 10**9
GIB = 1 << 30
GPU, CPU, MEMORY = Resource
ONE_GPU = Holding("H100", 1000, 0, 0)


@pytest.mark.parametrize(
    ("prices", "held", "cost"),
    [
        ([Price(GPU, "h100", 2 * EURO, 0)], ONE_GPU, 2 * EURO),
        ([Price(GPU, "h100", 2 * EURO, 0)], Holding("H100", 8000, 0, 0), 16 * EURO),
        ([Price(GPU, "a100", 2 * EURO, 0)], ONE_GPU, 0),
        # A quarter of one.
        ([Price(GPU, "h100", 2 * EURO, 0)], Holding("H100", 250, 0, 0), EURO // 2),
        # Any type, until it has a price of its own.
        ([Price(GPU, "", 2 * EURO, 0)], ONE_GPU, 2 * EURO),
        ([Price(GPU, "", 2 * EURO, 0), Price(GPU, "h100", 4 * EURO, 0)], ONE_GPU, 4 * EURO),
        ([Price(GPU, "", 2 * EURO, 0), Price(GPU, "h100", 4 * EURO, HOUR // 2)], ONE_GPU, 3 * EURO),
        (
            [
                Price(GPU, "h100", 4 * EURO, 0),
                Price(GPU, "", 9 * EURO, HOUR // 4),
                Price(GPU, "a100", 9 * EURO, 0),
            ],
            ONE_GPU,
            4 * EURO,
        ),
        # It changes in between, and had begun before.
        (
            [Price(GPU, "", 4 * EURO, -9 * HOUR), Price(GPU, "", 1 * EURO, HOUR // 4)],
            ONE_GPU,
            EURO + EURO * 3 // 4,
        ),
        ([Price(GPU, "", 4 * EURO, HOUR * 3 // 4)], ONE_GPU, EURO),
        ([Price(GPU, "", 4 * EURO, HOUR)], ONE_GPU, 0),
        ([Price(CPU, "", EURO, 0)], Holding("", 0, 1500, GIB), EURO * 3 // 2),
        ([Price(MEMORY, "", EURO, 0)], Holding("", 0, 1500, GIB // 2), EURO // 2),
        (
            [Price(CPU, "", 1, 0), Price(MEMORY, "", 2, 0), Price(GPU, "", 4, 0)],
            Holding("H100", 1000, 1000, GIB),
            7,
        ),
        ([Price(CPU, "", 0, 0)], Holding("", 0, 1500, GIB), 0),
        ([], ONE_GPU, 0),
    ],
)
def test_an_hour_costs(prices: list[Price], held: Holding, cost: int):
    for some in itertools.permutations(prices):
        assert PriceBook(some, "EUR").cost(held, since=0, until=HOUR) == cost


@pytest.mark.parametrize(
    ("held", "at", "missing"),
    [
        (ONE_GPU, 10, set()),
        (ONE_GPU, 9, {(GPU, "H100")}),
        (Holding("A100", 1000, 0, 0), 99, {(GPU, "A100")}),
        (Holding("", 0, 1, 1), 99, {(MEMORY, "")}),
        (Holding("", 0, 1, 0), 4, {(CPU, "")}),
    ],
)
def test_what_has_no_price_is_told(held: Holding, at: int, missing: set[tuple[Resource, str]]):
    book = PriceBook([Price(GPU, "h100", 0, 10), Price(CPU, "", 1, 5)], "EUR")
    assert set(book.unpriced(held, at)) == missing


def test_more_than_a_number_of_64_bits_holds_is_no_matter():
    book = PriceBook([Price(MEMORY, "", 10**18 - 1, 0)], "EUR")
    century = 100 * 365 * 24 * HOUR
    assert book.cost(Holding("", 0, 0, 1 << 60), since=0, until=century) == (
        (10**18 - 1) * (1 << 30) * 100 * 365 * 24
    )


TIMES = st.integers(-3, 40)
PRICES = st.lists(
    st.builds(
        Price,
        resource=st.just(GPU),
        gpu_key=st.sampled_from(["", "h100", "a100"]),
        amount=st.integers(0, 10**18),
        start=TIMES,
    )
    | st.builds(
        Price,
        resource=st.sampled_from([CPU, MEMORY]),
        gpu_key=st.just(""),
        amount=st.integers(0, 10**18),
        start=TIMES,
    ),
    max_size=8,
    unique_by=lambda price: (price.resource, price.gpu_key, price.start),
)
SPANS = st.lists(
    st.builds(
        Span,
        values=st.fixed_dictionaries({"user": st.sampled_from("abc")}),
        gpu_types=st.lists(st.sampled_from(["H100", "A100"]), max_size=3).map(tuple),
        cpu_millis=st.integers(0, 10**6),
        memory_bytes=st.integers(0, 1 << 50),
        start=TIMES,
        end=st.none() | TIMES,
        useful_from=st.none() | TIMES,
    ),
    max_size=6,
)


def price_at(prices: list[Price], resource: Resource, key: str, at: int) -> int:
    """The price of a moment, by looking at all of them."""
    for wanted in (key, ""):
        begun = [
            p for p in prices if (p.resource, p.gpu_key) == (resource, wanted) and p.start <= at
        ]
        if begun:
            return max(begun, key=lambda price: price.start).amount
    return 0


def exact(prices: list[Price], span: Span, start: int, end: int) -> Fraction:
    """What a span costs in a window, microsecond by microsecond, uncut."""
    ends = end if span.end is None else min(span.end, end)
    total = Fraction(0)
    for at in range(max(span.start, start), ends):
        for kind in span.gpu_types:
            total += Fraction(price_at(prices, GPU, kind.casefold(), at), HOUR)
        total += Fraction(price_at(prices, CPU, "", at) * span.cpu_millis, 1000 * HOUR)
        total += Fraction(price_at(prices, MEMORY, "", at) * span.memory_bytes, GIB * HOUR)
    return total


@given(prices=PRICES, spans=SPANS, bucket=st.none() | st.integers(1, 20))
def test_costs_of_every_breakdown_add_up_to_what_it_costs(
    prices: list[Price], spans: list[Span], bucket: int | None
):
    book = PriceBook(prices, "EUR")
    totals = set()
    for by in ((), ("user",), ("gpu_type",), ("user", "gpu_type")):
        for cut in (None, bucket):
            ledger = Ledger(Window(0, 30, cut), by, prices=book)
            ledger.add_all(spans)
            totals.add(sum(row.held.cost for row in ledger.rows()))
            assert all(
                0 <= sum(amounts.cost for amounts in row.wasted.values()) <= row.held.cost
                for row in ledger.rows()
            )
    (total,) = totals
    parts = sum(len(set(span.gpu_types)) or 1 for span in spans)
    assert abs(total - sum(exact(prices, span, 0, 30) for span in spans)) <= parts


@given(prices=PRICES, span=SPANS.filter(bool).map(lambda spans: spans[0]), cut=TIMES)
def test_a_span_costs_what_its_two_parts_cost(prices: list[Price], span: Span, cut: int):
    def cost(*spans: Span) -> int:
        ledger = Ledger(Window(-9, 50), (), prices=PriceBook(prices, "EUR"))
        ledger.add_all(spans)
        return ledger.total().held.cost

    end = 50 if span.end is None else span.end
    middle = min(max(cut, span.start), max(end, span.start))
    assert cost(replace(span, end=middle), replace(span, start=middle)) == cost(span)


@given(prices=PRICES, spans=SPANS, edges=st.lists(TIMES, min_size=2, max_size=5, unique=True))
def test_costs_of_adjacent_windows_add_up(prices: list[Price], spans: list[Span], edges: list[int]):
    def cost(start: int, end: int) -> int:
        ledger = Ledger(Window(start, end), (), prices=PriceBook(prices, "EUR"))
        ledger.add_all(spans)
        return ledger.total().held.cost

    edges.sort()
    parts = [cost(start, end) for start, end in itertools.pairwise(edges)]
    assert sum(parts) == cost(edges[0], edges[-1])
