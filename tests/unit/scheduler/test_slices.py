"""Where instances find a place on a card."""

import itertools

import pytest

from tests.unit.scheduler.cards import BY_NAME, PROFILES, placed
from windlass_server.scheduler.slices import Slices, most_of_each, whole_profiles


def text(instances) -> str:
    return " ".join(f"{one.profile}@{one.start}" for one in instances)


@pytest.mark.parametrize(
    ("_case", "there", "name", "most", "expected"),
    [
        ("small ones from the end on", "", "1g.10gb", 3, "1g.10gb@6 1g.10gb@5 1g.10gb@4"),
        ("seven are all", "", "1g.10gb", 9, " ".join(f"1g.10gb@{at}" for at in range(6, -1, -1))),
        (
            "memory runs out before compute",
            "",
            "1g.20gb",
            9,
            "1g.20gb@6 1g.20gb@4 1g.20gb@2 1g.20gb@0",
        ),
        ("compute runs out before memory", "3g.40gb@4 3g.40gb@0", "1g.10gb", 9, ""),
        ("two of 3g take all memory", "", "3g.40gb", 9, "3g.40gb@4 3g.40gb@0"),
        ("the large ones that begin at 0 are left room", "1g.10gb@6", "4g.40gb", 1, "4g.40gb@0"),
        ("its only place is taken", "1g.10gb@3", "4g.40gb", 1, ""),
        ("a hole is filled", "2g.20gb@4 2g.20gb@0", "2g.20gb", 1, "2g.20gb@2"),
        ("a whole card is one", "", "7g.80gb", 9, "7g.80gb@0"),
        ("no room beside a whole one", "7g.80gb@0", "1g.10gb", 1, ""),
    ],
)
def test_places(_case: str, there: str, name: str, most: int, expected: str) -> None:
    slices = Slices(BY_NAME, placed(there, "card"))
    assert text(slices.place_many(name, most)) == expected


def test_of_each_profile_as_many_as_the_maker_says() -> None:
    assert dict(most_of_each(PROFILES)) == {
        "1g.10gb": 7, "1g.20gb": 4, "2g.20gb": 3, "3g.40gb": 2, "4g.40gb": 1, "7g.80gb": 1,
    }  # fmt: skip
    assert whole_profiles(PROFILES) == {"7g.80gb"}


@pytest.mark.parametrize("names", list(itertools.combinations_with_replacement(BY_NAME, 3)))
def test_what_fits_in_some_order_and_places_is_never_more_than_the_slices(
    names: tuple[str, ...],
) -> None:
    """Against every choice of places: whatever was placed is one of them."""
    slices = Slices(BY_NAME)
    made = [one for name in names if (one := slices.place(name)) is not None]
    taken = [
        at
        for one in made
        for at in range(one.start, one.start + BY_NAME[one.profile].memory_slices)
    ]
    assert len(taken) == len(set(taken))
    assert sum(BY_NAME[one.profile].compute_slices for one in made) <= 7
    if len(made) < len(names) and len(set(names)) == 1:
        assert len(made) == dict(most_of_each(PROFILES))[names[0]]
