"""What holds for every query: it says what the same values say as JSON, and nothing of the path's."""

import json
import random
from contextlib import suppress
from urllib.parse import quote, quote_plus

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.gateway import SAMPLE_SERVICE
from tests.support.json_bodies import bodies
from tests.support.json_peer import Peers, same
from tests.support.random_messages import fill
from windlass_server.gateway.errors import Refusal
from windlass_server.gateway.params import PathParameters
from windlass_server.gateway.schema import Schema
from windlass_server.gateway.table import build_table
from windlass_server.gateway.transcoder import Transcoder

THING = "sample.v1.Thing"
# Messages that are one text.
TEXTS = {
    f"google.protobuf.{name}"
    for name in (
        *("Timestamp", "Duration", "FieldMask"),
        *("StringValue", "Int64Value", "BoolValue"),
    )
}


@pytest.fixture(scope="module")
def peers(sample_set):
    return Peers(sample_set)


@pytest.fixture(scope="module")
def router(sample_set):
    return build_table(Transcoder(sample_set), [SAMPLE_SERVICE]).router


def sent(router, method, path, query, body=b""):
    """The bytes of the request message; raises Refusal."""
    found = router.match(method, path)
    return found.target.request(found.values, query, body)


def parameters(message, prefix=""):
    """The names and values that say the same as the message, as far as a query can say it."""
    shown = json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        descriptor_pool=message.DESCRIPTOR.file.pool,
    )
    for field, value in message.ListFields():
        nested = field.message_type
        if nested is not None and nested.full_name not in TEXTS:
            if not field.is_repeated and not nested.full_name.startswith("google."):
                yield from parameters(value, f"{prefix}{field.name}.")
            continue
        texts = shown[field.name]
        for text in texts if field.is_repeated else [texts]:
            yield prefix + field.name, (str(text).lower() if isinstance(text, bool) else str(text))


def sayable(message):
    """Take out what a query cannot say: maps, free-form JSON, repeated and empty messages."""
    for field, value in message.ListFields():
        nested = field.message_type
        if nested is None or nested.full_name in TEXTS:
            continue
        if field.is_repeated or nested.full_name.startswith("google."):
            message.ClearField(field.name)
        else:
            sayable(value)
            if not value.ListFields():
                message.ClearField(field.name)
    return message


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32), spelled=st.sampled_from([quote, quote_plus]))
def test_a_query_says_what_json_says(peers, router, seed, spelled):
    thing = peers.type(THING)()
    fill(thing, random.Random(seed))
    thing.name = "n"
    sayable(thing)
    pairs = [(name, text) for name, text in parameters(thing) if name != "name"]
    query = "&".join(f"{spelled(name)}={spelled(text)}" for name, text in pairs)
    read = peers.type(THING).FromString(sent(router, "GET", "/v1/things/n", query))
    assert same(read, thing)


NAMES = ["name", "%6eame", "na%6de", "child.name", "child", "i64", "text", "tags", "middle.name"]
VALUES = ["other", "1", "", "%00", "a%26name=other"]
queries = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=2).map(
    lambda pairs: "&".join("=".join(pair) for pair in pairs)
)
VARIABLES = [
    ("GET", "/v1/things/mine", lambda thing: thing.name, "mine"),
    ("PUT", "/v1/things/mine", lambda thing: thing.name, "mine"),
    ("PATCH", "/v1/things/mine", lambda thing: thing.name, "mine"),
    ("POST", "/v1/things/mine:touch", lambda thing: thing.name, "mine"),
    ("GET", "/v1/nested/mine", lambda thing: thing.child.name, "mine"),
    ("PUT", "/v1/nested/mine", lambda thing: thing.child.name, "mine"),
    ("GET", "/v1/numbers/7", lambda thing: thing.i64, 7),
    ("PUT", "/v1/numbers/7", lambda thing: thing.i64, 7),
]


def test_neither_query_nor_body_changes_what_the_path_says(peers, router):
    thing = peers.type(THING)
    overwriting = st.sampled_from([{}, {"name": "other"}, {"i64": "9"}, {"child": {"name": "x"}}])
    objects = st.builds(lambda body, more: {**body, **more}, bodies(thing.DESCRIPTOR), overwriting)

    @settings(max_examples=1500)
    @given(st.sampled_from(VARIABLES), queries, st.one_of(st.none(), objects))
    def bind(variable, query, body):
        method, path, read, value = variable
        encoded = b"" if body is None else json.dumps(body).encode()
        with suppress(Refusal):
            message = thing.FromString(sent(router, method, path, query, encoded))
            assert read(message) == value

    bind()


@given(
    st.lists(st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace").decode()), min_size=4)
)
def test_strings_of_a_path_alone_are_serialized_as_they_are_bound(peers, texts):
    schema = Schema(peers.registry)
    thing = peers.registry.message(THING)
    for names in (["name"], ["text", "name"], ["i64"], ["maybe"], ["child.name"], ["left"]):
        path = PathParameters(schema, thing, names)
        values = ["5" if name == "i64" else text for name, text in zip(names, texts, strict=False)]
        bound = thing.type()
        path.bind(bound, values)
        serialized = path.serialized(values)
        assert serialized is None or thing.type.from_binary(serialized) == bound
        if names == ["name"]:
            assert (serialized is None) == (len(values[0].encode()) > 127)
