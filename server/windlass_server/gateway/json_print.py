"""Messages as JSON.

Proto names, fields without presence always, enum names, integers of 64 bits as strings: what Envoy
prints with `preserve_proto_field_names` and `always_print_primitive_fields`.
"""

import json

from protobuf import Message, Registry, message_to_json_value


def print_message(message: Message, registry: Registry) -> str:
    """The message on one line; raises ValueError when a part of it has no JSON."""
    return message.to_json(registry=registry, always_emit_implicit=True, use_proto_field_name=True)


def print_field(message: Message, name: str, registry: Registry) -> str:
    """One field's value on one line; `null` when it is not set. Raises ValueError as above."""
    members = message_to_json_value(
        message, registry=registry, always_emit_implicit=True, use_proto_field_name=True
    )
    value = members.get(name) if isinstance(members, dict) else None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
