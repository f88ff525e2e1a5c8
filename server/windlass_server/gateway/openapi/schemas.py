"""JSON Schemas of a contract's messages and enums.

A message looks different from its two sides. As it is sent (an input), fields may be left out unless
they are required, rules hold, and unknown fields are refused. As it is answered (an output), fields
without presence are always there, and later versions may add some. Where a message is both, its
input has a schema of its own.
"""

from collections.abc import Iterable
from enum import Enum
from itertools import combinations
from typing import Any

from protobuf import DescEnum, DescField, DescMessage, DescOneof, ScalarType

from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.openapi.comments import Comments
from windlass_server.gateway.openapi.constraints import Constrained, constrain, message_notes
from windlass_server.gateway.openapi.options import Options
from windlass_server.gateway.openapi.values import Json, nullable, scalar, well_known
from windlass_server.gateway.schema import WRAPPERS, FieldInfo, Schema, Shape

_IMPLICIT_PRESENCE = 2
_INTEGER_KEY = {"pattern": "^(0|-?[1-9][0-9]*)$"}
_BOOL_KEY = {"enum": ["true", "false"]}

Value = ScalarType | DescEnum | DescMessage


class Side(Enum):
    """Which way a message goes."""

    INPUT = "input"
    OUTPUT = "output"


class Schemas:
    """Makes the schemas, and collects those that others refer to.

    Args:
        schema: descriptors.
        comments: the contract's, which become descriptions.
        options: the contract's, which become constraints.
        style: how the gateway writes JSON.
        both: full names of the messages that are sent and answered.
    """

    def __init__(
        self,
        schema: Schema,
        comments: Comments,
        options: Options,
        style: JsonStyle,
        both: frozenset[str],
    ) -> None:
        self._schema = schema
        self._comments = comments
        self._options = options
        self._style = style
        self._both = both
        self._made: dict[str, Json] = {}

    def components(self) -> dict[str, Json]:
        """All schemas that were referred to, by their names, sorted."""
        return dict(sorted(self._made.items()))

    def name(self, field: DescField) -> str:
        """The field's name in JSON."""
        return field.name if self._style.proto_names else field.json_name

    def message(self, message: DescMessage, side: Side) -> Json:
        """A reference to the schema of a message, or its schema when it has no fields to name."""
        if message.type_name in WRAPPERS:
            return nullable(scalar(wrapped(message)))
        special = well_known(message.type_name)
        if special is not None:
            return special
        suffix = "-Input" if side is Side.INPUT and message.type_name in self._both else ""
        name = message.type_name + suffix
        if name not in self._made:
            self._made[name] = {}  # refers to itself, perhaps
            self._made[name] = self.object(message, side)
        return {"$ref": f"#/components/schemas/{name}"}

    def object(
        self, message: DescMessage, side: Side, *, without: frozenset[str] = frozenset()
    ) -> Json:
        """The schema of a message's JSON object, without some of its top-level fields."""
        made: Json = {"type": "object", "title": short_name(message)}
        notes = message_notes(self._options.message_rules(message)) if side is Side.INPUT else []
        _describe(made, self._comments.of(message), notes)
        fields = [field for field in message.fields if field.name not in without]
        required = []
        properties = {}
        for field in fields:
            name = self.name(field)
            properties[name], must = self._property(message, field, side)
            if must:
                required.append(name)
        made["properties"] = properties
        if required:
            made["required"] = required
        if side is Side.INPUT:
            made["additionalProperties"] = False
            self._exclude(made, message, without)
        if message.deprecated:
            made["deprecated"] = True
        return made

    def field(self, info: FieldInfo, side: Side) -> Constrained:
        """The schema of a field's value, under its rules where it is sent."""
        schema = self._shaped(info, side)
        if side is Side.OUTPUT:
            return Constrained(schema)
        options = self._options.of_field(info.field)
        if "OUTPUT_ONLY" in options.behaviors:
            return Constrained(schema)
        has_presence = int(info.field.presence) != _IMPLICIT_PRESENCE
        made = constrain(schema, info, options.rules, has_presence=has_presence)
        made.required = made.required or options.required
        return made

    def text(self, info: FieldInfo) -> Constrained:
        """The schema of a field in a path or a query, where nothing is null."""
        made = self.field(info, Side.INPUT)
        value = info.value
        if info.shape is not Shape.ONE or not isinstance(value, DescMessage):
            return made
        if value.type_name in WRAPPERS:
            made = Constrained(scalar(wrapped(value)), made.notes, made.required)
        return made

    def describe(self, info: FieldInfo, made: Constrained) -> str:
        """What people are told of a field."""
        # What the type says of itself, which the field's description hides.
        own = [made.schema["description"]] if "description" in made.schema else []
        target: Json = {}
        _describe(target, self._comments.of(info.field), [*own, *made.notes, *self._excluded(info)])
        return str(target.get("description", ""))

    def _property(self, message: DescMessage, field: DescField, side: Side) -> tuple[Json, bool]:
        """The schema of a property, and whether it has to be there."""
        info = self._schema.fields(message)[field.name]
        made = self.field(info, side)
        behaviors = self._options.of_field(field).behaviors
        annotations: Json = {}
        if description := self.describe(info, made):
            annotations["description"] = description
        if side is Side.INPUT and "OUTPUT_ONLY" in behaviors:
            annotations["readOnly"] = True
        if side is Side.INPUT and "INPUT_ONLY" in behaviors:
            annotations["writeOnly"] = True
        if field.deprecated:
            annotations["deprecated"] = True
        if side is Side.OUTPUT:
            implicit = int(field.presence) == _IMPLICIT_PRESENCE
            return made.schema | annotations, implicit and self._style.defaults
        return made.schema | annotations, made.required

    def _shaped(self, info: FieldInfo, side: Side) -> Json:
        value = self._value(info.value, side)
        if info.shape is Shape.LIST:
            return {"type": "array", "items": value}
        if info.shape is Shape.MAP:
            made = {"type": "object", "additionalProperties": value}
            key = getattr(info.field.value, "key", ScalarType.STRING)
            if key is not ScalarType.STRING:
                made["propertyNames"] = _BOOL_KEY if key is ScalarType.BOOL else _INTEGER_KEY
            return made
        return value

    def _value(self, value: Value, side: Side) -> Json:
        if isinstance(value, DescMessage):
            return self.message(value, side)
        if isinstance(value, DescEnum):
            return self._enum(value)
        return scalar(value)

    def _enum(self, enum: DescEnum) -> Json:
        if enum.type_name == "google.protobuf.NullValue":
            return {"type": "null"}
        if enum.type_name not in self._made:
            names = list(dict.fromkeys(value.name for value in enum.values))
            made: Json = {"type": "string", "title": short_name(enum), "enum": names}
            meanings = [(name, self._comments.of_value(enum, name)) for name in names]
            listed = "\n".join(
                f"- `{name}`: {' '.join(text.split())}" for name, text in meanings if text
            )
            _describe(made, self._comments.of(enum), [listed] if listed else [])
            if enum.deprecated:
                made["deprecated"] = True
            self._made[enum.type_name] = made
        return {"$ref": f"#/components/schemas/{enum.type_name}"}

    def _exclude(self, made: Json, message: DescMessage, without: frozenset[str]) -> None:
        """Say which fields exclude each other."""
        rules = []
        for oneof in message.oneofs:
            names = [self.name(each) for each in oneof.fields if each.name not in without]
            required = self._options.oneof_is_required(oneof)
            rules.append(_one_of(names, required=required and len(names) == len(oneof.fields)))
        by_name = {field.name: self.name(field) for field in message.fields}
        for rule in self._options.message_rules(message).get("oneof", ()):
            names = [by_name[name] for name in rule.fields if name not in without]
            rules.append(_one_of(names, required=rule.required))
        rules = [rule for rule in rules if rule]
        if rules:
            made["allOf"] = rules

    def _excluded(self, info: FieldInfo) -> Iterable[str]:
        """What a member of a oneof says of the others."""
        oneof: DescOneof | None = getattr(info.field.value, "oneof", None)
        if oneof is None:
            return
        others = [f"`{self.name(each)}`" for each in oneof.fields if each is not info.field]
        if others:
            yield f"Excludes {', '.join(others)}."


def reachable(schema: Schema, roots: Iterable[DescMessage]) -> set[str]:
    """The full names of the messages that are seen in the JSON of these."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        message = waiting.pop()
        if message.type_name in found:
            continue
        found.add(message.type_name)
        waiting += [
            info.object for info in schema.fields(message).values() if info.object is not None
        ]
    return found


def short_name(described: DescMessage | DescEnum) -> str:
    """The name within its package."""
    package = described.file.proto.package
    return described.type_name.removeprefix(f"{package}.") if package else described.type_name


def wrapped(message: DescMessage) -> ScalarType:
    """The scalar that a wrapper message wraps."""
    kind = getattr(message.fields[0].value, "scalar", None)
    assert isinstance(kind, ScalarType)
    return kind


def _one_of(names: list[str], *, required: bool) -> Json:
    """Members of a oneof exclude each other; empty where there is nothing to say."""
    if required:
        return {"oneOf": [{"required": [name]} for name in names]}
    pairs: list[Any] = [{"required": list(pair)} for pair in combinations(names, 2)]
    if not pairs:
        return {}
    return {"not": pairs[0] if len(pairs) == 1 else {"anyOf": pairs}}


def _describe(made: Json, comment: str, notes: list[str]) -> None:
    """Add the description: the comment, and what is known besides."""
    sentences = " ".join(note for note in notes if not note.startswith("- "))
    lists = [note for note in notes if note.startswith("- ")]
    text = "\n\n".join(part for part in (comment, sentences, *lists) if part)
    if text:
        made["description"] = text
