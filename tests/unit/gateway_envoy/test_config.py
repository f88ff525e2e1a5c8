"""The configuration of the sample contract, whole and in its parts."""

import re
from dataclasses import replace

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from tests.support.gateway import PLACE_SERVICE, STREAM_SERVICES
from tests.support.golden import FOLDER, envoy
from tests.unit.gateway_envoy.conftest import FRONT, SERVICES
from windlass_server.gateway.envoy.bootstrap import bootstrap
from windlass_server.gateway.envoy.descriptors import prepare
from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.serving import Address


def manager(config):
    (listener,) = config["static_resources"]["listeners"]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def transcoders(config):
    filters = manager(config)["http_filters"]
    named = {one["name"]: one["typed_config"] for one in filters}
    return {name: one for name, one in named.items() if name.startswith("windlass.transcoder.")}


def routes(config):
    return manager(config)["route_config"]["virtual_hosts"][0]["routes"]


def test_the_golden_configuration_is_what_the_contract_says():
    assert (FOLDER / "envoy.json").read_text() == envoy(), "run `make golden`"


def test_streams_have_a_transcoder_for_each_form_and_each_body_limit(config):
    limits = (4 << 20, 8 << 20)  # that of PlaceService.Large, and that of all others
    assert sorted(transcoders(config)) == sorted(
        f"windlass.transcoder.{form}.{limit}"
        for form in ("array", "lines", "events")
        for limit in limits
    )


def test_a_contract_without_streams_has_transcoders_of_one_form(sample_set):
    config = bootstrap(sample_set, [PLACE_SERVICE], FRONT)
    assert {name.split(".")[2] for name in transcoders(config)} == {"array"}


def test_only_the_router_is_on_by_default(config):
    filters = manager(config)["http_filters"]
    assert [one["name"] for one in filters if not one.get("disabled")] == [
        "envoy.filters.http.router"
    ]


def test_every_filter_that_a_route_switches_on_is_there(config):
    known = {one["name"] for one in manager(config)["http_filters"]}
    for route in routes(config):
        assert known.issuperset(route.get("typed_per_filter_config", {})), route["name"]


def test_only_routes_to_a_methods_own_path_switch_the_transcoder_on(config):
    for route in routes(config):
        on = any("transcoder" in name for name in route.get("typed_per_filter_config", {}))
        called = re.fullmatch(r"[A-Z*]+ /\S*: sample\.v1\.\w+/(\w+)", route["name"])
        assert on == (called is not None and called[1] != "BurnShelf"), route["name"]


def test_json_is_printed_as_the_style_says(sample_set):
    style = JsonStyle(proto_names=False, defaults=False)
    config = bootstrap(sample_set, SERVICES, replace(FRONT, json_style=style))
    for transcoder in transcoders(config).values():
        printing = transcoder["print_options"]
        assert printing["preserve_proto_field_names"] is False
        assert printing["always_print_primitive_fields"] is False


def test_the_descriptor_set_can_lie_in_a_file(sample_set):
    front = replace(FRONT, descriptor_path="/etc/envoy/api.binpb")
    for transcoder in transcoders(bootstrap(sample_set, SERVICES, front)).values():
        assert transcoder["proto_descriptor"] == "/etc/envoy/api.binpb"
        assert "proto_descriptor_bin" not in transcoder


@pytest.mark.parametrize("admin", [None, Address("127.0.0.1", 9901)])
def test_envoys_own_pages_are_there_when_asked_for(sample_set, admin):
    assert ("admin" in bootstrap(sample_set, SERVICES, replace(FRONT, admin=admin))) == bool(admin)


@pytest.mark.parametrize(
    ("host", "server_name", "kind"),
    [("api.internal", "api.internal", "DNS"), ("10.0.0.1", None, "IP_ADDRESS")],
)
def test_the_upstream_is_talked_to_in_tls_under_its_name(sample_set, host, server_name, kind):
    front = replace(FRONT, server=Address(host, 443), tls=True, ca_path="/ca.pem")
    (cluster,) = bootstrap(sample_set, SERVICES, front)["static_resources"]["clusters"]
    context = cluster["transport_socket"]["typed_config"]
    validation = context["common_tls_context"]["validation_context"]
    assert context.get("sni") == server_name
    assert validation["trusted_ca"] == {"filename": "/ca.pem"}
    assert validation["match_typed_subject_alt_names"] == [
        {"san_type": kind, "matcher": {"exact": host}}
    ]


def test_without_tls_the_upstream_is_talked_to_in_plain_text(config):
    (cluster,) = config["static_resources"]["clusters"]
    assert "transport_socket" not in cluster


def deadline(config, rpc):
    (route,) = (one for one in routes(config) if one["name"] == f"gRPC {rpc}")
    return route["route"]["max_stream_duration"]


def test_a_call_has_the_callers_deadline_within_the_methods_cap(config):
    shelf = "sample.v1.ShelfService"
    any_time = {"grpc_timeout_header_max": "0.000s"}
    capped = {"grpc_timeout_header_max": "0.250s", "max_stream_duration": "0.250s"}
    assert deadline(config, f"{shelf}/WatchThings") == any_time
    assert deadline(config, f"{shelf}/GetThing") == any_time | {"max_stream_duration": "60.000s"}
    assert deadline(config, f"{PLACE_SERVICE}/Hasty") == capped


def rules(descriptor_set, service):
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        for one in file.service:
            if f"{file.package}.{one.name}" == service:
                yield from (
                    binding
                    for method in one.method
                    for rule in [method.options.Extensions[annotations_pb2.http]]
                    for binding in (rule, *rule.additional_bindings)
                )


def streaming(descriptor_set, service):
    """The paths of GETs that are answered with a stream."""
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        for one in file.service:
            if f"{file.package}.{one.name}" == service:
                for method in one.method:
                    rule = method.options.Extensions[annotations_pb2.http]
                    if method.server_streaming:
                        yield from (each.get for each in (rule, *rule.additional_bindings))


def test_the_transcoder_is_given_head_beside_get_and_no_comments(sample_set):
    prepared = prepare(sample_set, SERVICES)
    for service in SERVICES:
        gets = {one.get for one in rules(sample_set, service) if one.get}
        own = {one.custom.path for one in rules(sample_set, service) if one.custom.kind == "HEAD"}
        found = [one.custom.path for one in rules(prepared, service) if one.custom.kind == "HEAD"]
        assert sorted(found) == sorted((gets | own) - set(streaming(sample_set, service)))
    for file in descriptor_pb2.FileDescriptorSet.FromString(prepared).file:
        assert not file.HasField("source_code_info")


def test_the_transcoder_is_given_no_response_body_that_it_cannot_do(sample_set):
    prepared = prepare(sample_set, SERVICES)
    assert {one.response_body for one in rules(sample_set, SERVICES[0])} > {"", "tags"}
    assert {one.response_body for one in rules(prepared, SERVICES[0])} == {""}
    blobs = STREAM_SERVICES[1]
    assert {one.response_body for one in rules(prepared, blobs)} == {"", "content"}
