"""Every field that a caller sets has rules in the protos, or a reason why it needs none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from grpc_tools import protoc

from buf.validate import validate_pb2

# Brings every module of the contract along.
from windlass_server import app  # noqa: F401
from windlass_server.rpc.pattern_words import WORDS

pool = descriptor_pool.Default()

# What is missing, by the field that lacks it, and why.
EXCEPTIONS = {
    "windlass.agents.v1.MetricColumn.values: a range": "what a job measures is any number, or none",
    "windlass.agents.v1.RunExit.cause: values": "one that the server does not know counts as LOST",
    "windlass.agents.v1.Series.field: values": "a newer agent measures more, which is left out",
    "windlass.agents.v1.Series.values: a range": "NaN is no value; the reader takes finite ones",
}
IMAGE = Path(__file__).resolve().parents[3] / "gen/windlass.binpb"
_LENGTHS = {"len", "max_len", "max_bytes", "in"}
# What must be bound, and the rules of which one does it.
_NEEDED = {
    FieldDescriptor.TYPE_STRING: {"a length": _LENGTHS, "a pattern": {"pattern", "in"}},
    FieldDescriptor.TYPE_BYTES: {"a length": _LENGTHS},
    FieldDescriptor.TYPE_ENUM: {"values": {"defined_only", "in", "not_in"}},
    FieldDescriptor.TYPE_BOOL: dict[str, set[str]](),
}
_NEEDED_OF_MESSAGES = {"google.protobuf.Duration": {"a range": {"gt", "gte"}}}
# Labels of nodes may be longer than those of jobs, which usage is broken down by, too.
_OTHER_LABELS = ("windlass.resources.v1.ListNodesRequest.", "windlass.resources.v1.NodeSelector.")
_TIMED = {"lt_now", "gt_now", "within"}
BEHAVIORS = {
    field_behavior_pb2.REQUIRED,
    field_behavior_pb2.OPTIONAL,
    field_behavior_pb2.OUTPUT_ONLY,
}


def behaviors(field: FieldDescriptor) -> set[int]:
    return set(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def given(rules: validate_pb2.FieldRules) -> set[str]:
    """The names of the rules, of whatever type."""
    kind = rules.WhichOneof("type")
    return {rule.name for rule, _ in getattr(rules, kind).ListFields()} if kind else set()


def lacks_of_one(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> list[str]:
    """What the rules of a single value do not bound."""
    needed = _NEEDED.get(field.type, {"a range": {"gt", "gte", "in"}})
    if field.message_type is not None:
        needed = _NEEDED_OF_MESSAGES.get(field.message_type.full_name, {})
    return [what for what, names in needed.items() if not names & given(rules)]


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    return field.GetOptions().Extensions[validate_pb2.field]


def lacks(field: FieldDescriptor) -> Iterator[str]:
    """What the rules of a field do not bound."""
    rules = rules_of(field)
    if is_map(field):
        if "max_pairs" not in given(rules):
            yield "a count"
        key, value = field.message_type.fields
        yield from (f"{missing} of its keys" for missing in lacks_of_one(key, rules.map.keys))
        yield from (f"{missing} of its values" for missing in lacks_of_one(value, rules.map.values))
    elif field.is_repeated:
        if "max_items" not in given(rules):
            yield "a count"
        yield from lacks_of_one(field, rules.repeated.items)
    else:
        yield from lacks_of_one(field, rules)


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def callers_fields(
    message: Descriptor, seen: dict[str, Descriptor] | None = None
) -> Iterator[FieldDescriptor]:
    """Every field of a request that its caller sets, however deep; each once."""
    seen = {} if seen is None else seen
    if message.full_name in seen or message.full_name.startswith("google."):
        return
    seen[message.full_name] = message
    for field in message.fields:
        if field_behavior_pb2.OUTPUT_ONLY in behaviors(field):
            continue
        yield field
        if field.message_type is not None and not is_map(field):
            yield from callers_fields(field.message_type, seen)


def requests() -> Iterator[Descriptor]:
    contract = descriptor_pb2.FileDescriptorSet.FromString(IMAGE.read_bytes())
    for file in contract.file:
        for service in file.service:
            for method in service.method:
                yield pool.FindMessageTypeByName(method.input_type.lstrip("."))


FIELDS = {field.full_name: field for request in requests() for field in callers_fields(request)}
LACKING = {f"{name}: {missing}" for name, field in FIELDS.items() for missing in lacks(field)}


def test_every_field_that_a_caller_sets_is_bounded_or_excepted() -> None:
    assert LACKING - EXCEPTIONS.keys() == set()


def test_no_exception_outlives_its_field() -> None:
    assert EXCEPTIONS.keys() - LACKING == set()


def test_no_rule_depends_on_the_time() -> None:
    """What was good once is remembered to be good."""
    timed = {name for name, field in FIELDS.items() if given(rules_of(field)) & _TIMED}
    assert timed == set()


@pytest.mark.parametrize(
    "name", ["page_size", "page_token", "request_id", "update_mask", "etag", "epoch", "labels[]"]
)
def test_fields_of_one_meaning_have_the_same_rules(name: str) -> None:
    """They are written out at each field, where every reader of the contract sees them (0004)."""
    found = {
        full_name: text_format.MessageToString(rules_of(field), as_one_line=True)
        for full_name, field in FIELDS.items()
        if field.name + "[]" * (field.is_repeated and not is_map(field)) == name
        and not full_name.startswith(_OTHER_LABELS)
    }
    assert len(found) > 1
    assert len(set(found.values())) == 1, found


def patterns(rules: validate_pb2.FieldRules) -> Iterator[str]:
    """The patterns of a field's rules, also of its elements, keys and values."""
    if rules.string.pattern:
        yield rules.string.pattern
    for inner in (rules.repeated.items, rules.map.keys, rules.map.values):
        if inner.string.pattern:
            yield inner.string.pattern


def test_every_pattern_has_words_for_people() -> None:
    used = {pattern for field in FIELDS.values() for pattern in patterns(rules_of(field))}
    assert used == set(WORDS)


def test_every_request_field_says_whether_it_is_required() -> None:
    silent = {name for name, field in FIELDS.items() if len(behaviors(field) & BEHAVIORS) != 1}
    assert silent == set()


def test_the_walk_comes_to_what_callers_and_nodes_say() -> None:
    assert {
        "windlass.jobs.v1.SubmitJobRequest.request_id",
        "windlass.jobs.v1.Environment.variables",
        "windlass.types.v1.ResourceRequest.gpu_type",
        "windlass.agents.v1.GpuDevice.uuid",
        "windlass.agents.v1.GpuProcessSample.name",
        "windlass.agents.v1.LogBatch.frames",
        "windlass.types.v1.Isolation.degraded_reason",
    } <= FIELDS.keys()
    assert "windlass.jobs.v1.Job.status_message" not in FIELDS


_HEADER = """
syntax = "proto3";
package tests.cases;
import "buf/validate/validate.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
enum Color { RED = 0; }
"""
CASES: dict[str, set[str]] = {
    "string s = 1;": {"a length", "a pattern"},
    "string s = 1 [(buf.validate.field).string.max_len = 5];": {"a pattern"},
    "string s = 1 [(buf.validate.field).string.in = 'a'];": set(),
    "string s = 1 [(buf.validate.field).required = true];": {"a length", "a pattern"},
    "bytes b = 1;": {"a length"},
    "bool b = 1;": set(),
    "int64 n = 1;": {"a range"},
    "double d = 1;": {"a range"},
    "int64 n = 1 [(buf.validate.field).int64.gte = 0];": set(),
    "Color e = 1;": {"values"},
    "Color e = 1 [(buf.validate.field).enum.defined_only = true];": set(),
    "repeated string r = 1;": {"a count", "a length", "a pattern"},
    "repeated int32 r = 1 [(buf.validate.field).repeated.max_items = 3];": {"a range"},
    "map<string, bool> m = 1 [(buf.validate.field).map.max_pairs = 3];": {
        "a length of its keys",
        "a pattern of its keys",
    },
    "google.protobuf.Duration d = 1;": {"a range"},
    "google.protobuf.Timestamp t = 1;": set(),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FieldDescriptor]:
    """The fields of the cases."""
    folder = tmp_path_factory.mktemp("protos")
    messages = [f"message M{number} {{ {field} }}" for number, field in enumerate(CASES)]
    (folder / "cases.proto").write_text(_HEADER + "\n".join(messages))
    command = [
        "protoc",
        f"--proto_path={folder}",
        f"--descriptor_set_in={IMAGE}",
        f"--descriptor_set_out={folder / 'out'}",
        "cases.proto",
    ]
    assert protoc.main(command) == 0
    made = descriptor_pb2.FileDescriptorSet.FromString((folder / "out").read_bytes())
    pool.AddSerializedFile(made.file[0].SerializeToString())
    return {
        field: pool.FindMessageTypeByName(f"tests.cases.M{number}").fields[0]
        for number, field in enumerate(CASES)
    }


@pytest.mark.parametrize("field", CASES)
def test_what_a_field_lacks_is_found(field: str, compiled: dict[str, FieldDescriptor]) -> None:
    assert set(lacks(compiled[field])) == CASES[field]
