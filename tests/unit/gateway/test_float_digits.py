"""Floats of 32 bits are shown in the digits that people gave them."""

import json
import math
import struct

import pytest
from google.protobuf import json_format, wrappers_pb2
from hypothesis import given
from hypothesis import strategies as st
from protobuf.wkt import FloatValue

from tests.support.json_peer import Peers
from windlass_server.gateway.float_digits import has_floats, short
from windlass_server.gateway.json_print import JsonStyle, print_field, print_message


def rounded(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


@given(st.floats(width=32))
def test_the_digits_mean_the_same_float(value):
    shown = short(value)
    assert math.isnan(shown) if math.isnan(value) else rounded(shown) == value


@pytest.mark.parametrize(
    "text", ["0.1", "-2.7", "3.4e+38", "1.4013e-45", "16777216.0", "0.333", "3.4028235e+38"]
)
def test_the_digits_are_those_that_were_given(text):
    assert repr(short(rounded(float(text)))) == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_google_protobuf_shows_the_same(value):
    theirs = json_format.MessageToJson(wrappers_pb2.FloatValue(value=value))
    assert short(value) == json.loads(theirs)


@pytest.fixture(scope="module")
def sample(sample_set):
    return Peers(sample_set)


def test_types_with_floats_are_known_at_any_depth(sample):
    def has(name):
        return has_floats(sample.registry.message(name))

    assert has("sample.v1.Thing")
    assert has("sample.v1.WatchThingsResponse")
    assert has("google.protobuf.FloatValue")
    assert not has("sample.v1.WatchThingsRequest")
    assert not has("google.protobuf.Value")
    assert not has("google.rpc.Status")


@pytest.mark.parametrize("style", [JsonStyle(), JsonStyle(proto_names=False, defaults=False)])
def test_floats_are_short_wherever_they_are(sample, style):
    made = sample.type("sample.v1.Thing")
    message = made(
        f32=0.1,
        f64=0.1,
        children=[made(f32=0.2)],
        things={"a": made(f32=0.3)},
        child=made(child=made(f32=0.4)),
    )
    descriptor = sample.registry.message("sample.v1.Thing")
    decoded = descriptor.type.from_binary(message.SerializeToString())
    shown = json.loads(print_message(decoded, sample.registry, style))
    assert (shown["f32"], shown["f64"]) == (0.1, 0.1)
    assert shown["children"][0]["f32"] == 0.2
    assert shown["things"]["a"]["f32"] == 0.3
    assert shown["child"]["child"]["f32"] == 0.4
    assert print_field(decoded, "f32", sample.registry, style) == "0.1"


def test_a_wrapped_float_alone_is_short():
    assert print_message(FloatValue(value=rounded(0.1)), None) == "0.1"
