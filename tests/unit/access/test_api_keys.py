"""API keys as text."""

import pytest

from windlass_server.access.api_keys import (
    API_KEY,
    JOIN_TOKEN,
    Secret,
    digest,
    make,
    matches,
    parse,
)

KNOWN = Secret(API_KEY, "abcDEF012345", "x" * 30)


def test_the_form_never_changes() -> None:
    """Keys are in people's files: their form and checksum are a contract."""
    assert KNOWN.text() == "wlk_abcDEF012345_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0rGBag"


@pytest.mark.parametrize("prefix", [API_KEY, JOIN_TOKEN])
def test_what_is_made_is_parsed(prefix: str) -> None:
    made = make(prefix)
    assert parse(prefix, made.text()) == made
    assert len(made.text()) == 53


def test_no_two_are_alike() -> None:
    made = [make(API_KEY) for _ in range(100)]
    assert len({one.public_id for one in made} | {one.secret for one in made}) == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wlk_",
        KNOWN.text()[:-1],
        KNOWN.text() + "0",
        KNOWN.text() + "\n",
        " " + KNOWN.text(),
        KNOWN.text().upper(),
        KNOWN.text().replace("abc", "abd"),
        KNOWN.text().replace("xx", "xy", 1),
        KNOWN.text().replace("_", "-"),
        KNOWN.text().replace("5_", "\uff15_"),
        KNOWN.text()[:-6] + "000000",
        "wlj_" + KNOWN.text().removeprefix("wlk_"),
    ],
)
def test_what_is_mistyped_is_refused_without_asking(text: str) -> None:
    assert parse(API_KEY, text) is None


def test_a_digest_is_of_the_secret_under_the_pepper() -> None:
    stored = digest(b"pepper", KNOWN)
    assert matches(b"pepper", KNOWN, stored)
    assert not matches(b"other", KNOWN, stored)
    assert not matches(b"pepper", Secret(API_KEY, KNOWN.public_id, "y" * 30), stored)
    assert not matches(b"pepper", KNOWN, b"")


def test_a_secret_does_not_show_in_logs() -> None:
    assert "xxx" not in repr(KNOWN)
