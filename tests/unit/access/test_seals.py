"""Credentials that are kept for others."""

import pytest

from windlass_server.access.seals import Seal
from windlass_server.errors import WrongState

SECRET = "wlk_abc.def"


def test_what_was_sealed_opens_for_its_purpose_and_shows_nothing():
    seal = Seal(b"k" * 32)
    sealed = seal.close("remote cluster west", SECRET)
    assert seal.open("remote cluster west", sealed) == SECRET
    assert SECRET.encode() not in sealed
    assert seal.close("remote cluster west", SECRET) != sealed


@pytest.mark.parametrize(
    ("key", "purpose", "harm"),
    [
        (b"x" * 32, "remote cluster west", lambda sealed: sealed),
        (b"k" * 32, "remote cluster east", lambda sealed: sealed),
        (b"k" * 32, "remote cluster west", lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (b"k" * 32, "remote cluster west", lambda sealed: sealed[:5]),
        (b"k" * 32, "remote cluster west", lambda _sealed: b""),
    ],
)
def test_it_opens_for_nothing_else(key, purpose, harm):
    sealed = Seal(b"k" * 32).close("remote cluster west", SECRET)
    with pytest.raises(WrongState) as refused:
        Seal(key).open(purpose, harm(sealed))
    assert refused.value.reason == "SEAL_BROKEN"
    assert SECRET not in str(refused.value)
