"""Contracts of others, as they are: Google's long-running operations, and every shape of ours."""

from pathlib import Path

import grpc_tools
import pytest
from google.api import annotations_pb2
from grpc_tools import protoc
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.openapi import compile_commented, operations
from windlass_server.gateway.openapi.document import About, openapi_document
from windlass_server.gateway.standalone.program import about
from windlass_server.gateway.transcoder import Transcoder

OURS = {
    "sample/v1/sample.proto": ["sample.v1.ShelfService"],
    "sample/v1/streams.proto": ["sample.v1.StreamService", "sample.v1.BlobService"],
}


def valid(document):
    errors = [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert not errors, "\n".join(errors)
    return document


@pytest.fixture(scope="module")
def googles(tmp_path_factory):
    """Services of googleapis-common-protos, whose sources come with comments."""
    target = tmp_path_factory.mktemp("google") / "google.binpb"
    command = [
        "protoc",
        f"--proto_path={Path(annotations_pb2.__file__).parents[2]}",
        f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
        f"--descriptor_set_out={target}",
        "--include_imports",
        "--include_source_info",
        *("google/longrunning/operations_proto.proto", "google/cloud/location/locations.proto"),
        *("google/rpc/error_details.proto", "google/rpc/status.proto"),
    ]
    assert protoc.main(command) == 0
    return Transcoder(target.read_bytes()).registry


def test_long_running_operations_of_google(googles):
    document = valid(
        openapi_document(googles, ["google.longrunning.Operations"], About("Operations", "v1"))
    )
    found = {(method, path) for method, path, _ in operations(document)}
    assert found == {
        ("GET", "/v1/operations"),
        ("GET", "/v1/operations/{operations_path}"),
        ("DELETE", "/v1/operations/{operations_path}"),
        ("POST", "/v1/operations/{operations_path}:cancel"),
    }
    listed = document["paths"]["/v1/operations"]["get"]["parameters"]
    names = {each["name"] for each in listed}
    assert {"filter", "page_size", "page_token"} <= names
    assert "name" not in names
    got = document["paths"]["/v1/operations/{operations_path}"]["get"]
    assert got["summary"] == "Gets the latest state of a long-running operation"
    operation = document["components"]["schemas"]["google.longrunning.Operation"]
    assert operation["properties"]["error"]["$ref"] == "#/components/schemas/google.rpc.Status"


def test_locations_of_google(googles):
    document = valid(
        openapi_document(googles, ["google.cloud.location.Locations"], About("Locations", "v1"))
    )
    assert {path for _, path, _ in operations(document)} == {
        "/v1/locations",
        "/v1/projects/{projects_id}/locations",
        "/v1/locations/{locations_id}",
        "/v1/projects/{projects_id}/locations/{locations_id}",
    }


@pytest.mark.parametrize("source", OURS)
def test_every_shape_that_the_gateway_serves(source, tmp_path):
    registry = Transcoder(compile_commented(tmp_path, source)).registry
    document = valid(openapi_document(registry, OURS[source], about(OURS[source])))
    assert list(operations(document))


@pytest.mark.parametrize(
    ("services", "title", "version"),
    [
        (["shop.v2.Carts"], "shop", "v2"),
        (["shop.v2beta1.Carts", "shop.v2beta1.Items"], "shop", "v2beta1"),
        (["big.shop.v1.Carts", "small.shop.v1.Carts"], "big.shop.v1, small.shop.v1", "unversioned"),
        (["shop.Carts"], "shop", "unversioned"),
        (["Carts"], "API", "unversioned"),
    ],
)
def test_a_contract_is_named_by_its_packages(services, title, version):
    made = about(services)
    assert (made.title, made.version) == (title, version)
