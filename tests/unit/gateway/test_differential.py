"""The transcoder's JSON against that of google.protobuf, on random messages of every served type."""

import pytest
from google.protobuf import json_format

from tests.support.gateway import windlass_descriptors
from tests.support.json_peer import Peers, same
from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.standalone.contract import Contract

SEEDS = range(12)


def types_of(pool, services):
    """The names of all message types that the services' methods reach."""
    found = set()
    pending = []
    for name in services:
        for method in pool.FindServiceByName(name).methods:
            pending += [method.input_type, method.output_type]
    while pending:
        descriptor = pending.pop()
        if descriptor.full_name not in found and not descriptor.GetOptions().map_entry:
            found.add(descriptor.full_name)
            pending += [field.message_type for field in descriptor.fields if field.message_type]
    return sorted(found)


# All that have a path, so that none can be forgotten here.
SERVICES = Contract(windlass_descriptors(), "windlass").services_with_rules()
WINDLASS = Peers(windlass_descriptors())
SERVED = [
    name
    for name in types_of(WINDLASS.pool, SERVICES)
    if name.startswith("windlass.") or name == "google.rpc.Status"
]


@pytest.mark.parametrize("name", SERVED)
def test_json_of_a_served_type_is_what_google_protobuf_prints(name):
    for seed in SEEDS:
        message = WINDLASS.message(name, seed)
        assert WINDLASS.ours(message) == WINDLASS.theirs(message)


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize(
    "style", [JsonStyle(False, True), JsonStyle(True, False), JsonStyle(False, False)]
)
def test_json_of_a_served_type_is_the_same_in_every_style(name, style):
    for seed in list(SEEDS)[:4]:
        message = WINDLASS.message(name, seed)
        assert WINDLASS.ours(message, style) == WINDLASS.theirs(message, style)


@pytest.mark.parametrize("name", SERVED)
@pytest.mark.parametrize("proto_names", [True, False])
def test_json_of_a_served_type_is_read_as_the_same_message(name, proto_names):
    for seed in SEEDS:
        message = WINDLASS.message(name, seed)
        text = json_format.MessageToJson(message, preserving_proto_field_name=proto_names)
        assert same(WINDLASS.read(message, text), message)


@pytest.fixture(scope="module")
def sample(sample_set):
    return Peers(sample_set)


def test_every_kind_of_field_is_printed_as_google_protobuf_prints_it(sample):
    for seed in range(60):
        message = sample.message("sample.v1.Thing", seed)
        assert sample.ours(message) == sample.theirs(message)


def test_every_kind_of_field_is_read_as_the_same_message(sample):
    for seed in range(60):
        message = sample.message("sample.v1.Thing", seed)
        text = json_format.MessageToJson(message, descriptor_pool=sample.pool)
        assert same(sample.read(message, text), message)


def test_the_served_types_are_all_of_the_contract():
    assert "windlass.jobs.v1.Job" in SERVED
    assert "windlass.resources.v1.Gpu" in SERVED
    assert len(SERVED) > 40
