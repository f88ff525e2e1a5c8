"""Schemas against the validator itself: a value fits a schema where protovalidate takes it."""

import json
from typing import Any

import protovalidate
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from protobuf.wkt import Duration

from tests.support.openapi import validator
from windlass_server.gateway.openapi.number_rules import duration_constraint

UUID = "123e4567-e89b-12d3-a456-426614174000"

# Every field of `Ruled` with values that it takes and others that it does not; each value alone in
# an otherwise valid message, None for an absent field.
CASES: dict[str, list[Any]] = {
    "min_len": [None, "", "a", "ab", "\U0001f600", "\U0001f600\U0001f600"],
    "max_len": [None, "", "ab", "abc", "\U0001f600\U0001f600", "\U0001f600\U0001f600\U0001f600"],
    "len": [None, "", "a", "ab", "abc"],
    "quoted": [None, "", "a.b", "xa.by", "axb"],
    "prefix": [None, "", "a.", "a.x", "ax", "xa."],
    "suffix": [None, "", "(z", "x(z", "(zx", "z"],
    "contains": [None, "", "m+", "xm+y", "mm"],
    "not_contains": [None, "", "m", "m+", "xm+y"],
    "both_ends": [None, "", "az", "abz", "a", "z", "za"],
    "text_const": [None, "", "x", "y"],
    "text_in": [None, "", "a", "b", "c"],
    "text_not_in": [None, "", "a", "b"],
    "uuid": [None, "", UUID, UUID[1:]],
    "tuuid": [None, "", UUID.replace("-", ""), UUID],
    "ulid": [None, "", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ"],
    "ipv4": [None, "", "10.1.2.3", "10.1.2.300", "::1"],
    "ip": [None, "", "10.1.2.3", "::1", "x"],
    "maybe_pattern": [None, "", "ab", "a1"],
    "maybe_short": [None, "", "ab", "abc"],
    "never": [None, "", "a"],
    "told": [None, "", "a", "ab"],
    "wanted": [None, "", "a"],
    "range": [None, 0, 1, 2, 4, 5],
    "outside": [None, 0, 1, 5, 6, 3],
    "number_in": [None, 0, 2, 4],
    "number_not_in": [None, 0, 2, 4],
    "number_wanted": [None, 0, 2],
    "long_const": [None, "0", "7", "8"],
    "long_in": [None, "0", "7", "8"],
    "long_not_negative": [None, "0", "7", "-1", "9223372036854775807"],
    "finite": [None, 0, 1.5, "NaN", "Infinity", "-Infinity"],
    "at_least": [None, 0, -1, 1.5, "NaN", "Infinity", "-Infinity"],
    "between": [None, 0, 1, 1.5, "NaN", "Infinity", "-Infinity"],
    "single": [None, 0, 3e38, "NaN", "Infinity", "-Infinity"],
    "truth": [None, False, True],
    "kind_in": [None, "KIND_UNSPECIFIED", "SMALL", "LARGE"],
    "kind_wanted": [None, "KIND_UNSPECIFIED", "SMALL"],
    "items": [None, [], ["a"], ["a", "b"], ["a", "a"], ["a", "b", "c"], ["abc"]],
    "items_wanted": [None, [], ["a"]],
    "pairs": [None, {}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"A": 1}, {"a": -1}],
    "wrapped": [None, 0, 1],
    "choice": [None, {}, {"left": "a"}, {"right": "b"}, {"left": ""}],
    "pick": [None, {}, {"one": "a"}, {"other": "b"}, {"one": "a", "other": "b"}],
    "data": [None, "", "YWJj", "YWJjZA==", "YWJjZGVmZ2g="],
}  # fmt: skip
# JSON's own words for what only a pattern in RE2 says.
BEYOND_SCHEMAS = {"text_pattern"}

VALID: dict[str, Any] = {
    "min_len": "ab", "len": "ab", "text_pattern": "a", "quoted": "a.b", "prefix": "a.",
    "suffix": "(z", "contains": "m+", "both_ends": "az", "text_const": "x", "text_in": "a",
    "uuid": UUID, "tuuid": UUID.replace("-", ""), "ulid": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "ipv4": "10.1.2.3", "ip": "::1", "wanted": "a", "range": 2, "number_in": 2,
    "number_wanted": 1, "long_const": "7", "truth": True, "kind_wanted": "SMALL", "items": ["a"],
    "items_wanted": ["a"],
}  # fmt: skip


@pytest.fixture(scope="module")
def ruled(catalog_set):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(catalog_set).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sample.v1.Ruled"))


@pytest.fixture(scope="module")
def schema(catalog):
    body = catalog["paths"]["/v1/ruled"]["post"]["requestBody"]
    return validator(catalog, body["content"]["application/json"]["schema"])


def test_every_field_has_cases(ruled):
    assert {field.name for field in ruled.DESCRIPTOR.fields} == set(CASES) | BEYOND_SCHEMAS


@pytest.mark.parametrize("field", CASES)
def test_a_value_fits_the_schema_where_the_rules_take_it(field, schema, ruled):
    verdicts = []
    for value in CASES[field]:
        body = VALID | {field: value}
        body = {key: each for key, each in body.items() if each is not None}
        taken = _is_taken(ruled, body)
        found = "; ".join(error.message for error in schema.iter_errors(body))
        assert taken == (not found), f"{json.dumps(value)}: {found or 'fits the schema'}"
        verdicts.append(taken)
    if field not in ("single", "never"):
        assert len(set(verdicts)) == 2, "one value that is taken and one that is not"


def _is_taken(ruled, body):
    try:
        protovalidate.validate(json_format.ParseDict(body, ruled()))
    except (json_format.ParseError, protovalidate.ValidationError):
        return False
    return True


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        (
            "wait",
            "Takes a while.\n\nSeconds, with up to nine decimals. At least 1s. Less than 60s.",
        ),
        ("past", "In the past."),
        ("long_range", "More than 1,000. At most 2,000."),
        ("narrow", "At most 1,024 bytes in UTF-8."),
        ("odd", "Matches the RE2 expression `(?i)abc`."),
        ("address", "A host and a port, such as `node.example:80`."),
        ("ruled", "Must be odd."),
    ],
)
def test_a_rule_that_no_keyword_says_is_told_in_words(field, wanted, catalog):
    properties = catalog["components"]["schemas"]["sample.v1.Worded-Input"]["properties"]
    assert properties[field]["description"] == wanted


@pytest.mark.parametrize(
    ("rules", "pattern"),
    [
        ({}, None),
        ({"gte": 0}, r"^[0-9]{1,12}(\.[0-9]{1,9})?s$"),
        ({"gte": -1}, None),
        ({"gte": 1, "lt": 60}, r"^[0-9]{1,2}(\.[0-9]{1,9})?s$"),
        ({"gt": 0, "lte": 604800}, r"^[0-9]{1,6}(\.[0-9]{1,9})?s$"),
        ({"gte": -5, "lte": 5}, None),
        ({"lte": 5}, None),
    ],
)
def test_a_duration_has_a_sign_and_so_many_digits_as_its_bounds_need(rules, pattern):
    made = duration_constraint({key: Duration(seconds=value) for key, value in rules.items()})
    assert made.keywords.get("pattern") == pattern


def test_examples_of_the_rules_are_those_of_the_schema(catalog):
    properties = catalog["components"]["schemas"]["sample.v1.Worded-Input"]["properties"]
    assert properties["shown"]["examples"] == ["like this"]


def test_rules_are_for_what_is_sent_and_not_for_what_is_answered(catalog):
    answered = catalog["components"]["schemas"]["sample.v1.Worded"]["properties"]
    assert answered["narrow"] == {"type": "string"}
