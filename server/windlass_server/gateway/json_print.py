"""Messages as JSON: enum names, integers of 64 bits as strings, RFC 3339 times, on one line.

Proto names and fields without presence always, unless a style says otherwise: what Envoy prints with
`preserve_proto_field_names` and `always_print_primitive_fields`.
"""

import json
from dataclasses import dataclass
from typing import Any

from protobuf import Message, Registry, message_to_json_value


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
    value = _members(message, registry, style).get(name)
    if value is None and not style.defaults:  # a value alone is printed also when it is the default
        value = _members(message, registry, JsonStyle(style.proto_names)).get(name)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _members(message: Message, registry: Registry, style: JsonStyle) -> dict[str, Any]:
    members = message_to_json_value(
        message,
        registry=registry,
        always_emit_implicit=style.defaults,
        use_proto_field_name=style.proto_names,
    )
    return members if isinstance(members, dict) else {}
