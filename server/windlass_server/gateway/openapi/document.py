"""The OpenAPI 3.1 document of a served contract."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protobuf import DescFile, Registry

from windlass_server.gateway.http_rules import HttpRule, read_rules
from windlass_server.gateway.json_print import DEFAULT_STYLE, JsonStyle
from windlass_server.gateway.openapi.comments import Comments
from windlass_server.gateway.openapi.operations import (
    BoundMethod,
    Operations,
    input_roots,
    output_roots,
)
from windlass_server.gateway.openapi.options import Options
from windlass_server.gateway.openapi.parameters import Parameters
from windlass_server.gateway.openapi.paths import openapi_path, renamed
from windlass_server.gateway.openapi.responses import STATUS, Responses
from windlass_server.gateway.openapi.schemas import Schemas, reachable
from windlass_server.gateway.openapi.values import Json
from windlass_server.gateway.routes import ANY_METHOD
from windlass_server.gateway.schema import Schema
from windlass_server.gateway.template import parse

_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH")
_FIXED = frozenset(_METHODS) | {"HEAD", "OPTIONS", "TRACE"}
_SECURITY = "bearer"
_PLACEHOLDER = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class About:
    """What a contract's page says that its descriptors do not.

    Attributes:
        title: the API's name.
        version: of what serves it.
        description: what it is for, in CommonMark.
        credential: what callers authenticate with, as a bearer token; empty when nothing is needed.
        credential_required: whether a call without one is refused, unless its method is public.
        authz_extension: full name of the method option whose message has `public` (no credential is
            needed) and `permission` (what the caller must hold).
        domain: domain of the gateway's own errors.
    """

    title: str
    version: str
    description: str = ""
    credential: str = ""
    credential_required: bool = True
    authz_extension: str | None = None
    domain: str = ""


def openapi_document(
    registry: Registry,
    services: Sequence[str],
    about: About,
    *,
    planned_extension: str | None = None,
    style: JsonStyle = DEFAULT_STYLE,
) -> Json:
    """Make the document, of the descriptors alone.

    Args:
        registry: the contract.
        services: full names of the services that are served.
        about: what the descriptors do not say.
        planned_extension: full name of the option that lists planned routes; they are listed as
            `x-planned-routes`, since an operation that only fails is of no use to a client.
        style: how the gateway writes JSON.

    Raises:
        RuleError, TemplateError: the contract cannot be served.
    """
    rules = read_rules(registry, services, planned_extension)
    bound = _bind(rules)
    schema = Schema(registry)
    comments = Comments(
        file
        for name in services
        if (service := registry.service(name))
        for file in _files(service.file)
    )
    options = Options(registry, about.authz_extension)
    inputs = reachable(schema, (root for each in bound for root in input_roots(each, schema)))
    outputs = reachable(schema, (root for each in bound for root in output_roots(each, schema)))
    schemas = Schemas(schema, comments, options, style, frozenset(inputs & outputs))
    responses = Responses(registry, schemas, style, about.domain)
    parameters = Parameters(schema, schemas, options)
    operations = Operations(
        schema,
        comments,
        options,
        schemas,
        parameters,
        responses,
        secured=bool(about.credential) and about.credential_required,
    )
    tags = _tags([each.rule.rpc.rpartition("/")[0] for each in bound])
    paths: dict[str, Json] = {}
    for each in bound:
        _place(paths, each, operations, tags[each.rule.rpc.rpartition("/")[0]])
    status = responses.status_schema()
    made: Json = {
        "openapi": "3.1.1",
        "info": {
            "title": about.title,
            "version": about.version,
            "description": about.description,
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": tag, "description": comments.of(service)}
            for name, tag in tags.items()
            if (service := registry.service(name)) is not None
        ],
        "paths": paths,
        "components": {
            "schemas": schemas.components() | {STATUS: status},
            "responses": responses.components(),
            "headers": responses.headers(),
        },
    }
    if about.credential:
        without: list[Json] = [] if about.credential_required else [{}]
        made["security"] = [*without, {_SECURITY: []}]
        scheme = {"type": "http", "scheme": "bearer", "description": about.credential}
        made["components"]["securitySchemes"] = {_SECURITY: scheme}
    planned = [_planned(rule) for rule in rules if rule.method is None]
    if planned:
        made["x-planned-routes"] = planned
    return made


def _bind(rules: Sequence[HttpRule]) -> list[BoundMethod]:
    """The served bindings; those of one shape share the names of their placeholders.

    OpenAPI takes `/things/{name}` and `/things/{id}` for the same path, of which it allows one.
    """
    texts: dict[str, str] = {}
    bound = []
    for rule in rules:
        if rule.method is None:
            continue
        path = openapi_path(parse(rule.path))
        text = texts.setdefault(_PLACEHOLDER.sub("{}", path.text), path.text)
        bound.append(BoundMethod(rule, rule.method, renamed(path, text)))
    return bound


def _place(paths: dict[str, Json], bound: BoundMethod, operations: Operations, tag: str) -> None:
    """Put a binding's operation, or operations, where OpenAPI wants them."""
    item = paths.setdefault(bound.path.text, {})
    methods = _METHODS if bound.rule.http_method == ANY_METHOD else (bound.rule.http_method,)
    for method in methods:
        operation = operations.make(bound, tag)
        if method in _FIXED:
            item[method.lower()] = operation
        else:  # as tools write OpenAPI 3.2's `additionalOperations` in a document of 3.1
            item.setdefault("x-oai-additionalOperations", {})[method] = operation


def _files(file: DescFile) -> Iterator[DescFile]:
    """The file and all that it imports."""
    seen: set[str] = set()
    waiting = [file]
    while waiting:
        each = waiting.pop()
        if each.name not in seen:
            seen.add(each.name)
            yield each
            waiting += each.dependencies


def _tags(services: Sequence[str]) -> dict[str, str]:
    """A tag for each service: its short name where that is unique."""
    names = list(dict.fromkeys(services))
    short = [name.rpartition(".")[2] for name in names]
    return {
        name: brief if short.count(brief) == 1 else name
        for name, brief in zip(names, short, strict=True)
    }


def _planned(rule: HttpRule) -> Json:
    path = openapi_path(parse(rule.path)).text
    return {"method": rule.http_method, "path": path, "rpc": rule.rpc}
