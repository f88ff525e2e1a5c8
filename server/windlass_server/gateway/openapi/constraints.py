"""protovalidate's rules on a field as keywords of its schema, and in words what has none."""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from protobuf import DescEnum

from windlass_server.gateway.openapi.constraint import Constraint
from windlass_server.gateway.openapi.number_rules import (
    bool_constraint,
    duration_constraint,
    enum_constraint,
    long_constraint,
    number_constraint,
    timestamp_constraint,
)
from windlass_server.gateway.openapi.options import Rules, given
from windlass_server.gateway.openapi.string_rules import bytes_constraint, string_constraint
from windlass_server.gateway.openapi.values import Json
from windlass_server.gateway.schema import FieldInfo, Shape

# protovalidate before 1.0 had two values for the first.
_IGNORE_IF_ZERO, _IGNORE_ALWAYS = (1, 2), 3

_KINDS: dict[str, Callable[[Rules], Constraint]] = {
    "string": string_constraint,
    "bytes": bytes_constraint,
    "bool": bool_constraint,
    "duration": duration_constraint,
    "timestamp": timestamp_constraint,
    **dict.fromkeys(("float", "double"), number_constraint),
    **dict.fromkeys(("int32", "uint32", "sint32", "fixed32", "sfixed32"), number_constraint),
    **dict.fromkeys(("int64", "uint64", "sint64", "fixed64", "sfixed64"), long_constraint),
}
_ZEROS: dict[str, Any] = {
    "string": "", "bytes": "", "bool": False, "repeated": [], "map": {},
    **dict.fromkeys(("float", "double", "int32", "uint32", "sint32", "fixed32", "sfixed32"), 0),
    **dict.fromkeys(("int64", "uint64", "sint64", "fixed64", "sfixed64"), "0"),
}  # fmt: skip


@dataclass(slots=True)
class Constrained:
    """A schema under its rules.

    Attributes:
        schema: the narrowed schema.
        notes: sentences about the rules that no keyword says.
        required: whether the field has to be there.
    """

    schema: Json
    notes: list[str] = field(default_factory=list)
    required: bool = False


def constrain(schema: Json, info: FieldInfo, rules: Any, *, has_presence: bool) -> Constrained:
    """The schema of a field's value under the field's rules.

    Args:
        schema: what the type alone allows.
        info: the field.
        rules: its `buf.validate.FieldRules`; None when there are none.
        has_presence: whether an absent field is told from one with the zero value; then rules hold
            only for what is there.
    """
    every = given(rules)
    ignore, wanted = int(every.get("ignore", 0)), bool(every.get("required"))
    if not every or ignore == _IGNORE_ALWAYS:
        return Constrained(schema)
    kind, typed = _typed(every)
    made = _constraint(kind, typed, info)
    made.notes += _expressions(every)
    if typed.get("example"):
        made.keywords["examples"] = [_example(kind, value) for value in typed["example"]]
    if wanted and not has_presence:
        _refuse_zero(made, kind, info)
    schema = _narrow_elements(schema, kind, typed, info, made.notes)
    if ignore in _IGNORE_IF_ZERO and not wanted:
        return Constrained(made.allow_zero(schema, _zero(kind, info)), made.notes)
    required = wanted or (made.refuses_zero and not has_presence)
    return Constrained(made.narrow(schema), made.notes, required)


def message_notes(rules: Rules) -> list[str]:
    """What the rules of a message as a whole say, in words."""
    return _expressions(rules)


def _typed(every: Rules) -> tuple[str, Rules]:
    """The kind of value that the rules are for, and the rules of that kind."""
    kind = next((kind for kind in (*_KINDS, "enum", "repeated", "map") if kind in every), "")
    return kind, given(every[kind]) if kind else {}


def _constraint(kind: str, typed: Rules, info: FieldInfo) -> Constraint:
    if kind == "enum" and isinstance(info.value, DescEnum):
        return enum_constraint(typed, info.value)
    if kind == "repeated":
        return _sized(typed, ("min_items", "minItems"), ("max_items", "maxItems"))
    if kind == "map":
        return _sized(typed, ("min_pairs", "minProperties"), ("max_pairs", "maxProperties"))
    make = _KINDS.get(kind)
    return make(typed) if make else Constraint()


def _example(kind: str, value: Any) -> Any:
    """An example as JSON writes it."""
    if kind in ("duration", "timestamp"):
        return json.loads(value.to_json())
    if kind == "bytes":
        return b64encode(value).decode()
    return str(value) if kind.endswith("64") else value


def _sized(typed: Rules, low: tuple[str, str], high: tuple[str, str]) -> Constraint:
    """The bounds on the number of elements."""
    keywords = {keyword: typed[rule] for rule, keyword in (low, high) if typed.get(rule)}
    if typed.get("unique"):
        keywords["uniqueItems"] = True
    return Constraint(keywords, refuses_zero=typed.get(low[0], 0) > 0)


def _narrow_elements(
    schema: Json, kind: str, typed: Rules, info: FieldInfo, notes: list[str]
) -> Json:
    """The schema with the rules on elements, keys and values."""
    narrowed = dict(schema)
    if kind == "repeated" and "items" in typed:
        narrowed["items"] = _element(schema["items"], info, typed["items"], notes)
    if kind == "map" and "values" in typed:
        values = schema["additionalProperties"]
        narrowed["additionalProperties"] = _element(values, info, typed["values"], notes)
    if kind == "map" and "keys" in typed:
        narrowed["propertyNames"] = _keys(schema.get("propertyNames", {}), typed["keys"], notes)
    return narrowed


def _element(schema: Json, info: FieldInfo, rules: Any, notes: list[str]) -> Json:
    one = FieldInfo(info.field, Shape.ONE, info.value, None)
    made = constrain(schema, one, rules, has_presence=True)
    notes += made.notes
    return made.schema


def _keys(schema: Json, rules: Any, notes: list[str]) -> Json:
    """The schema of a map's keys, which are strings in JSON whatever they are in the message."""
    every = given(rules)
    kind, typed = _typed(every)
    notes += _expressions(every)
    if kind != "string":
        return schema
    made = string_constraint(typed)
    notes += made.notes
    return made.narrow(schema)


def _refuse_zero(made: Constraint, kind: str, info: FieldInfo) -> None:
    """Narrow to what is not the zero value, which is what `required` asks where presence is not told."""
    made.refuses_zero = True
    if info.shape is not Shape.ONE:
        keyword = "minItems" if info.shape is Shape.LIST else "minProperties"
        made.keywords.setdefault(keyword, 1)
    elif isinstance(info.value, DescEnum):
        names = [value.name for value in info.value.values if value.number != 0]
        allowed = made.keywords.get("enum", names)
        made.keywords["enum"] = [name for name in names if name in allowed]
    else:
        zero = _zero(kind, info)
        if zero == "":
            made.keywords.setdefault("minLength", 1)
        elif zero is not None:
            made.others.append({"not": {"const": zero}})


def _zero(kind: str, info: FieldInfo) -> Any:
    """The zero value as JSON writes it; None where there is none to tell."""
    if info.shape is Shape.ONE and isinstance(info.value, DescEnum):
        return next((value.name for value in info.value.values if value.number == 0), None)
    name = getattr(info.value, "name", "").lower() if info.shape is Shape.ONE else info.shape.value
    return _ZEROS.get(kind or {"list": "repeated"}.get(name, name))


def _expressions(rules: Rules) -> list[str]:
    """What rules in CEL ask for: their messages, or the expressions where there is none."""
    notes = []
    for rule in rules.get("cel", ()):
        said = given(rule)
        text = said.get("message") or f"`{said.get('expression', '')}`"
        notes.append(text[0].upper() + text[1:].removesuffix(".") + ".")
    notes += [f"`{expression}`." for expression in rules.get("cel_expression", ())]
    return notes
