"""What of a job is to be otherwise: `--set FIELD=VALUE`, with the fields as the contract names them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windlass_client.errors import InvalidArgument
from windlass_client.quantities import (
    parse_bytes,
    parse_cpu_millis,
    parse_duration,
    parse_gpu_share,
)

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

    from windlass.jobs.v1 import job_pb2

# As people write them elsewhere on the command line.
_QUANTITIES: Mapping[str, Callable[[str], int]] = {
    "memory_bytes": parse_bytes,
    "gpu_memory_bytes": parse_bytes,
    "cpu_millis": parse_cpu_millis,
    "gpu_millis": parse_gpu_share,
}


def job_overrides(words: Sequence[str], variables: Mapping[str, str]) -> "job_pb2.Job":
    """A part of a job, from `FIELD=VALUE` words such as `resources.memory_bytes=8GiB`.

    Args:
        words: the fields by their paths; lists and messages are written as JSON.
        variables: environment variables.

    Raises:
        InvalidArgument: there is no such field, or it takes no such value.
    """
    from google.protobuf.json_format import ParseDict, ParseError

    from windlass.jobs.v1 import job_pb2

    tree: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        if not equals:
            raise InvalidArgument(f"--set {word!r} is not FIELD=VALUE", reason="BAD_FIELD")
        _plant(tree, job_pb2.Job.DESCRIPTOR, path.split("."), text, path)
    if variables:
        tree.setdefault("environment", {}).setdefault("variables", {}).update(variables)
    try:
        return ParseDict(tree, job_pb2.Job())
    except ParseError as error:
        raise InvalidArgument(f"--set: {error}", reason="BAD_VALUE") from None


def _plant(tree: dict[str, Any], message: Any, names: Sequence[str], text: str, path: str) -> None:
    name, *rest = names
    field = message.fields_by_name.get(name)
    if field is None:
        known = ", ".join(sorted(message.fields_by_name))
        raise InvalidArgument(f"--set: there is no {path!r}; there are {known}", reason="BAD_FIELD")
    if not rest:
        tree[name] = _value(field, text, path)
        return
    below = tree.setdefault(name, {})
    if field.message_type is None or field.is_repeated != _is_map(field):
        raise InvalidArgument(f"--set: {name!r} of {path!r} has no fields", reason="BAD_FIELD")
    if not isinstance(below, dict):
        raise InvalidArgument(f"--set: {path!r} is said twice", reason="BAD_FIELD")
    if _is_map(field):
        below[".".join(rest)] = text
    else:
        _plant(below, field.message_type, rest, text, path)


def _value(field: "FieldDescriptor", text: str, path: str) -> Any:
    if field.name in _QUANTITIES:
        return _QUANTITIES[field.name](text)
    message = field.message_type
    if message is not None and message.full_name == "google.protobuf.Duration":
        return f"{parse_duration(text).total_seconds():f}s"
    if message is not None and message.full_name == "google.protobuf.Timestamp":
        return text
    if field.type == field.TYPE_ENUM and not field.is_repeated:
        return text.upper()
    if field.type == field.TYPE_STRING and not field.is_repeated:
        return text
    try:
        return json.loads(text)
    except ValueError:
        message_text = f"--set: {path!r} takes a value in JSON, not {text!r}"
        raise InvalidArgument(message_text, reason="BAD_VALUE") from None


def _is_map(field: "FieldDescriptor") -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
