"""The operations: one for each HTTP binding of each served method."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from protobuf import DescMessage, DescMethod

from windlass_server.gateway.http_rules import HttpRule
from windlass_server.gateway.openapi.comments import Comments, split
from windlass_server.gateway.openapi.constraints import Constrained
from windlass_server.gateway.openapi.options import Options
from windlass_server.gateway.openapi.parameters import (
    IF_NONE_MATCH,
    LAST_EVENT_ID,
    RANGE,
    Parameters,
)
from windlass_server.gateway.openapi.paths import OpenApiPath
from windlass_server.gateway.openapi.responses import Responses
from windlass_server.gateway.openapi.schemas import Schemas, Side
from windlass_server.gateway.openapi.values import Json
from windlass_server.gateway.schema import Schema

WHOLE = "*"
HTTP_BODY = "google.api.HttpBody"
EMPTY = "google.protobuf.Empty"


@dataclass(frozen=True, slots=True)
class BoundMethod:
    """One HTTP binding of a served method, and its path in OpenAPI's form."""

    rule: HttpRule
    method: DescMethod
    path: OpenApiPath

    @property
    def streams_in(self) -> bool:
        """Whether the client sends a stream."""
        return self.method.method_kind in ("client_streaming", "bidi_streaming")

    @property
    def streams_out(self) -> bool:
        """Whether the server answers with a stream."""
        return self.method.method_kind in ("server_streaming", "bidi_streaming")


class Operations:
    """Makes operation objects.

    Args:
        schema: descriptors.
        comments: the contract's.
        options: the contract's.
        schemas: takes up what operations refer to.
        parameters: makes their parameters.
        responses: makes their answers.
        secured: whether calls need a credential where their method does not say otherwise.
    """

    def __init__(
        self,
        schema: Schema,
        comments: Comments,
        options: Options,
        schemas: Schemas,
        parameters: Parameters,
        responses: Responses,
        *,
        secured: bool,
    ) -> None:
        self._schema = schema
        self._comments = comments
        self._options = options
        self._schemas = schemas
        self._parameters = parameters
        self._responses = responses
        self._secured = secured
        self._ids: Counter[str] = Counter()

    def make(self, bound: BoundMethod, tag: str) -> Json:
        """The operation of a binding."""
        method = bound.method
        authz = self._options.authz(method)
        public = bool(authz.get("public")) or not self._secured
        comment = split(self._comments.of(method))
        made: Json = {"tags": [tag], "operationId": self._operation_id(tag, method)}
        made["summary"] = comment.summary or method.name
        if description := _description(comment.description, str(authz.get("permission", ""))):
            made["description"] = description
        if parameters := self._all_parameters(bound):
            made["parameters"] = parameters
        body = self._body(bound)
        if body is not None:
            made["requestBody"] = body
        made["responses"] = {
            **self._success(bound),
            **self._responses.errors(_statuses(bound, public=public, has_body=body is not None)),
        }
        if self._secured and public:
            made["security"] = []
        if method.deprecated:
            made["deprecated"] = True
        made["x-grpc-method"] = bound.rule.rpc
        return made

    def _operation_id(self, tag: str, method: DescMethod) -> str:
        name = f"{tag.replace('.', '_')}_{method.name}"
        self._ids[name] += 1
        return name if self._ids[name] == 1 else f"{name}_{self._ids[name]}"

    def _all_parameters(self, bound: BoundMethod) -> list[Json]:
        request = bound.method.input
        made = [self._parameters.of_path(request, each) for each in bound.path.parameters]
        if bound.rule.body != WHOLE:
            taken = bound.path.fields | ({bound.rule.body} if bound.rule.body else set())
            made += self._parameters.of_query(request, taken)
        if self._answers_file(bound):
            return [*made, RANGE, IF_NONE_MATCH] if bound.rule.http_method == "GET" else made
        if bound.streams_out and "cursor" in self._schema.fields(request):
            made.append(LAST_EVENT_ID)
        return made

    def _body(self, bound: BoundMethod) -> Json | None:
        """The request body; None when there is none."""
        request = bound.method.input
        if not bound.rule.body:
            return None
        if bound.rule.body == WHOLE:
            return _file_body() if _is_file(request) else self._whole_body(bound)
        info = self._schema.fields(request)[bound.rule.body]
        if _is_file(info.value):
            made = Constrained({}, required=self._options.of_field(info.field).required)
            content = _file_body()
        else:
            made = self._schemas.field(info, Side.INPUT)
            content = _json_body(bound, made.schema)
        description = self._schemas.describe(info, made)
        described = {"description": description} if description else {}
        return described | {"required": made.required} | content

    def _whole_body(self, bound: BoundMethod) -> Json:
        """A body that is the whole request but for what the path binds."""
        request = bound.method.input
        top = frozenset(name for name in bound.path.fields if "." not in name)
        schema = self._schemas.object(request, Side.INPUT, without=top)
        required = bool(schema.get("required"))
        if not top:
            schema = self._schemas.message(request, Side.INPUT)
        return {"required": required} | _json_body(bound, schema)

    def _success(self, bound: BoundMethod) -> dict[str, Json]:
        """The answers that are no errors, by their statuses."""
        response = bound.method.output
        if self._answers_file(bound):
            return self._responses.file(in_parts=bound.rule.http_method == "GET")
        comment = self._comments.of(response)
        description = split(comment).summary or " ".join(comment.split()) or "The answer."
        if response.type_name == EMPTY:
            description = "An empty object"
        if bound.rule.response_body:
            info = self._schema.fields(response)[bound.rule.response_body]
            description = self._comments.of(info.field) or description
            schema = self._schemas.field(info, Side.OUTPUT).schema
        else:
            schema = self._schemas.message(response, Side.OUTPUT)
        if bound.streams_out:
            return {"200": self._responses.stream(f"A stream. {description}", schema)}
        return {"200": self._responses.unary(description, schema)}

    def _answers_file(self, bound: BoundMethod) -> bool:
        response = bound.method.output
        if not bound.rule.response_body:
            return _is_file(response)
        return _is_file(self._schema.fields(response)[bound.rule.response_body].value)


def input_roots(bound: BoundMethod, schema: Schema) -> Sequence[DescMessage]:
    """The messages whose JSON the body of a binding is made of."""
    request = bound.method.input
    if not bound.rule.body:
        return ()
    if bound.rule.body == WHOLE:
        infos = [schema.fields(request)[field.name] for field in request.fields]
        below = [info.object for info in infos if info.object is not None]
        return below if bound.path.fields else [request, *below]
    info = schema.fields(request)[bound.rule.body]
    return [info.object] if info.object is not None else ()


def output_roots(bound: BoundMethod, schema: Schema) -> Sequence[DescMessage]:
    """The messages whose JSON the answer of a binding is made of."""
    response = bound.method.output
    if not bound.rule.response_body:
        return [response]
    info = schema.fields(response)[bound.rule.response_body]
    return [info.object] if info.object is not None else ()


def _description(comment: str, permission: str) -> str:
    needs = f"Needs the permission `{permission}`." if permission else ""
    return "\n\n".join(part for part in (comment, needs) if part)


def _statuses(bound: BoundMethod, *, public: bool, has_body: bool) -> list[str]:
    """The statuses of errors that are worth a line of their own."""
    given = {
        "400": True,
        "401": not public,
        "403": not public,
        "404": bool(bound.path.parameters),
        "409": has_body,
        "413": has_body,
        "415": has_body,
        "429": True,
        "default": True,
    }
    return [status for status, is_given in given.items() if is_given]


def _is_file(value: object) -> bool:
    return isinstance(value, DescMessage) and value.type_name == HTTP_BODY


def _file_body() -> Json:
    """A body that is a file: as it is, or as a form sends it."""
    form = {
        "type": "object",
        "description": "One file, under any name; fields before it count as query parameters.",
        "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
        "required": ["file"],
    }
    return {"content": {"*/*": {"schema": {}}, "multipart/form-data": {"schema": form}}}


def _json_body(bound: BoundMethod, schema: Json) -> Json:
    """A body that is JSON: one value, or a stream of them."""
    if not bound.streams_in:
        return {"content": {"application/json": {"schema": schema}}}
    lines = {
        "schema": {"type": "string", "description": "One message per line."},
        "x-oai-itemSchema": schema,
    }
    array = {"schema": {"type": "array", "items": schema}}
    return {"content": {"application/json": array, "application/x-ndjson": lines}}
