import itertools
import re

import pytest

from tests.support.fake_clock import START, FakeClock
from windlass_server.ids import IdSource, encode_ulid


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0" * 26),
        (31, "0" * 25 + "z"),
        (1 << 80, "0000000001" + "0" * 16),
        ((1 << 128) - 1, "7" + "z" * 25),
    ],
)
def test_a_number_is_written_in_crockfords_base_32(value, text):
    assert encode_ulid(value) == text


def test_an_id_names_its_kind_and_the_millisecond_of_its_making():
    made = IdSource(FakeClock()).new("job")
    assert re.fullmatch(r"job-[0-9a-hjkmnp-tv-z]{26}", made)
    assert made[4:14] == encode_ulid(START // 1000 << 80)[:10]


def test_ids_never_go_back_whatever_the_clock_does():
    clock = FakeClock()
    ids = IdSource(clock)
    made = [ids.new("job") for _ in range(1000)]  # within one millisecond
    clock.advance(-3600)
    made += [ids.new("job") for _ in range(1000)]
    clock.advance(7200)
    made.append(ids.new("job"))
    assert made == sorted(set(made))


def decoded(made: str) -> int:
    value = 0
    for letter in made[-26:]:
        value = value * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    return value


def test_the_next_id_cannot_be_told_from_the_last():
    ids = IdSource(FakeClock())
    numbers = [decoded(ids.new("job")) for _ in range(100)]
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    assert len(steps) == 99
    other = IdSource(FakeClock()).new("job")
    assert other[14:] != ids.new("job")[14:]
