"""Random messages of every kind of field, through both front ends and plain gRPC.

What is generated is valid, so that neither front end may refuse it: it arrives as it was made and comes
back as plain gRPC has it.
"""

import json
import re
from random import Random
from urllib.parse import quote, urlencode

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.differential.case import JSON, Case, Reaches
from tests.differential.lab import FRONT, Lab
from tests.differential.test_sample import explained
from tests.support.json_bodies import bodies
from tests.support.random_messages import fill

THING = "sample.v1.Thing"
# Fields that a query can hold once, and those that it can hold often.
SINGLE = ("text", "i32", "i64", "u32", "u64", "f64", "flag", "data", "kind", "maybe", "time", "age",
          "wrapped_text", "wrapped_number", "wrapped_flag", "s64")  # fmt: skip
REPEATED = ("tags", "numbers", "kinds", "ages")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SEEDS = st.integers(0, 2**32)
# Values that only the gateway takes, or reads as protobuf does (differences.toml), and Any, whose bytes
# differ by fields that are given with their defaults.
RARE = re.compile(rb'"(1\.0|1e3|-?0|77|-?1|Minus|YQ=|A|any)"')
FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


async def agree(lab: Lab, case: Case) -> None:
    expected = await lab.expected(case)
    for address in (lab.gateway, lab.envoy):
        outcome = await lab.through(address, case)
        assert not outcome.aspects(expected), explained(outcome, expected)


def random_thing(lab: Lab, seed: int):
    message = lab.types.message(THING)()
    fill(message, Random(seed), depth=1)
    message.ClearField("any")  # without a type it has no JSON
    return without_floats(message)


def without_floats(thing):
    """A thing without 32-bit floats, whose digits Envoy has otherwise."""
    thing.ClearField("f32")
    for name in ("child", "middle"):
        if thing.HasField(name):
            without_floats(getattr(thing, name))
    for each in (*thing.children, *thing.things.values()):
        without_floats(each)
    return thing


@pytest.mark.asyncio(loop_scope="session")
@FEW
@given(NAMES, SEEDS, st.booleans())
async def test_a_message_in_a_body_arrives_and_comes_back(lab, name, seed, proto_names):
    message = random_thing(lab, seed)
    message.ClearField("name")
    sent = json_format.MessageToDict(
        message, preserving_proto_field_name=proto_names, descriptor_pool=lab.types.pool
    )
    body = json.dumps(sent).encode()
    assume(len(body) < FRONT.max_body_bytes and not name.endswith((":touch", ":read", ":act")))
    line = f"PUT /v1/things/{quote(name, safe='')}"
    expect = Reaches("ShelfService.PutThing", ({**sent, "name": name},))
    await agree(lab, Case("", line, expect, headers=JSON, body=body))


@pytest.mark.asyncio(loop_scope="session")
@FEW
@given(SEEDS, st.booleans())
async def test_scalars_in_a_query_arrive_and_come_back(lab, seed, proto_names):
    message = random_thing(lab, seed)
    written = json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=lab.types.pool
    )
    known = {"kind", "kinds"}  # a number that no value has, Envoy refuses in queries
    chosen = {
        name: value
        for name, value in written.items()
        if name in SINGLE + REPEATED and not (name in known and "77" in json.dumps(value))
    }
    fields = lab.types.message(THING).DESCRIPTOR.fields_by_name
    pairs = [
        (name if proto_names else fields[name].json_name, text(each))
        for name, value in chosen.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    expect = Reaches("ShelfService.GetThing", ({**chosen, "name": "x"},))
    await agree(lab, Case("", f"GET /v1/things/x?{urlencode(pairs)}", expect))


@pytest.mark.asyncio(loop_scope="session")
@settings(FEW, max_examples=200)
@given(st.data())
async def test_what_the_gateway_takes_envoy_takes_as_the_same(lab, data):
    """Bodies that are mostly right and often nearly right: Envoy is the more lenient of the two."""
    drawn = data.draw(bodies(lab.types.message(THING).DESCRIPTOR))
    drawn.pop("name", None)  # which the path has
    body = json.dumps(drawn).encode()
    assume(not RARE.search(body))
    expect = Reaches("ShelfService.PutThing", ())
    case = Case("", "PUT /v1/things/x", expect, headers=JSON, body=body)
    ours = await lab.through(lab.gateway, case)
    theirs = await lab.through(lab.envoy, case)
    assert max(ours.status, theirs.status) < 500
    if ours.status == 200:
        assert (theirs.status, theirs.request) == (200, ours.request)


def text(value: object) -> str:
    """A value of JSON as a query has it."""
    return value if isinstance(value, str) else json.dumps(value)
