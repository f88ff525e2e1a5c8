"""OpenAPI documents of contracts, and what tests ask of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc_tools
from google.api import annotations_pb2
from grpc_tools import protoc
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.support.gateway import ROOT

Json = dict[str, Any]

CATALOG = "sample/v1/catalog.proto"


def compile_commented(out: Path, *sources: str) -> bytes:
    """The descriptor set of protos in tests/support/protos, with imports and comments."""
    target = out / "commented.binpb"
    includes = [
        ROOT / "tests/support/protos",
        Path(annotations_pb2.__file__).parents[2],
        Path(grpc_tools.__file__).parent / "_proto",
    ]
    command = [
        "protoc",
        *(f"--proto_path={each}" for each in includes),
        f"--descriptor_set_in={ROOT / 'gen/windlass.binpb'}",  # protovalidate's, and our options
        f"--descriptor_set_out={target}",
        "--include_imports",
        "--include_source_info",
        *sources,
        "google/rpc/error_details.proto",
        "google/rpc/status.proto",
    ]
    assert protoc.main(command) == 0, command
    return target.read_bytes()


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and operation of everything that the document lists."""
    for path, item in document["paths"].items():
        for key, operation in item.items():
            if key == "x-oai-additionalOperations":
                for method, other in operation.items():
                    yield method, path, other
            else:
                yield key.upper(), path, operation


def validator(document: Json, schema: Json) -> Draft202012Validator:
    """A validator for a schema whose references lead into the document."""
    registry: Registry[Any] = Registry().with_resource(
        "urn:document", Resource.from_contents(document, default_specification=DRAFT202012)
    )
    return Draft202012Validator(
        _rebased(schema),
        registry=registry,
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def closed(document: Json) -> Json:
    """The document with schemas that take no property but the declared ones.

    Details of errors stay open: each is an `allOf` of its message and its `@type`.
    """
    schemas = document["components"]["schemas"]
    made = {
        name: {"additionalProperties": False, **schema}
        if schema.get("type") == "object" and not name.startswith("google.rpc.")
        else schema
        for name, schema in schemas.items()
    }
    return {**document, "components": {**document["components"], "schemas": made}}


def _rebased(schema: Any) -> Any:
    """The schema with its references made absolute."""
    if isinstance(schema, dict):
        return {
            key: f"urn:document{value}" if key == "$ref" else _rebased(value)
            for key, value in schema.items()
        }
    return [_rebased(each) for each in schema] if isinstance(schema, list) else schema
