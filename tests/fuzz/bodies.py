"""JSON bodies: read or refused, as `json_format` does but for the listed differences."""

import json
from random import Random

from google.protobuf import json_format

from tests.fuzz import json_mutation
from tests.fuzz.contract import THING, peers
from tests.support.json_differences import DIFFERENCES, GATEWAY, PEER, elements
from tests.support.json_peer import same
from windlass_server.gateway.errors import Refusal

SEEDS = (
    b'{"name":"a","i32":1,"i64":"2","f64":1.5e3,"flag":true,"data":"YQ==","kind":"SMALL"}',
    b'{"tags":["a"],"counts":{"a":"1"},"by_number":{"-1":"x"},"child":{"children":[{}]}}',
    b'{"time":"2030-01-31T12:00:00.5+01:00","age":"-1.5s","update_mask":"a.bC,d","oddSpelling":""}',
    b'{"wrapped_text":"","wrappedNumber":5,"anything":{"a":[null,true,{}]},"value":[[1]]}',
    b'{"any":{"@type":"type.googleapis.com/sample.v1.Thing","left":"a"},"things":{"a":{"u32":1}}}',
    b'{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"},"f32":"NaN"}',
)
WORDS = (
    *(b'"i64":', b'"child":', b'"kind":', b'"minus"', b'"things":{"":', b'"any":{"@type":"'),
    *(b"type.googleapis.com/", b"google.protobuf.", b"FieldMask", b"Struct", b"Any", b'"value":'),
    *(b'"by_flag":{"true":', b'"middle":{', b'"right":', b"null", b"\\u", b"d800", b"-Infinity"),
    *(b'"f32":', b'"age":"', b'"update_mask":"', b"e400", b"1_0", b"\\ud83d\\ude00", b"0001-01-01"),
)

# How many of the mutations are of bytes, not of JSON.
_BYTES_ALONE = 0.3


def mutate(data: bytes, random: Random) -> bytes | None:
    """A changed body; None when its bytes are to be changed instead."""
    if random.random() < _BYTES_ALONE:
        return None
    return json_mutation.mutate(data, random, peers().type(THING).DESCRIPTOR)


def check(data: bytes) -> None:
    """Have a body judged by both."""
    thing = peers().type(THING)
    try:
        ours = peers().read(thing, data)
    except Refusal:
        ours = None
    try:
        theirs = peers().read_by_peer(thing, data)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError):
        theirs = None
    if ours is not None:
        assert same(peers().read(ours, peers().printed(ours)), ours), "changed by being printed"
    if ours is not None and theirs is not None:
        assert same(ours, theirs), "read as another message than by json_format"
    elif ours is not None or theirs is not None:
        accepted_by = GATEWAY if ours is not None else PEER
        found = list(elements(peers().pool, thing.DESCRIPTOR, json.loads(data)))
        listed = [one for one in DIFFERENCES if one.accepted_by == accepted_by]
        assert any(one.applies(each) for each in found for one in listed), (
            f"accepted by {accepted_by} alone, for no listed reason"
        )
