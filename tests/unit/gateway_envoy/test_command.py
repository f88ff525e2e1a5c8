"""`windlass envoy-config`: what it writes, and in which words it refuses."""

import json

import pytest

from tests.support.contracts import HEALTH_RULES, health_contract
from tests.unit.gateway_envoy.test_config import manager, routes, transcoders
from windlass_server.gateway.envoy.__main__ import main


def printed(capsys, *arguments):
    assert main(arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_without_arguments_it_is_for_a_windlass_server_on_this_machine(capsys):
    config = printed(capsys)
    (listener,) = config["static_resources"]["listeners"]
    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 10000}
    names = {route["name"] for route in routes(config)}
    assert "gRPC windlass.jobs.v1.JobsService/GetJob" in names
    planned = "POST /v1/experiments: windlass.experiments.v1.ExperimentsService/CreateExperiment"
    assert planned in names
    assert not any("agents" in name for name in names)


def test_every_flag_is_seen_in_the_configuration(capsys, tmp_path):
    rules, out = tmp_path / "rules.yaml", tmp_path / "prepared.binpb"
    rules.write_text(HEALTH_RULES)
    config = printed(
        capsys,
        *("--descriptors", str(health_contract(tmp_path)), "--http-rules", str(rules)),
        *("--services", "grpc.health.v1.Health", "--descriptors-output", str(out)),
        *("--listen", "0.0.0.0:80", "--upstream", "api.internal:443", "--upstream-tls"),
        *("--admin", "127.0.0.1:9901", "--timeout", "5", "--max-body-bytes", "1000"),
        *("--json-names", "json", "--omit-defaults"),
    )
    assert config["admin"]["address"]["socket_address"]["port_value"] == 9901
    (cluster,) = config["static_resources"]["clusters"]
    assert cluster["transport_socket"]["typed_config"]["sni"] == "api.internal"
    (check,) = (r for r in routes(config) if r["name"] == "gRPC grpc.health.v1.Health/Check")
    assert check["route"]["max_stream_duration"]["max_stream_duration"] == "5.000s"
    for transcoder in transcoders(config).values():
        assert transcoder["proto_descriptor"] == str(out)
        assert transcoder["max_request_body_size"] == 1000
        assert transcoder["print_options"]["preserve_proto_field_names"] is False
        assert transcoder["print_options"]["always_print_primitive_fields"] is False
    assert b"grpc.health.v1" in out.read_bytes()
    assert manager(config)["stat_prefix"] == "http"


def test_it_is_written_to_a_file(tmp_path, capsys):
    out = tmp_path / "envoy.json"
    assert main(["--output", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(out.read_text())["static_resources"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--descriptors", "/nowhere.binpb"], "cannot read /nowhere.binpb"),
        (["--descriptors", __file__], "is not a descriptor set"),
        (["--services", "a.B"], "no service 'a.B'"),
        (["--output", "/nowhere/envoy.json"], "cannot write /nowhere/envoy.json"),
        (["--descriptors-output", "/nowhere/d"], "cannot write /nowhere/d"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, words, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("windlass envoy-config: ")
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--upstream", "api.internal:443"], "--upstream-tls"),
        (["--upstream", "localhost"], "HOST:PORT"),
        (["--timeout", "0"], "--timeout"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_flags_that_cannot_be_are_refused(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
