from datetime import UTC, datetime
from itertools import islice

import pytest

from windlass_server.resources.reservation_times import (
    BadRecurrence,
    Status,
    Times,
    Window,
    _starts,
    clash,
    status,
)

HOUR = 3_600_000_000


def at(text: str) -> int:
    """A time of 2027, such as `03-28 01:00`, in microseconds."""
    moment = datetime.strptime(f"2027-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000


def shown(windows: list[Window]) -> list[tuple[str, str]]:
    return [
        tuple(f"{datetime.fromtimestamp(t / 1e6, UTC):%m-%d %H:%M}" for t in (one.start, one.end))
        for one in windows
    ]


ONCE = Times(at("01-10 08:00"), 2 * HOUR)
NIGHTS = Times(at("01-10 12:00"), 8 * HOUR, "0 22 * * *", "UTC")


@pytest.mark.parametrize(
    ("now", "is_then", "next_"),
    [
        ("01-10 07:59", Status.PENDING, ("01-10 08:00", "01-10 10:00")),
        ("01-10 08:00", Status.ACTIVE, ("01-10 08:00", "01-10 10:00")),
        ("01-10 09:59", Status.ACTIVE, ("01-10 08:00", "01-10 10:00")),
        ("01-10 10:00", Status.ENDED, None),
    ],
)
def test_time_alone_moves_a_reservation_on(now, is_then, next_):
    assert status(ONCE, None, at(now)) is is_then
    window = ONCE.next(at(now))
    assert (shown([window])[0] if window else None) == next_
    assert status(ONCE, at("01-01 00:00"), at(now)) is Status.CANCELLED


@pytest.mark.parametrize(
    ("now", "is_then", "first"),
    [
        ("01-10 12:00", Status.PENDING, ("01-10 22:00", "01-11 06:00")),
        ("01-11 05:00", Status.ACTIVE, ("01-10 22:00", "01-11 06:00")),
        ("01-11 06:00", Status.PENDING, ("01-11 22:00", "01-12 06:00")),
    ],
)
def test_one_that_comes_again_is_pending_in_between(now, is_then, first):
    assert status(NIGHTS, None, at(now)) is is_then
    assert shown(list(islice(NIGHTS.from_(at(now)), 1))) == [first]


def test_it_does_not_begin_before_its_start_nor_from_its_end_on():
    limited = Times(at("01-10 22:30"), HOUR, "0 22 * * *", "UTC", at("01-12 22:00"))
    assert shown(list(limited.from_(at("01-01 00:00")))) == [("01-11 22:00", "01-11 23:00")]
    assert limited.over_by == at("01-12 23:00")
    assert status(limited, None, at("01-12 00:00")) is Status.ENDED
    assert NIGHTS.over_by is None
    assert ONCE.over_by == at("01-10 10:00")


def test_hours_are_those_of_the_place_also_when_its_clocks_change():
    berlin = Times(at("03-26 00:00"), HOUR, "0 22 * * *", "Europe/Berlin")
    begins = [begin for begin, _ in shown(list(islice(berlin.from_(at("03-26 00:00")), 4)))]
    assert begins == ["03-26 21:00", "03-27 21:00", "03-28 20:00", "03-29 20:00"]


def test_an_hour_that_comes_twice_is_one_time():
    berlin = Times(at("10-30 00:00"), HOUR, "30 2 * * *", "Europe/Berlin")
    begins = [begin for begin, _ in shown(list(islice(berlin.from_(at("10-30 00:00")), 3)))]
    assert begins == ["10-30 00:30", "10-31 00:30", "11-01 01:30"]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (Times(0, HOUR, "61 * * * *"), "no cron expression"),
        (Times(0, HOUR, "nonsense"), "no cron expression"),
        (Times(0, HOUR, "0 0 30 2 *"), "no cron expression"),
        (Times(0, HOUR, "0 * * * *", "Nowhere/City"), "no time zone"),
        (Times(0, HOUR, "0 * * * *", "../../etc/passwd"), "no time zone"),
        (Times(0, 2 * HOUR, "0 * * * *"), "before it is over"),
        (Times(0, HOUR // 10, "0,30 * * * *"), "more than once an hour"),
        (Times(-62_135_596_800_000_000, HOUR, "0 * * * *"), "no such time"),
        (Times(253_402_300_799_000_000, HOUR, "0 * * * *"), "no such time"),
        (Times(at("01-10 12:00"), HOUR, "0 0 * * *", "UTC", at("01-10 13:00")), "no such time"),
    ],
)
def test_a_recurrence_that_makes_no_sense_says_why(times, words):
    with pytest.raises(BadRecurrence, match=words):
        times.checked()


@pytest.mark.parametrize(
    ("other", "first"),
    [
        (Times(at("01-10 09:00"), HOUR), ("01-10 08:00", "01-10 10:00")),
        (Times(at("01-10 10:00"), HOUR), None),
        (Times(at("01-10 07:00"), HOUR), None),
        (Times(at("01-10 07:00"), 5 * HOUR), ("01-10 08:00", "01-10 10:00")),
        (Times(at("01-01 00:00"), HOUR, "30 9 * * *"), ("01-10 08:00", "01-10 10:00")),
        (Times(at("01-01 00:00"), HOUR, "0 10 * * *"), None),
        (Times(at("01-01 00:00"), HOUR, "30 9 11 * *"), None),
    ],
)
def test_two_clash_where_they_overlap(other, first):
    now = at("01-01 00:00")
    found = clash(ONCE, other, now)
    assert (shown([found])[0] if found else None) == first
    assert (clash(other, ONCE, now) is None) == (first is None)


def test_what_is_over_clashes_with_nothing():
    assert clash(ONCE, ONCE, at("01-10 10:00")) is None


def test_a_time_far_ahead_clashes_with_what_comes_every_hour_for_ever():
    now, hours = at("01-01 00:00"), Times(at("01-01 00:00"), HOUR // 2, "0 * * * *")
    once, between = Times(at("12-24 12:00"), HOUR // 4), Times(at("12-24 12:30"), HOUR // 4)
    assert clash(once, hours, now) == Window(once.start, once.start + HOUR // 4)
    assert shown([clash(hours, once, now)]) == [("12-24 12:00", "12-24 12:30")]
    assert clash(between, hours, now) is None
    yearly = Times(at("01-01 00:00"), HOUR, "0 12 24 12 *")
    assert clash(yearly, hours, now) == Window(once.start, once.start + HOUR)


def test_two_that_come_for_ever_are_compared_as_far_as_can_be_seen():
    days = Times(at("01-01 00:00"), HOUR, "0 12 * * *")
    assert clash(NIGHTS, days, at("01-01 00:00")) is None
    assert clash(NIGHTS, Times(at("01-01 00:00"), HOUR, "0 23 * * SUN"), at("01-01 00:00"))


def test_what_comes_after_the_times_that_are_remembered_is_found_too():
    now = at("01-01 00:00")
    days = Times(now, HOUR, "0 9 * * *")
    far = next(islice(days.from_(now), 2500, None))
    once = Times(far.start + HOUR // 2, HOUR)
    assert clash(days, once, now) == far
    assert clash(once, days, now) == Window(once.start, once.start + HOUR)
    assert clash(Times(far.end, HOUR), days, now) is None


def test_the_times_of_a_reservation_are_found_once_for_all_with_which_it_is_compared():
    now = at("01-01 00:00")
    nights = Times(now, HOUR, "0 23 * * *")
    others = [Times(now, HOUR, f"{minute} 9 * * *") for minute in range(20)]
    _starts.cache_clear()
    for _ in range(3):
        assert not any(clash(nights, other, now + 1) for other in others)
    assert _starts.cache_info().misses == 21
