"""Which descriptor sets can be served, and in which words the others are refused."""

import pytest
from google.api import http_pb2
from google.protobuf import descriptor_pb2

from tests.support.contracts import HEALTH_RULES, compile_text, health_contract
from windlass_server.gateway.errors import ErrorRenderer, Refusal
from windlass_server.gateway.http_rules import RuleError
from windlass_server.gateway.standalone.contract import Contract, read_contract
from windlass_server.gateway.standalone.rules_file import read_rules_file
from windlass_server.gateway.table import build_table
from windlass_server.gateway.transcoder import Transcoder

GREETER = """
package greeter.v1;
import "google/api/annotations.proto";
import "google/protobuf/empty.proto";
service Greeter {
  rpc Greet(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {get: "/v1/greeting"};
  }
  rpc Silent(google.protobuf.Empty) returns (google.protobuf.Empty);
}
service Quiet {
  rpc Silent(google.protobuf.Empty) returns (google.protobuf.Empty);
}
"""


def routes(contract):
    lines = build_table(Transcoder(contract.serialize()), contract.services_with_rules()).lines
    return [line.split(" -> ")[0] for line in lines]


@pytest.mark.parametrize("imports", [True, False])
def test_googles_protos_need_not_be_in_the_set(tmp_path, imports):
    contract = read_contract(compile_text(tmp_path, imports=imports, greeter=GREETER))
    assert contract.services_with_rules() == ["greeter.v1.Greeter"]
    assert routes(contract) == ["GET /v1/greeting"]


def test_the_error_model_is_supplied(tmp_path):
    contract = read_contract(compile_text(tmp_path, greeter=GREETER))
    registry = Transcoder(contract.serialize()).registry
    answer = ErrorRenderer(registry, "here").refusal(Refusal(5, "GONE", "gone"))
    assert b'"reason":"GONE"' in answer.body


def test_an_error_model_under_another_name_is_not_supplied_again(tmp_path):
    greeter = read_contract(compile_text(tmp_path, greeter=GREETER)).serialize()
    files = descriptor_pb2.FileDescriptorSet.FromString(greeter)
    for file in files.file:
        if file.name.startswith("google/rpc/"):
            file.name = f"vendored/{file.name}"
    contract = Contract(files.SerializeToString(), "vendored")
    names = [f.name for f in descriptor_pb2.FileDescriptorSet.FromString(contract.serialize()).file]
    assert "vendored/google/rpc/status.proto" in names
    assert "google/rpc/status.proto" not in names


def test_every_file_comes_behind_what_it_imports(tmp_path):
    contract = read_contract(compile_text(tmp_path, greeter=GREETER))
    seen = set()
    for file in descriptor_pb2.FileDescriptorSet.FromString(contract.serialize()).file:
        assert set(file.dependency) <= seen
        seen.add(file.name)


def test_a_set_without_what_it_imports_says_what_is_lacking_and_how_to_make_one(tmp_path):
    message = "package other.v1; message Text { string text = 1; }"
    service = GREETER.replace(
        "service Greeter",
        'import "other.proto"; message M { other.v1.Text t = 1; } service Greeter',
    )
    path = compile_text(tmp_path, imports=False, other=message, greeter=service)
    with pytest.raises(RuleError, match=r"lacks other\.proto, .*greeter\.proto.*--include_imports"):
        read_contract(path)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x0a\x00", b"\xff" * 20, b"syntax = 'proto3';"]
)
def test_what_is_no_descriptor_set_is_named_so(content):
    with pytest.raises(RuleError, match=r"api\.binpb is not a descriptor set"):
        Contract(content, "api.binpb")


def test_a_set_without_services_is_refused(tmp_path):
    with pytest.raises(RuleError, match="has no service"):
        read_contract(compile_text(tmp_path, alone="message M {}"))


def test_files_that_import_each_other_are_refused():
    files = descriptor_pb2.FileDescriptorSet()
    files.file.add(name="a.proto", dependency=["b.proto"]).service.add(name="S")
    files.file.add(name="b.proto", dependency=["a.proto"])
    with pytest.raises(RuleError, match=r"[ab]\.proto imports itself"):
        Contract(files.SerializeToString(), "x").serialize()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RuleError, match=r"cannot read .*nope\.binpb: No such file"):
        read_contract(tmp_path / "nope.binpb")


@pytest.mark.parametrize(
    ("name", "words"),
    [("greeter.v1.Nope", "has no service 'greeter.v1.Nope'"), ("greeter.v1.Quiet", "--http-rules")],
)
def test_a_service_that_cannot_be_served_is_named(tmp_path, name, words):
    contract = read_contract(compile_text(tmp_path, greeter=GREETER))
    contract.check_services(["greeter.v1.Greeter"])
    with pytest.raises(RuleError, match=words):
        contract.check_services(["greeter.v1.Greeter", name])


def test_rules_from_a_file_serve_an_api_that_has_none(tmp_path):
    contract = read_contract(health_contract(tmp_path))
    assert contract.services_with_rules() == []
    rules = tmp_path / "rules.yaml"
    rules.write_text(HEALTH_RULES)
    contract.add_rules(read_rules_file(rules))
    assert routes(contract) == [
        "GET /v1/health",
        "GET /v1/health/{service}",
        "GET /v1/health/{service}:watch",
    ]


def test_a_rule_from_a_file_takes_the_place_of_the_contracts_own(tmp_path):
    contract = read_contract(compile_text(tmp_path, greeter=GREETER))
    contract.add_rules(
        [http_pb2.HttpRule(selector="greeter.v1.Greeter.Greet", post="/v2/greeting")]
    )
    assert routes(contract) == ["POST /v2/greeting"]


@pytest.mark.parametrize(
    ("selectors", "words"),
    [
        (["greeter.v1.Greeter.Nope"], "'greeter.v1.Greeter.Nope' names no method"),
        (["greeter.v1.Greeter"], "'greeter.v1.Greeter' names no method"),
        ([""], "'' names no method"),
        (["greeter.v1.Greeter.Greet"] * 2, "use additional_bindings"),
    ],
)
def test_a_selector_has_to_name_one_method_once(tmp_path, selectors, words):
    contract = read_contract(compile_text(tmp_path, greeter=GREETER))
    with pytest.raises(RuleError, match=words):
        contract.add_rules([http_pb2.HttpRule(selector=each, get="/x") for each in selectors])


@pytest.mark.parametrize("name", ["rules.json", "rules.yaml"])
def test_rules_may_be_json_and_other_sections_are_left_alone(tmp_path, name):
    path = tmp_path / name
    path.write_text(
        '{"name": "x", "apis": [{"name": "y"}], "http": {"rules": [{"selector": "a.B.C"}]}}'
    )
    assert [rule.selector for rule in read_rules_file(path)] == ["a.B.C"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.yaml", "", "has no `http`"),
        ("r.yaml", "- http", "has no `http`"),
        ("r.yaml", "http: {}", "has no HTTP rules"),
        ("r.yaml", "http: {rules: []}", "has no HTTP rules"),
        ("r.yaml", "a: [", "is not YAML"),
        ("r.yaml", "\x00", "is not YAML"),
        ("r.yaml", "a: " + "[" * 5000, "is not YAML"),
        ("r.yaml", "http: !!python/object:os.system {}", "is not YAML"),
        ("r.yaml", "http: &a {rules: [*a]}", "rules"),
        ("r.yaml", "http: &a [*a]", "r.yaml"),
        ("r.yaml", "http: {rules: [{selektor: a}]}", "selektor"),
        ("r.yaml", "http: {rules: [{selector: a, get: 2001-01-01}]}", "date"),
        ("r.yaml", "http: {rules: {selector: a}}", "rules"),
        ("r.yaml", "http: {rules: [{selector: a, get: /a, post: /a}]}", "oneof"),
        ("r.json", "http: {rules: []}", "is not JSON"),
    ],
)
def test_a_rules_file_that_cannot_be_used_is_named_in_one_line(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(RuleError, match=words) as refused:
        read_rules_file(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
