"""HTTP requests to request messages and response messages to JSON.

Every HTTP rule is compiled once, at the start, into an immutable `Binding` whose methods do only
what depends on the request. Messages are dynamic types of the descriptor set; both ends of the
gateway are bytes.

JSON out has enum names, 64-bit integers as strings and RFC 3339 times; its style says which names
fields have, and whether defaults are shown. JSON in takes both names of a field and enum names in any
case.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from protobuf import DescMessage, DescMethod, Message, Registry
from protobuf.wkt import FileDescriptorSet

from windlass_server.gateway.errors import (
    Refusal,
    Violation,
    bad_field,
    bad_fields,
    bad_request,
)
from windlass_server.gateway.fields import UnknownField, resolve
from windlass_server.gateway.http_body import FileBytes, HttpBodyPlace, find_http_body
from windlass_server.gateway.http_rules import HttpRule, RuleError
from windlass_server.gateway.json_body import PARSE_ERRORS, JsonReader
from windlass_server.gateway.json_locate import missing_field
from windlass_server.gateway.json_print import (
    DEFAULT_STYLE,
    JsonStyle,
    print_field,
    print_message,
)
from windlass_server.gateway.limits import MethodLimits, read_limits
from windlass_server.gateway.page_print import PagePrinter, Printer
from windlass_server.gateway.params import ParameterError, PathParameters, QueryParameters
from windlass_server.gateway.printers import Printers
from windlass_server.gateway.remembered import Memory, Remembered
from windlass_server.gateway.schema import FieldInfo, Schema, Shape
from windlass_server.gateway.template import Template

WHOLE = "*"

# Of messages of streams and their JSON: for who follows the same, not for who comes later.
_ITEMS_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One message of a stream: its JSON on one line, and the position behind it, if it has one."""

    json: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Binding:
    """One HTTP binding of one RPC, compiled.

    Attributes:
        rpc: `package.Service/Method`.
        grpc_method: the name that the dispatcher takes, `/package.Service/Method`.
        client_streams: whether the request is a stream of messages.
        streaming: whether the server streams its answer.
        takes_body: whether the rule has a body.
        limits: what a call may cost.
        file_in: where the request holds the body as it is, a file; None when the body is JSON.
        file_out: where the response holds a file that is the answer; None when the answer is JSON.
        plain: whether it takes one message and answers one, both as JSON.
    """

    rpc: str
    grpc_method: str
    client_streams: bool
    streaming: bool
    takes_body: bool
    limits: MethodLimits
    file_in: HttpBodyPlace | None
    file_out: HttpBodyPlace | None
    plain: bool
    _registry: Registry
    _style: JsonStyle
    _request: DescMessage
    _response: type[Message]
    _path: PathParameters
    _query: QueryParameters
    _body: FieldInfo | None
    _json: JsonReader
    _narrow: str
    _printer: Printer
    _items: Remembered[StreamItem]
    _cursor_in: FieldInfo | None
    _cursor_out: FieldInfo | None
    _filename: FieldInfo | None

    @property
    def one_each_way(self) -> bool:
        """Whether it takes one message and answers one."""
        return not (self.streaming or self.client_streams)

    def request(
        self, values: Sequence[str], query: str, body: bytes, *, resume_after: str = ""
    ) -> bytes:
        """Make the request message.

        Args:
            values: decoded values of the path's variables.
            query: the raw query string.
            body: the body; empty when there is none, which means `{}`.
            resume_after: position of a broken stream to go on behind; wins over the query.

        Raises:
            Refusal: INVALID_ARGUMENT naming what is wrong.
        """
        if not (body or query or resume_after):
            serialized = self.request_of_path(values)
            if serialized is not None:
                return serialized
        message, refused = self._begin(body)
        if query:
            refused += self._query.bind(message, query)
        if resume_after and self._cursor_in is not None:
            message[self._cursor_in.field] = resume_after
        if values:
            refused += self._path.bind(message, values)
        if refused:
            refusal = bad_fields(refused[0].reason, refused)
            refusal.rest = _rest(message)
            raise refusal
        return _serialized(message)

    def request_of_path(self, values: Sequence[str]) -> bytes | None:
        """Make the request message of a path alone; None when that can fail, or takes a body."""
        return None if self.takes_body else self._path.serialized(values)

    def _begin(self, body: bytes) -> tuple[Message, list[Violation]]:
        """The message of the body, as far as it can be read, and what is wrong with it."""
        try:
            return self._read(body) if body else self._empty(), []
        except Refusal as refusal:
            if refusal.rest is None:
                raise
            return self._request.type.from_binary(refusal.rest), list(refusal.violations)

    def element(self, body: bytes) -> bytes:
        """Make a later message of a client's stream, of its body alone; raises Refusal."""
        return _serialized(self._read(body))

    def file_request(
        self,
        values: Sequence[str],
        query: str,
        fields: Sequence[tuple[str, str]],
        content_type: str,
        filename: str,
        data: bytes,
    ) -> bytes:
        """Make the request message of a file, or the first of its messages.

        Args:
            values: decoded values of the path's variables.
            query: the raw query string.
            fields: names and values of a form's fields, which count as query parameters.
            content_type: the file's; may be empty.
            filename: the file's; may be empty.
            data: its bytes, or the first of them.

        Raises:
            Refusal: INVALID_ARGUMENT naming what is wrong.
        """
        assert self.file_in is not None
        message = self._request.type()
        refused = self._query.bind(message, query, fields)
        refused += self._path.bind(message, values)
        if refused:
            raise bad_fields(refused[0].reason, refused)
        named = self._filename
        if filename and named is not None and not message[named.field]:
            message[named.field] = filename
        self.file_in.put(message, content_type, data)
        return _serialized(message)

    def file_chunk(self, data: bytes) -> bytes:
        """Make a later message of a file."""
        assert self.file_in is not None
        message = self._request.type()
        self.file_in.put(message, "", data)
        return _serialized(message)

    def file(self, message: bytes) -> FileBytes:
        """The file, or the part of it, in a response message; raises ValueError when it is none."""
        assert self.file_out is not None
        return self.file_out.take(self._response.from_binary(message))

    def response(self, message: bytes) -> bytes:
        """The JSON of a response message; raises ValueError when it is none."""
        return self._printer(message)

    async def long_response(self, message: bytes) -> bytes:
        """The same; while a long page is printed others get their turns."""
        if isinstance(self._printer, PagePrinter):
            return await self._printer.in_turns(message)
        return self._printer(message)

    def item(self, message: bytes) -> StreamItem:
        """The JSON of one message of a stream; raises ValueError when it is none."""
        return self._items(message)

    def _read(self, body: bytes) -> Message:
        if not self.takes_body:
            raise bad_request("BODY_NOT_ALLOWED", "this method takes no body")
        if self._body is None:
            return self._json.read(self._request, body)
        message = self._json.read(self._request, body, self._body.field.name)
        if self._needs_object and message[self._body.field] is None:
            refusal = bad_field("INVALID_FIELD_VALUE", self._body.field.name, "must be an object")
            refusal.rest = _rest(message)
            raise refusal
        return message

    def _empty(self) -> Message:
        """The request without a body, which is as if it were `{}`."""
        message = self._request.type()
        if self._body is not None and self._needs_object and self._body.object is not None:
            message[self._body.field] = self._body.object.type()
        return message

    @property
    def _needs_object(self) -> bool:
        """Whether the body is the object of one message."""
        body = self._body
        return body is not None and body.shape is Shape.ONE and body.object is not None


class Transcoder:
    """Compiles HTTP rules over a descriptor set.

    Args:
        descriptor_set: a serialized `google.protobuf.FileDescriptorSet` with all imports.
        style: how answers look as JSON.
        limits_extension: full name of the method option that holds its limits; see `limits`.

    Raises:
        ValueError: the descriptor set is none, or not complete.
    """

    def __init__(
        self,
        descriptor_set: bytes,
        style: JsonStyle = DEFAULT_STYLE,
        limits_extension: str | None = None,
    ) -> None:
        self.registry = _registry(descriptor_set)
        self._schema = Schema(self.registry)
        self._json = JsonReader(self._schema)
        self._style = style
        self._printers = Printers(self.registry, self._schema, style)
        self._items = Memory(_ITEMS_BYTES)
        self._limits_extension = limits_extension

    def compile(self, rule: HttpRule, method: DescMethod, template: Template) -> Binding:
        """Compile a rule of a method that is served.

        Raises:
            RuleError: the template or a body names a field that cannot hold it.
        """
        request, response = method.input, method.output
        body = self._field(rule, request, rule.body) if rule.body not in ("", WHOLE) else None
        narrow = self._field(rule, response, rule.response_body) if rule.response_body else None
        names = [variable.field for variable in template.variables]
        try:
            path = PathParameters(self._schema, request, names)
        except ParameterError as error:
            raise RuleError(f"{rule.rpc}: {rule.path}: {error}") from error
        name = self._printed_name(narrow) if narrow else ""
        taken = path.names | ({body.field.name} if body else set())
        file_in = _file_place(request, body) if rule.body else None
        file_out = _file_place(response, narrow)
        return Binding(
            rpc=rule.rpc,
            grpc_method=f"/{rule.rpc}",
            client_streams=method.method_kind in ("client_streaming", "bidi_streaming"),
            streaming=method.method_kind in ("server_streaming", "bidi_streaming"),
            takes_body=rule.body != "",
            limits=read_limits(self.registry, method, self._limits_extension),
            file_in=file_in,
            file_out=file_out,
            plain=method.method_kind == "unary" and not (file_in or file_out),
            _registry=self.registry,
            _style=self._style,
            _request=request,
            _response=response.type,
            _path=path,
            _query=QueryParameters(self._schema, request, taken, closed=rule.body == WHOLE),
            _body=body,
            _json=self._json,
            _narrow=name,
            _printer=(
                self._printers.field(response, name) if name else self._printers.whole(response)
            ),
            _items=self._items.remember(self._item_maker(response, name), lambda i: len(i.json)),
            _cursor_in=self._text_field(request, "cursor"),
            _cursor_out=self._text_field(response, "cursor"),
            _filename=self._text_field(request, "filename")
            or self._text_field(request, "file_name"),
        )

    def _field(self, rule: HttpRule, message: DescMessage, name: str) -> FieldInfo:
        """The top-level field that holds a body."""
        try:
            path = resolve(self._schema, message, name)
        except UnknownField:
            raise RuleError(f"{rule.rpc}: {message.type_name} has no field {name}") from None
        if path.parents:
            raise RuleError(f"{rule.rpc}: the body {name} is not a top-level field")
        if path.name != name:
            raise RuleError(f"{rule.rpc}: a rule names the field {name} {path.name}")
        return path.leaf

    def _item_maker(self, response: DescMessage, name: str) -> Callable[[bytes], StreamItem]:
        cursor = self._text_field(response, "cursor")

        def made(serialized: bytes) -> StreamItem:
            message = response.type.from_binary(serialized)
            if name:
                text = print_field(message, name, self.registry, self._style)
            else:
                text = print_message(message, self.registry, self._style)
            return StreamItem(text, message[cursor.field] if cursor else "")

        return made

    def _printed_name(self, info: FieldInfo) -> str:
        return info.field.name if self._style.proto_names else info.field.json_name

    def _text_field(self, message: DescMessage, name: str) -> FieldInfo | None:
        info = self._schema.fields(message).get(name)
        if info is None or info.shape is not Shape.ONE or info.oneof is not None:
            return None
        return info if str(getattr(info.value, "name", "")) == "STRING" else None


@lru_cache(maxsize=16)
def _registry(descriptor_set: bytes) -> Registry:
    """What a contract describes, read once: types that were made of it live as long as the process."""
    return FileDescriptorSet.from_binary(descriptor_set).to_registry()


def _file_place(message: DescMessage, body: FieldInfo | None) -> HttpBodyPlace | None:
    if body is None:
        return find_http_body(message, None, None)
    return find_http_body(message, body.field, body.object if body.shape is Shape.ONE else None)


def _serialized(message: Message) -> bytes:
    try:
        return message.to_binary()
    except PARSE_ERRORS as error:
        if (name := missing_field(error)) is not None:
            raise bad_field("REQUIRED_FIELD_NOT_SET", name, "must be set") from None
        raise bad_request("INVALID_FIELD_VALUE", f"a value is out of range: {error}") from None


def _rest(message: Message) -> bytes | None:
    """What could be read of a request that is refused; None when that is not a message by itself."""
    try:
        return message.to_binary()
    except PARSE_ERRORS:
        return None
