"""What holds for every body, whatever it is."""

import json
from contextlib import suppress

import pytest
from google.protobuf import json_format
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.json_bodies import bodies
from tests.support.json_differences import DIFFERENCES, GATEWAY, PEER, elements
from tests.support.json_peer import Peers, same
from windlass_server.gateway.errors import Refusal

THING = "sample.v1.Thing"


@pytest.fixture(scope="module")
def peers(sample_set):
    return Peers(sample_set)


def judged(peers, body):
    """The message as the gateway and as the peer read the body; None where it is refused."""
    thing = peers.type(THING)
    try:
        ours = peers.read(thing, body)
    except Refusal:
        ours = None
    try:
        theirs = peers.read_by_peer(thing, body)
    except (json_format.ParseError, UnicodeDecodeError):
        theirs = None
    return ours, theirs


@pytest.mark.timeout(300)
def test_a_body_is_judged_as_json_format_does_but_for_the_listed_differences(peers):
    @settings(max_examples=1500)
    @given(bodies(peers.type(THING).DESCRIPTOR))
    def judge(value):
        ours, theirs = judged(peers, json.dumps(value))
        if ours is not None and theirs is not None:
            assert same(ours, theirs)
        elif ours is not None or theirs is not None:
            accepted_by = GATEWAY if ours is not None else PEER
            listed = [one for one in DIFFERENCES if one.accepted_by == accepted_by]
            found = elements(peers.pool, peers.type(THING).DESCRIPTOR, value)
            assert any(one.applies(each) for each in found for one in listed), accepted_by

    judge()


@pytest.mark.parametrize(
    ("difference", "body"), [(one, body) for one in DIFFERENCES for body in one.examples]
)
def test_every_listed_difference_is_one(peers, difference, body):
    ours, theirs = judged(peers, body)
    accepted = [who for who, read in ((GATEWAY, ours), (PEER, theirs)) if read is not None]
    assert accepted == [difference.accepted_by]
    found = elements(peers.pool, peers.type(THING).DESCRIPTOR, json.loads(body))
    assert any(difference.applies(each) for each in found)


@pytest.mark.timeout(300)
def test_what_is_read_is_printed_and_read_again_as_the_same(peers):
    @settings(max_examples=500)
    @given(bodies(peers.type(THING).DESCRIPTOR))
    def repeat(value):
        ours, _ = judged(peers, json.dumps(value))
        if ours is not None:
            assert same(peers.read(ours, peers.printed(ours)), ours)

    repeat()


PIECES = [
    *("{", "}", "[", "]", ",", ":", '"', "\\", "\\u", "d800", " ", "\n", "\ufeff", "//", "null"),
    *('"text"', '"child"', '"tags"', '"i64"', "1", "-", ".", "e9", "0", "NaN", "'", "true", "\x00"),
]


@settings(max_examples=1000)
@given(
    st.one_of(
        st.binary(max_size=40), st.lists(st.sampled_from(PIECES)).map(lambda p: "".join(p).encode())
    )
)
@example(b'{"text":"\xff"}')
@example(b'{"i64":' + b"9" * 5000 + b"}")
@example(b'{"f64":1e' + b"9" * 5000 + b"}")
@example(b"[" * 100_000)
@example(b'{"child":' * 100_000)
def test_whatever_the_bytes_they_are_read_or_refused(peers, body):
    with suppress(Refusal):
        peers.read(peers.type(THING), body)
