"""Spans of time cut into windows, buckets, groups and losses, without losing a microsecond."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.resources.ledger import Amounts, Ledger, Loss, Row, Span, TooManyRows, Window

HOUR = 3_600_000_000
DAY = 24 * HOUR
EMPTY = Amounts()
VALUES = {"project": "vision", "user": "ada", "node_id": "n1"}


def a_span(start: int, end: int | None, **values: object) -> Span:
    """Two H100, a core and 10 bytes, of which nothing is lost."""
    what = {
        "values": VALUES,
        "gpu_types": ("H100", "H100"),
        "cpu_millis": 1000,
        "memory_bytes": 10,
        "useful_from": start,
    }
    return Span(start=start, end=end, **(what | values))  # type: ignore[arg-type]


def rows(window: Window, *spans: Span, by: tuple[str, ...] = (), gpu_type: str = "") -> list[Row]:
    ledger = Ledger(window, by, gpu_type)
    ledger.add_all(spans)
    return ledger.rows()


@pytest.mark.parametrize(
    ("start", "end", "held"),
    [
        (20, 30, 10),
        (5, 30, 20),
        (20, 95, 30),
        (5, 95, 40),
        (20, None, 30),
        (5, None, 40),
        (0, 10, 0),
        (50, 60, 0),
        (60, None, 0),
        (30, 30, 0),
        # The server's clock was set back while it was held.
        (30, 20, 0),
    ],
)
def test_a_span_counts_as_far_as_it_lies_in_the_window(start: int, end: int | None, held: int):
    found = rows(Window(10, 50), a_span(start, end))
    assert [row.held for row in found] == (
        [Amounts(2000 * held, 1000 * held, 10 * held)] if held else []
    )


@pytest.mark.parametrize(
    ("useful_from", "loss", "wasted"),
    [
        (20, None, {}),
        (None, None, {Loss.HOLD: 60}),
        (40, None, {Loss.HOLD: 20}),
        (40, Loss.FAILURE, {Loss.HOLD: 20, Loss.FAILURE: 40}),
        (20, Loss.PREEMPTION, {Loss.PREEMPTION: 60}),
        # It never started, because it failed to: that is not waiting.
        (None, Loss.FAILURE, {Loss.FAILURE: 60}),
        (500, None, {Loss.HOLD: 60}),
    ],
)
def test_what_is_lost_is_told_by_its_cause(
    useful_from: int | None, loss: Loss | None, wasted: dict[Loss, int]
):
    (row,) = rows(Window(0, 100), a_span(20, 80, useful_from=useful_from, loss=loss))
    assert row.held.gpu_millis == 120_000
    assert {
        loss: amounts.gpu_millis // 2000
        for loss, amounts in row.wasted.items()
        if amounts.gpu_millis
    } == wasted


@pytest.mark.parametrize(
    ("saved_until", "lost"), [(None, 40), (10, 40), (40, 40), (50, 30), (80, 0), (999, 0)]
)
def test_what_was_saved_is_not_lost(saved_until: int | None, lost: int):
    span = a_span(20, 80, useful_from=40, loss=Loss.PREEMPTION, saved_until=saved_until)
    ledger = Ledger(Window(0, 100, 7), ())
    ledger.add(span)
    total = ledger.total()
    assert total.held.gpu_millis == 120_000
    assert total.wasted[Loss.HOLD].gpu_millis == 40_000
    assert total.wasted[Loss.PREEMPTION].gpu_millis == 2000 * lost


def test_buckets_of_days_begin_at_midnight_and_buckets_of_weeks_on_mondays():
    start = int(datetime(2026, 11, 25, 15, tzinfo=UTC).timestamp()) * 1_000_000
    window = Window(start, start + 2 * DAY, DAY)
    found = rows(window, a_span(0, None))
    hours = [((row.start - start) // HOUR, (row.end - start) // HOUR) for row in found]
    assert hours == [(0, 9), (9, 33), (33, 48)]
    assert window.buckets == 3
    (first, second) = rows(Window(start, start + 6 * DAY, 7 * DAY), a_span(0, None))
    assert datetime.fromtimestamp(second.start / 1e6, UTC) == datetime(2026, 11, 30, tzinfo=UTC)
    assert (first.end, second.start) == (second.start, first.end)


def test_groups_are_rows_in_order_and_the_amounts_of_a_group_are_added_up():
    bobs = a_span(0, 30, values=VALUES | {"user": "bob"})
    found = rows(Window(0, 100), bobs, a_span(0, 10), a_span(50, 60), by=("user", "gpu_type"))
    assert [(row.group, row.held.gpu_millis) for row in found] == [
        (("ada", "H100"), 40_000),
        (("bob", "H100"), 60_000),
    ]


def test_gpus_of_several_types_count_to_each_and_cpu_and_memory_once():
    mixed = a_span(0, 10, gpu_types=("H100", "A100", "H100"))
    none = a_span(0, 10, gpu_types=())
    found = rows(Window(0, 100), mixed, none, by=("gpu_type",))
    assert [(row.group[0], row.held) for row in found] == [
        ("", Amounts(0, 10_000, 100)),
        ("A100", Amounts(10_000, 10_000, 100)),
        ("H100", Amounts(20_000, 0, 0)),
    ]
    (row,) = rows(Window(0, 100), mixed, none, gpu_type="h100")
    assert row.held == Amounts(20_000, 0, 0)


def test_a_share_of_a_gpu_counts_in_thousandths_of_its_time():
    share = a_span(0, 7, gpu_types=("H100",), gpu_millis=333)
    found = rows(Window(0, 100), share, by=("gpu_type",))
    assert [(row.group[0], row.held) for row in found] == [("H100", Amounts(7 * 333, 7000, 70))]


def test_a_breakdown_of_too_many_rows_is_refused():
    ledger = Ledger(Window(0, 100), ("user",), max_rows=2)
    ledger.add_all(a_span(0, 1, values={"user": user}) for user in ("ada", "bob", "ada"))
    with pytest.raises(TooManyRows):
        ledger.add(a_span(0, 1, values={"user": "eve"}))


TIMES = st.integers(-50, 400)
SPANS = st.lists(
    st.builds(
        Span,
        values=st.fixed_dictionaries(
            {
                "project": st.sampled_from("pq"),
                "user": st.sampled_from("abc"),
                "node_id": st.just("n"),
            }
        ),
        gpu_types=st.lists(st.sampled_from(["H100", "A100"]), max_size=4).map(tuple),
        cpu_millis=st.integers(0, 10**9),
        memory_bytes=st.integers(0, 2**60),
        start=TIMES,
        end=st.none() | TIMES,
        useful_from=st.none() | TIMES,
        loss=st.sampled_from([None, Loss.FAILURE, Loss.PREEMPTION]),
        saved_until=st.none() | TIMES,
        gpu_millis=st.integers(1, 1000),
    ),
    max_size=12,
)
NAMES = ("project", "user", "node_id", "gpu_type")


def naive(spans: list[Span], start: int, end: int) -> Amounts:
    """The same, by counting every microsecond."""
    total = Amounts()
    for span in spans:
        ends = end if span.end is None else span.end
        time = sum(span.start <= at < ends for at in range(start, end))
        total.add(
            Amounts(
                len(span.gpu_types) * span.gpu_millis * time,
                span.cpu_millis * time,
                span.memory_bytes * time,
            )
        )
    return total


@given(spans=SPANS, start=TIMES, length=st.integers(1, 300), bucket=st.none() | st.integers(1, 90))
def test_every_breakdown_adds_up_to_what_was_held(
    spans: list[Span], start: int, length: int, bucket: int | None
):
    window = Window(start, start + length, bucket)
    want = naive(spans, start, start + length)
    for by in itertools.chain.from_iterable(itertools.combinations(NAMES, n) for n in range(5)):
        ledger = Ledger(window, by)
        ledger.add_all(spans)
        assert ledger.total().held == want
        wasted = [
            sum(amounts.cpu_millis for amounts in row.wasted.values()) for row in ledger.rows()
        ]
        assert all(
            lost <= row.held.cpu_millis for lost, row in zip(wasted, ledger.rows(), strict=True)
        )
        assert len(ledger.rows()) <= window.buckets * 2 * 3 * 3


@given(spans=SPANS, edges=st.lists(TIMES, min_size=3, max_size=6, unique=True))
def test_adjacent_windows_add_up_to_the_one_around_them(spans: list[Span], edges: list[int]):
    edges.sort()
    whole, parts = Ledger(Window(edges[0], edges[-1]), ()), Row((), 0, 0)
    whole.add_all(spans)
    for start, end in itertools.pairwise(edges):
        part = Ledger(Window(start, end), ())
        part.add_all(spans)
        parts.add(part.total())
    assert (parts.held, parts.wasted) == (whole.total().held, whole.total().wasted)
