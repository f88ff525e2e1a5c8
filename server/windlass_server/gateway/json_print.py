"""Messages as JSON: enum names, integers of 64 bits as strings, RFC 3339 times, on one line.

Proto names and fields without presence always, unless a style says otherwise: what Envoy prints with
`preserve_proto_field_names` and `always_print_primitive_fields`.
"""

import json
from dataclasses import dataclass
from typing import Any

from protobuf import Message, Registry, message_to_json_value

from windlass_server.gateway.float_digits import has_floats, shorten


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """How messages look as JSON.

    Attributes:
        proto_names: fields have the names of the contract; else lowerCamelCase, or what the contract
            says that their JSON name is.
        defaults: fields without presence are printed also when they have their default value.
    """

    proto_names: bool = True
    defaults: bool = True


DEFAULT_STYLE = JsonStyle()


def print_message(message: Message, registry: Registry, style: JsonStyle = DEFAULT_STYLE) -> str:
    """The message on one line; raises ValueError when a part of it has no JSON."""
    if has_floats(message.desc()):
        return _dump(_value(message, registry, style))
    return message.to_json(
        registry=registry,
        always_emit_implicit=style.defaults,
        use_proto_field_name=style.proto_names,
    )


def print_field(
    message: Message, name: str, registry: Registry, style: JsonStyle = DEFAULT_STYLE
) -> str:
    """One field's value, named as it is printed; `null` when it is not set, if it has presence.

    Raises:
        ValueError: a part of it has no JSON.
    """
    value = _member(_value(message, registry, style), name)
    if value is None and not style.defaults:  # a value alone is printed also when it is the default
        value = _member(_value(message, registry, JsonStyle(style.proto_names)), name)
    return _dump(value)


def _value(message: Message, registry: Registry, style: JsonStyle) -> Any:
    value = message_to_json_value(
        message,
        registry=registry,
        always_emit_implicit=style.defaults,
        use_proto_field_name=style.proto_names,
    )
    return shorten(message.desc(), value) if has_floats(message.desc()) else value


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
