"""Jobs as YAML files have them: one or several documents, with the fields of the contract by their names.

JSON is YAML, so what the REST API takes and answers can be read, too. Whatever is wrong is told with its line
and its field; what only the server finds is told so as well, as `JobFile.where` knows the lines.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from windlass_client.cli.files import read_text
from windlass_client.errors import FieldViolation, InvalidArgument, WindlassError
from windlass_client.quantities import parse_bytes, parse_duration

if TYPE_CHECKING:
    import yaml
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    from windlass.jobs.v1 import job_pb2

_DURATION, _TIMESTAMP = "google.protobuf.Duration", "google.protobuf.Timestamp"
# Whatever JSON can say, such as the arguments of a template.
_ANYTHING = {f"google.protobuf.{name}" for name in ("Struct", "Value", "ListValue")}
# As ProtoJSON has them, to the billionth of one.
_SECONDS = re.compile(r"-?[0-9]+(\.[0-9]{1,9})?s", re.ASCII)
_TAGS = {"map", "seq", "str", "int", "float", "bool", "null", "timestamp"}
_BYTES = ("memory_bytes", "gpu_memory_bytes")


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job of a file.

    Attributes:
        job: what it says.
        name: of the file.
        line: where the job begins, from 1.
        lines: where each of its fields is said, by their paths.
    """

    job: "job_pb2.Job"
    name: str
    line: int
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, path: str) -> str:
        """Where in the file a field is said, or the nearest around it, as in `job.yaml:7`."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{self.name}:{self.lines.get(path, self.line)}"

    def told(self, error: WindlassError) -> WindlassError:
        """What the server says of the job, with the lines of the fields that it names."""
        if self.lines:
            error.field_violations = tuple(
                FieldViolation(f"{self.where(path)}: {path}", one.description)
                for one in error.field_violations
                for path in [one.field.removeprefix("job.")]
            )
        return error


def read_jobs(name: str) -> list[JobFile]:
    """The jobs of a file, one of each of its documents; empty documents are left out.

    Args:
        name: the file; `-` is the standard input.

    Raises:
        InvalidArgument: it cannot be read, or has no job in it, or what is none.
    """
    return parse_jobs(read_text(name), "standard input" if name == "-" else name)


def parse_jobs(text: str, name: str) -> list[JobFile]:
    """The jobs of a text; raises as `read_jobs`."""
    import yaml

    loader = yaml.SafeLoader("")
    try:
        loader = yaml.SafeLoader(text)
        jobs = []
        while loader.check_node():
            node = loader.get_node()
            if node is not None and not _is_nothing(node):
                jobs.append(_Reader(loader, name).job(node))
    except yaml.YAMLError as error:
        raise _refused(name, _line_of(error), f"this is no YAML: {_problem(error)}") from None
    except RecursionError:
        raise _refused(name, 1, "this is nested too deeply") from None
    finally:
        loader.dispose()
    if not jobs:
        message = f"{name} has no job in it, such as `command: [python3, train.py]`"
        raise InvalidArgument(message, reason="BAD_FILE")
    return jobs


class _Reader:
    """Reads one document."""

    def __init__(self, loader: "yaml.SafeLoader", name: str) -> None:
        self._loader = loader
        self._name = name
        self._lines: dict[str, int] = {}

    def job(self, node: "yaml.Node") -> JobFile:
        from windlass.jobs.v1 import job_pb2

        job = job_pb2.Job()
        self._message(node, job, "")
        return JobFile(job, self._name, _line(node), self._lines)

    def _message(self, node: "yaml.Node", message: Any, path: str) -> None:
        descriptor: Descriptor = message.DESCRIPTOR
        for key, value in self._entries(node, path):
            field_ = descriptor.fields_by_name.get(key) or descriptor.fields_by_camelcase_name.get(
                key
            )
            below = f"{path}.{key}" if path else key
            if field_ is None:
                raise self._refuse(value, below, _unknown(key, descriptor))
            self._lines[below] = _line(value)
            if not _is_nothing(value):
                self._field(value, message, field_, below)

    def _field(self, node: "yaml.Node", message: Any, field_: "FieldDescriptor", path: str) -> None:
        if _is_map(field_):
            self._map(node, message, field_, path)
        elif field_.is_repeated:
            for number, item in enumerate(self._items(node, path)):
                below = f"{path}[{number}]"
                self._lines[below] = _line(item)
                if _has_fields(field_):
                    self._message(item, getattr(message, field_.name).add(), below)
                else:
                    self._put(message, field_.name, [self._leaf(item, field_, below)], item, below)
        elif _is_anything(field_):
            self._put(message, field_.name, self._anything(node, path), node, path)
        elif _has_fields(field_):
            child = getattr(message, field_.name)
            child.SetInParent()
            self._message(node, child, path)
        else:
            self._put(message, field_.name, self._leaf(node, field_, path), node, path)

    def _map(self, node: "yaml.Node", message: Any, field_: "FieldDescriptor", path: str) -> None:
        entry = _message_of(field_).fields_by_name["value"]
        for key, value in self._entries(node, path):
            below = f"{path}[{key}]"
            self._lines[below] = _line(value)
            if _has_fields(entry):
                self._message(value, getattr(message, field_.name)[key], below)
            else:
                leaf = self._leaf(value, entry, below)
                self._put(message, field_.name, {key: leaf}, value, below)

    def _put(self, message: Any, name: str, value: Any, node: "yaml.Node", path: str) -> None:
        """Set or extend a field as ProtoJSON has it."""
        from google.protobuf.json_format import ParseDict, ParseError

        part = type(message)()
        try:
            ParseDict({name: value}, part)
        except (ParseError, ValueError) as error:
            raise self._refuse(node, path, _reason(error)) from None
        message.MergeFrom(part)

    def _leaf(self, node: Any, field_: "FieldDescriptor", path: str) -> Any:
        """What a scalar says, as ProtoJSON has it for a field."""
        import yaml

        self._require(node, yaml.ScalarNode, path, "takes one value, no list and no fields")
        if _is_nothing(node):
            raise self._refuse(node, path, 'takes a value; write "" for an empty text')
        try:
            return self._value(node, field_)
        except InvalidArgument as error:
            raise self._refuse(node, path, error.message) from None
        except (ValueError, OverflowError):
            raise self._refuse(node, path, f"takes no value such as {node.value!r}") from None

    def _value(self, node: "yaml.ScalarNode", field_: "FieldDescriptor") -> Any:
        text, message = node.value, field_.message_type
        if message is not None and message.full_name == _DURATION:
            exact = _SECONDS.fullmatch(text)
            return text if exact else f"{parse_duration(text).total_seconds():.6f}s"
        if field_.name in _BYTES and node.tag.endswith(":str"):
            return parse_bytes(text)
        if field_.type == field_.TYPE_ENUM:
            return int(text) if text.lstrip("-").isdigit() else text.upper()
        # As it is written: `NO` is no boolean here, and `1.10` no number.
        if message is not None or field_.type in (field_.TYPE_STRING, field_.TYPE_BYTES):
            return text
        return self._loader.construct_object(node, deep=True)

    def _anything(self, node: Any, path: str) -> Any:
        """What a node says, as JSON has it."""
        import yaml

        if isinstance(node, yaml.MappingNode):
            entries = self._entries(node, path)
            return {key: self._anything(value, f"{path}.{key}") for key, value in entries}
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(self._items(node, path))
            return [self._anything(item, f"{path}[{number}]") for number, item in items]
        self._require(node, yaml.ScalarNode, path, "takes a value")
        if node.tag.rpartition(":")[2] in ("str", "timestamp"):
            return node.value
        try:
            return self._loader.construct_object(node, deep=True)
        except ValueError:
            raise self._refuse(node, path, f"takes no value such as {node.value!r}") from None

    def _require(self, node: "yaml.Node", kind: type["yaml.Node"], path: str, why: str) -> None:
        if not isinstance(node, kind):
            raise self._refuse(node, path, why)
        if node.tag.rpartition(":")[2] not in _TAGS:
            raise self._refuse(node, path, f"the tag {node.tag} means nothing here")

    def _entries(self, node: Any, path: str) -> "Iterator[tuple[str, yaml.Node]]":
        import yaml

        what = "takes fields" if path else "a job is a mapping of its fields"
        self._require(node, yaml.MappingNode, path, f"{what}, such as `name: train`")
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refuse(key, path, "a name is no list and no mapping")
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise self._refuse(
                    key, path, f"{key.value!r} is said twice, first on line {seen[key.value]}"
                )
            seen[key.value] = _line(key)
        self._loader.flatten_mapping(node)
        # What is merged in comes first, so that what is said here wins.
        yield from {key.value: value for key, value in node.value}.items()

    def _items(self, node: "yaml.Node", path: str) -> "list[yaml.Node]":
        import yaml

        self._require(node, yaml.SequenceNode, path, "takes a list, such as [a, b]")
        return list(node.value)

    def _refuse(self, node: "yaml.Node", path: str, why: str) -> InvalidArgument:
        return _refused(self._name, _line(node), f"{path}: {why}" if path else why)


def to_yaml(job: "job_pb2.Job") -> str:
    """A job as a document that `parse_jobs` reads; what is not set is left out."""
    import yaml
    from google.protobuf.json_format import MessageToDict

    values = MessageToDict(job, preserving_proto_field_name=True)
    return yaml.safe_dump(
        _plain(values, cast("Descriptor", job.DESCRIPTOR)), sort_keys=False, allow_unicode=True
    )


def _plain(values: Mapping[str, Any], descriptor: "Descriptor") -> dict[str, Any]:
    """Numbers of 64 bits as numbers: YAML holds them."""
    return {
        key: _plain_value(value, descriptor.fields_by_name[key]) for key, value in values.items()
    }


def _plain_value(value: Any, field_: "FieldDescriptor") -> Any:
    if _is_map(field_):
        return value
    if isinstance(value, list):
        return [_plain_item(one, field_) for one in value]
    return _plain_item(value, field_)


def _plain_item(value: Any, field_: "FieldDescriptor") -> Any:
    if isinstance(value, dict) and _has_fields(field_):
        return _plain(value, _message_of(field_))
    whole = field_.cpp_type in (field_.CPPTYPE_INT64, field_.CPPTYPE_UINT64)
    return int(value) if whole else value


def lay_over(job: Any, over: Any) -> None:
    """Have a message say what another one does, too: messages field by field, maps key by key, lists as a whole."""
    for field_, value in over.ListFields():
        if _is_map(field_):
            getattr(job, field_.name).MergeFrom(value)
        elif field_.is_repeated:
            job.ClearField(field_.name)
            getattr(job, field_.name).extend(value)
        elif field_.message_type is None:
            setattr(job, field_.name, value)
        elif _has_fields(field_):
            if value.ListFields():
                lay_over(getattr(job, field_.name), value)
        else:
            getattr(job, field_.name).CopyFrom(value)


def clear(job: Any, path: str) -> None:
    """Have a message say nothing of a field, such as `resources.gpu_count`."""
    name, _, rest = path.partition(".")
    if not rest:
        job.ClearField(name)
    elif job.HasField(name):
        clear(getattr(job, name), rest)


def _message_of(field_: "FieldDescriptor") -> "Descriptor":
    assert field_.message_type is not None
    return field_.message_type


def _has_fields(field_: "FieldDescriptor") -> bool:
    """Whether a value of it is written with fields of its own."""
    message = field_.message_type
    plain = (_DURATION, _TIMESTAMP, *_ANYTHING)
    return message is not None and message.full_name not in plain


def _is_anything(field_: "FieldDescriptor") -> bool:
    return field_.message_type is not None and field_.message_type.full_name in _ANYTHING


def _is_map(field_: "FieldDescriptor") -> bool:
    return field_.message_type is not None and field_.message_type.GetOptions().map_entry


def _unknown(key: str, descriptor: "Descriptor") -> str:
    near = difflib.get_close_matches(key, [*descriptor.fields_by_name], 1, 0.6)
    return f"there is no such field; did you mean {near[0]}?" if near else "there is no such field"


def _reason(error: Exception) -> str:
    """What ParseDict says, without the path that it gives."""
    return str(error).rpartition("field: ")[2].strip(": ")


def _is_nothing(node: "yaml.Node") -> bool:
    return str(node.tag) == "tag:yaml.org,2002:null"


def _line(node: "yaml.Node") -> int:
    return int(node.start_mark.line) + 1


def _line_of(error: Any) -> int:
    mark = getattr(error, "problem_mark", None)
    return 1 if mark is None else int(mark.line) + 1


def _problem(error: Any) -> str:
    return " ".join(str(getattr(error, "problem", None) or error).split())


def _refused(name: str, line: int, why: str) -> InvalidArgument:
    return InvalidArgument(f"{name}:{line}: {why}", reason="BAD_FILE")
