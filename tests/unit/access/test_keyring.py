"""How secrets of projects are encrypted."""

import pytest

from windlass_server.access.keyring import Keyring, Place, key_id_of
from windlass_server.errors import WrongState

OLD, NEW = b"o" * 32, b"n" * 32
HERE = Place("vision", "token", 3)
VALUE = b"hunter2"


def test_what_was_sealed_for_a_place_opens_there() -> None:
    ring = Keyring([NEW])
    sealed = ring.seal(HERE, VALUE)
    assert VALUE not in sealed
    assert ring.open(HERE, ring.current, sealed) == VALUE


@pytest.mark.parametrize(
    "other",
    [Place("speech", "token", 3), Place("vision", "key", 3), Place("vision", "token", 2)],
)
def test_it_opens_at_no_other(other: Place) -> None:
    ring = Keyring([NEW])
    with pytest.raises(WrongState) as caught:
        ring.open(other, ring.current, ring.seal(HERE, VALUE))
    assert caught.value.reason == "SECRET_UNREADABLE"


def test_no_two_are_sealed_alike() -> None:
    ring = Keyring([NEW])
    assert len({ring.seal(HERE, VALUE) for _ in range(100)}) == 100


def test_older_keys_open_and_the_first_seals() -> None:
    before = Keyring([OLD])
    sealed = before.seal(HERE, VALUE)
    ring = Keyring([NEW, OLD])
    assert ring.open(HERE, before.current, sealed) == VALUE
    assert ring.current == key_id_of(NEW) != before.current


@pytest.mark.parametrize("spoilt", [b"", b"short", b"x" * 40])
def test_what_is_spoilt_is_told_without_a_word_of_it(spoilt: bytes) -> None:
    ring = Keyring([NEW])
    with pytest.raises(WrongState, match="version 3 of secret 'token' is not as it was stored"):
        ring.open(HERE, ring.current, spoilt)
    with pytest.raises(WrongState, match="which this server does not have"):
        ring.open(HERE, key_id_of(OLD), spoilt)
