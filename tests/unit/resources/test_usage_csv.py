"""Usage as a file that says the same as the answer, to the last digit."""

import csv
import io
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.resources.decimals import billionths, decimal, gib
from windlass_server.resources.ledger import Ledger, Loss, Measure, Span, Used, Window
from windlass_server.resources.price_book import Price, PriceBook, Resource
from windlass_server.resources.usage_csv import csv_pieces, file_name
from windlass_server.resources.usage_message import usage_message

HOUR = 3_600_000_000


def a_ledger(*users: str, bucket: int | None = None) -> Ledger:
    prices = PriceBook([Price(Resource.GPU, "", 10**9 // 3, 0)], "EUR")
    ledger = Ledger(Window(0, 3 * HOUR + 1, bucket), ("user", "label:team"), prices=prices)
    for number, user in enumerate(users, 1):
        values = {"user": user, "label:team": f"{user}s"}
        span = Span(values, ("H100",) * number, 1, 12345, 0, None, useful_from=7, loss=Loss.FAILURE)
        ledger.add(span)
        used = Used(7, 8, 9_001, 10, 11, 12, 13 << 20, 14)
        ledger.add_measure(Measure(span, 0, HOUR, used))
    return ledger


def pieces_of(ledger: Ledger) -> list[bytes]:
    return list(csv_pieces(ledger, ledger.rows()))


def read(ledger: Ledger) -> list[dict[str, str]]:
    text = b"".join(pieces_of(ledger)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    ("amount", "places", "text"),
    [
        (0, 6, "0"),
        (1, 6, "0.000001"),
        (1_500_000, 6, "1.5"),
        (10_000_000, 6, "10"),
        (100, 0, "100"),
        (10**40 + 1, 9, "10000000000000000000000000000000.000000001"),
    ],
)
def test_amounts_are_shown_in_full_without_needless_zeros(amount: int, places: int, text: str):
    assert decimal(amount, places) == text


@given(st.integers(0, 2**80))
def test_bytes_are_shown_in_gib_in_full(amount: int):
    assert Fraction(gib(amount, 6)) == Fraction(amount, 2**30 * 10**6)


@given(st.decimals(0, 10**9 - 1, places=9))
def test_prices_are_read_as_they_are_shown(amount: Decimal):
    assert decimal(billionths(f"{amount:f}"), 9) == f"{amount.normalize():f}"


def test_the_file_says_what_the_answer_says():
    ledger = a_ledger("ada", "bob", bucket=HOUR)
    message = usage_message(ledger)
    rows = read(ledger)
    assert len(rows) == len(message.rows) == 8
    for row, said in zip(rows, message.rows, strict=True):
        assert (row["user"], row["label:team"]) == (said.user, said.labels["team"])
        assert row["currency"] == message.currency == "EUR"
        start = said.start_time.ToJsonString()
        assert row["start_time"] == start
        for name in ("gpu_seconds", "measured_gpu_seconds", "energy_joules", "memory_gib_seconds"):
            assert row[f"used_{name}"] == getattr(said.used, name)
        for prefix, amounts in (
            ("", said.held),
            ("wasted_by_failure_", said.wasted_by_failure),
            ("wasted_by_preemption_", said.wasted_by_preemption),
            ("wasted_by_hold_", said.wasted_by_hold),
        ):
            for name in ("gpu_seconds", "cpu_core_seconds", "memory_gib_seconds", "cost"):
                assert row[prefix + name] == getattr(amounts, name)
    for name in ("gpu_seconds", "cost"):
        assert sum(Decimal(row[name]) for row in rows) == Decimal(getattr(message.total.held, name))


def test_text_is_quoted_and_is_never_a_formula():
    nasty = ['=HYPERLINK("x")', "+1", "-1", "@SUM(A1)", 'a "b", c', "new\nline", "\tx", ""]
    rows = read(a_ledger(*sorted(nasty)))
    shown = [value if value[:1] not in "=+-@\t" or not value else f"'{value}" for value in nasty]
    assert sorted(row["user"] for row in rows) == sorted(shown)


def test_a_file_of_nothing_is_a_header():
    (header,) = pieces_of(Ledger(Window(0, 1), ("gpu_type",)))
    assert header.startswith(b"start_time,end_time,gpu_type,gpu_seconds,")
    assert header.endswith(b"\r\n")
    assert header.count(b"\n") == 1


def test_a_long_file_comes_in_pieces():
    pieces = pieces_of(a_ledger("ada", bucket=60_000_000))
    assert len(pieces) == 2
    pieces = pieces_of(a_ledger("ada", bucket=20_000_000))
    assert len(pieces) == 4
    assert sum(piece.count(b"\r\n") for piece in pieces) == 1 + 541


def test_its_name_has_the_days():
    day = 24 * HOUR
    assert file_name(Ledger(Window(0, 31 * day), ())) == "usage-1970-01-01-1970-02-01.csv"
    assert (
        file_name(Ledger(Window(-62135596800 * 10**6, 1), ())) == "usage-0001-01-01-1970-01-01.csv"
    )
