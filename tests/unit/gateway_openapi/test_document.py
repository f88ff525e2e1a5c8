import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.gateway import PLANNED, SAMPLE_SERVICE, WINDLASS_SERVICES
from tests.support.openapi import operations
from windlass_server.gateway.http_rules import read_rules
from windlass_server.gateway.openapi.document import About, openapi_document
from windlass_server.gateway.openapi.paths import openapi_path
from windlass_server.gateway.routes import ANY_METHOD
from windlass_server.gateway.template import parse
from windlass_server.gateway.transcoder import Transcoder

EVERY = ("GET", "PUT", "POST", "DELETE", "PATCH")


@pytest.fixture(scope="module")
def documents(catalog, sample_set, windlass_set):
    return {
        "catalog": catalog,
        "sample": openapi_document(
            Transcoder(sample_set).registry, [SAMPLE_SERVICE], About("Sample", "1")
        ),
        "windlass": openapi_document(
            Transcoder(windlass_set).registry,
            WINDLASS_SERVICES,
            About("windlass", "1", credential="An API key."),
            planned_extension=PLANNED,
        ),
    }


@pytest.fixture(params=["catalog", "sample", "windlass"])
def document(request, documents):
    return documents[request.param]


def test_the_document_is_valid_openapi(document):
    errors = list(OpenAPIV31SpecValidator(document).iter_errors())
    assert not errors, "\n".join(str(error) for error in errors)


def test_every_schema_is_valid_json_schema(document):
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere_and_every_component_is_referred_to(document):
    found = set(_references(document))
    for reference in found:
        target = document
        for key in reference.removeprefix("#/").split("/"):
            target = target[key]
    kinds = ("schemas", "responses", "headers")
    made = {
        f"#/components/{kind}/{name}" for kind in kinds for name in document["components"][kind]
    }
    unused = {name for name in made - found if "/responses/" not in name}
    assert not unused


def test_no_two_operations_have_the_same_id(document):
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_operation_names_its_method_and_a_listed_tag(document):
    tags = {tag["name"] for tag in document["tags"]}
    for _, _, operation in operations(document):
        assert set(operation["tags"]) <= tags
        assert operation["summary"]


@pytest.mark.parametrize("name", ["catalog", "sample", "windlass"])
def test_every_served_route_is_an_operation_and_nothing_else_is(
    name, documents, catalog_set, sample_set, windlass_set
):
    given = {
        "catalog": (catalog_set, ["sample.v1.CatalogService", "sample.v1.RuledService"]),
        "sample": (sample_set, [SAMPLE_SERVICE]),
        "windlass": (windlass_set, WINDLASS_SERVICES),
    }
    rules = read_rules(Transcoder(given[name][0]).registry, given[name][1])
    served = sorted(
        (method, _nameless(rule.path), rule.rpc)
        for rule in rules
        for method in (EVERY if rule.http_method == ANY_METHOD else (rule.http_method,))
    )
    listed = sorted(
        (method, _emptied(path), operation["x-grpc-method"])
        for method, path, operation in operations(documents[name])
    )
    assert listed == served


def test_planned_routes_are_listed_apart(documents):
    planned = documents["windlass"]["x-planned-routes"]
    assert {
        "method": "GET",
        "path": "/v1/deployments/{deployment_id}/metrics",
        "rpc": "windlass.deployments.v1.DeploymentsService/GetDeploymentMetrics",
    } in planned
    listed = {(method, path) for method, path, _ in operations(documents["windlass"])}
    assert not listed & {(each["method"], each["path"]) for each in planned}
    assert "x-planned-routes" not in documents["sample"]


def test_a_contract_without_a_credential_asks_for_none(documents):
    document = documents["sample"]
    assert "security" not in document
    assert "securitySchemes" not in document["components"]
    assert not any("401" in operation["responses"] for _, _, operation in operations(document))


def _nameless(path):
    return _emptied(openapi_path(parse(path)).text)


def _emptied(path):
    return "/".join(
        "{}" + part.partition("}")[2] if part.startswith("{") else part for part in path.split("/")
    )


def _references(value):
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each
            else:
                yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
