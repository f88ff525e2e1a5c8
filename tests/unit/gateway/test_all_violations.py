"""All that is wrong with a request is told at once, whoever finds it."""

import json

import pytest

from tests.support.gateway import AsgiClient, FakeDispatcher, failure, sample_gateway
from windlass_server.gateway.errors import Violation


class Judge:
    """Finds in the rest of a request what it is told to find, and keeps what it was shown."""

    def __init__(self, *found, refuses=None):
        self.found = [Violation(name, "is judged", "JUDGED") for name in found]
        self.refuses = refuses
        self.shown = []

    async def __call__(self, call, request):
        self.shown.append((call.method, request))
        if self.refuses:
            raise self.refuses
        return self.found


@pytest.fixture
def refusing(sample_set, sample_type):
    """Sends a request with a judge beside the dispatcher; the answer, and the rest as a message."""

    async def send(judge, method, target, body=None):
        dispatcher = FakeDispatcher()
        gateway = sample_gateway(sample_set, dispatcher, find_violations=judge)
        content = None if body is None else json.dumps(body)
        answer = await AsgiClient(gateway).request(method, target, content)
        assert dispatcher.calls == []
        rest = sample_type("Thing").FromString(judge.shown[0][1]) if judge.shown else None
        return answer, rest

    return send


THINGS = "/v1/things/n"
CASES = {
    "a field": ({"i32": "x", "text": "t"}, {"i32"}, {"text": "t"}),
    "a field by its other name": ({"wrappedNumber": "x"}, {"wrapped_number"}, {}),
    "an unknown field": ({"nope": 1, "text": "t"}, {"nope"}, {"text": "t"}),
    "a field under both names": ({"oddSpelling": "a", "spelled_oddly": "b"}, {"spelled_oddly"}, {}),
    "a second member of a oneof": ({"left": "a", "right": 1}, {"right"}, {"left": "a"}),
    "an element: the others would move": (
        {"tags": ["a", 1], "numbers": [1]},
        {"tags[1]"},
        {"numbers": [1]},
    ),
    "an entry": (
        {"counts": {"a": "x", "b": "1"}, "text": "t"},
        {"counts[a]"},
        {"text": "t"},
    ),
    "a field of a message": (
        {"child": {"i32": "x", "text": "t"}},
        {"child.i32"},
        {"child": {"text": "t"}},
    ),
    "a field of an element": (
        {"children": [{"text": "0"}, {"i32": "x", "text": "1"}]},
        {"children[1].i32"},
        {"children": [{"text": "0"}, {"text": "1"}]},
    ),
    "an element that is no message": (
        {"children": [{"text": "0"}, 1], "text": "t"},
        {"children[1]"},
        {"text": "t"},
    ),
    "a field of an entry": (
        {"things": {"a": {"i32": "x", "text": "a"}, "b": {"text": "b"}}},
        {"things[a].i32"},
        {"things": {"a": {"text": "a"}, "b": {"text": "b"}}},
    ),
    "an entry that is no message": (
        {"things": {"a": 1, "b": {"text": "b"}}},
        {"things[a]"},
        {"things": {"b": {"text": "b"}}},
    ),
    "within an Any": (
        {"any": {"@type": "type.googleapis.com/sample.v1.Thing", "i32": "x"}, "text": "t"},
        {"any.i32"},
        {"text": "t"},
    ),
    "an enum in another case beside it": ({"i32": "x", "kind": "large"}, {"i32"}, {"kind": 2}),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_can_be_read_is_judged_without_what_cannot(refusing, sample_type, case):
    body, refused, rest = CASES[case]
    answer, shown = await refusing(Judge("maybe"), "PUT", THINGS, body)
    assert answer.status == 400
    assert set(answer.violations) == refused | {"maybe"}
    children = {name: value for name, value in rest.items() if name in ("child", "children")}
    expected = sample_type("Thing")(name="n", **(rest if not children else {}))
    for name, value in children.items():
        setattr_message(expected, name, value)
    assert shown == expected


def setattr_message(message, name, value):
    if isinstance(value, list):
        for each in value:
            getattr(message, name).add(**each)
    else:
        getattr(message, name).MergeFrom(type(message)(**value))


async def test_body_query_and_path_are_told_of_together(refusing):
    body = {"i32": "x"}
    target = "/v1/things/n?flag=maybe&nope=1&kind=LARGE&kind=SMALL"
    answer, rest = await refusing(Judge("text"), "PATCH", target, body)
    assert list(answer.violations) == ["child.i32", "flag", "nope", "kind", "text"]
    assert "(and 4 more)" in answer.json["message"]
    answer, rest = await refusing(Judge(), "GET", "/v1/numbers/x?flag=maybe&text=t")
    assert list(answer.violations) == ["flag", "i64"]
    assert rest.text == "t"


async def test_each_violation_has_its_own_reason(refusing):
    answer, _ = await refusing(Judge("text"), "PUT", THINGS, {"nope": 1, "i32": "x"})
    bad = next(each for each in answer.json["details"] if "field_violations" in each)
    assert [(each["field"], each["reason"]) for each in bad["field_violations"]] == [
        ("nope", "UNKNOWN_FIELD"),
        ("i32", "INVALID_FIELD_VALUE"),
        ("text", "JUDGED"),
    ]
    assert answer.reason == "UNKNOWN_FIELD"


@pytest.mark.parametrize(
    ("body", "judged", "told"),
    [
        ({"i32": "x"}, ["i32"], {"i32"}),
        ({"child": {"i32": "x"}}, ["child", "child.text"], {"child.i32", "child.text"}),
        ({"child": 1}, ["child.text"], {"child"}),
        ({"tags": [1]}, ["tags", "tags[0]"], {"tags[0]"}),
        ({"i32": "x"}, [""], {"i32"}),
        ({"i32": "x"}, ["i32_more"], {"i32", "i32_more"}),
    ],
)
async def test_what_is_said_of_a_refused_field_is_said_once(refusing, body, judged, told):
    answer, _ = await refusing(Judge(*judged), "PUT", THINGS, body)
    assert set(answer.violations) == told


async def test_who_may_not_call_learns_that_first(refusing):
    judge = Judge(refuses=failure(7, "not yours"))
    answer, _ = await refusing(judge, "PUT", THINGS, {"i32": "x"})
    assert (answer.status, answer.json["message"]) == (403, "not yours")


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [("PUT", THINGS, "no object"), ("PUT", THINGS, [1]), ("GET", THINGS, {}), ("PUT", "/v1/x", {})],
)
async def test_a_request_that_is_refused_as_a_whole_is_not_judged(refusing, method, target, body):
    judge = Judge("text")
    answer, _ = await refusing(judge, method, target, body)
    assert answer.status in (400, 404)
    assert judge.shown == []


async def test_a_stream_is_refused_with_all_that_is_wrong(sample_set):
    judge = Judge("cursor")
    gateway = sample_gateway(sample_set, FakeDispatcher(), find_violations=judge)
    answer = await AsgiClient(gateway).request("GET", "/v1/watch/t?follow=maybe")
    assert set(answer.violations) == {"follow", "cursor"}


@pytest.mark.parametrize("key", ["." * 60_000, "[" * 60_000, "a." * 30_000])
async def test_a_key_of_separators_costs_nothing(refusing, key):
    answer, _ = await refusing(Judge("text"), "PUT", THINGS, {key: 1})
    assert len(answer.violations) == 2


async def test_many_wrong_elements_cost_little(refusing):
    answer, _ = await refusing(Judge("text"), "PUT", THINGS, {"numbers": ["1_0"] * 7000})
    # A thousand of them are counted, and what the service said.
    assert "(and 1000 more)" in answer.json["message"]
    assert len(answer.violations) == 100
