"""Templates of jobs: what their parameters take, and what becomes of a job with their values.

Values are put into the texts of a job that was parsed before, one text at a time and once: no value is read as JSON, as a
placeholder, or as more than one argument.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import re2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToJson, ParseDict, ParseError, SerializeToJsonError
from google.protobuf.struct_pb2 import Value

from windlass.jobs.v1 import job_pb2, job_template_pb2
from windlass_server.errors import FieldViolation

Template = job_template_pb2.JobTemplate
Parameter = job_template_pb2.TemplateParameter
Scalar = str | int | float | bool
"""The value of a parameter."""

MAX_BYTES = 256 * 1024
"""Of a template, serialized."""
MAX_TEXT = 16_384
# Of what texts become with the values in them.
_MOST_CHARACTERS = 4 << 20
# What every reader of JSON takes for the same number.
_MOST_EXACT = 2**53 - 1
_PLACEHOLDER = re.compile(r"\{\{\{\{|\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\}|\{\{")
_WHOLE = re.compile(r"[ \t]*\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\}[ \t]*")
_ESCAPED = "{{{{"
_LITERAL = "{{"
# What the project and the use of a template say.
_NOT_IN_TEMPLATES = ("project", "template")
_JOB = "template.job"
_NUMBERS = (Parameter.INTEGER, Parameter.NUMBER)


def job_of(template: Template) -> dict[str, Any]:
    """The job of a template as JSON has it, in an order that is always the same."""
    tree: dict[str, Any] = json.loads(MessageToJson(template.job, sort_keys=True))
    return tree


def violations(template: Template) -> list[FieldViolation]:
    """Everything that is wrong with a template, whatever values it is used with."""
    found = [
        one
        for index, parameter in enumerate(template.parameters)
        for one in _in_parameter(f"template.parameters[{index}]", parameter)
    ]
    try:
        tree = job_of(template)
    except (SerializeToJsonError, ValueError):
        words = "has a number or a value that JSON has not"
        return [*found, FieldViolation(_JOB, words, "TEMPLATE_JOB_INVALID")]
    return found + _in_texts(template, tree) or _in_job(template, tree)


def _in_texts(template: Template, tree: Mapping[str, Any]) -> list[FieldViolation]:
    """What is wrong with placeholders, and with parameters for want of them."""
    found, names = list[FieldViolation](), {one.name for one in template.parameters}
    used = set[str]()
    for path, text in _texts(tree, _JOB):
        for match in _PLACEHOLDER.finditer(text):
            if match[1]:
                used.add(match[1])
                if match[1] not in names:
                    words = f"names {match[1]!r}, which is no parameter"
                    found.append(FieldViolation(path, words, "UNKNOWN_PARAMETER"))
            elif match[0] != _ESCAPED:
                words = "has '{{' without a name and '}}' behind it; '{{{{' stands for '{{' itself"
                found.append(FieldViolation(path, words, "BAD_PLACEHOLDER"))
    found += _in_keys(tree, _JOB)
    for index, parameter in enumerate(template.parameters):
        if parameter.name not in used:
            path, words = f"template.parameters[{index}]", "is named by no placeholder"
            found.append(FieldViolation(path, words, "UNUSED_PARAMETER"))
    return found


def values_of(
    template: Template, given: Mapping[str, Value]
) -> tuple[dict[str, Scalar], list[FieldViolation]]:
    """The values of all parameters, and everything that is wrong with those that are given.

    Args:
        template: that is used.
        given: values by the names of parameters; numbers and truth values may be texts.
    """
    values: dict[str, Scalar] = {}
    found = []
    names = [one.name for one in template.parameters]
    for name in sorted(set(given) - set(names)):
        words = f"is no parameter of the template, which has {', '.join(names) or 'none'}"
        found.append(FieldViolation(_value_path(name), words, "UNKNOWN_PARAMETER"))
    for parameter in template.parameters:
        name = parameter.name
        if name not in given and not parameter.HasField("default"):
            found.append(FieldViolation(_value_path(name), "is needed", "PARAMETER_REQUIRED"))
            continue
        value, wrong = _read(parameter, given.get(name, parameter.default))
        if wrong:
            found.append(FieldViolation(_value_path(name), wrong, "BAD_PARAMETER_VALUE"))
        else:
            values[name] = value
    return values, found


def filled(
    tree: Mapping[str, Any], values: Mapping[str, Scalar]
) -> tuple[job_pb2.Job, list[FieldViolation]]:
    """A job with values in the place of placeholders, and what of it is none.

    Args:
        tree: the job as JSON has it; each placeholder names one of the values.
        values: by the names of parameters.
    """
    job, found = job_pb2.Job(), list[FieldViolation]()
    # Counted, not made: a text may become far longer than memory has room for.
    lengths = {name: len(_written(value)) for name, value in values.items()}
    size = sum(_filled_length(text, lengths) for _, text in _texts(tree, ""))
    if size > _MOST_CHARACTERS:
        words = f"becomes {size} characters long with these values, which is too much"
        return job, [FieldViolation(_JOB, words, "TEMPLATE_JOB_INVALID")]
    for name, part in tree.items():
        try:
            ParseDict(_filled({name: part}, values, job_pb2.Job.DESCRIPTOR), job)
        except ParseError as error:
            words = str(error)[:_SHOWN]
            found.append(FieldViolation(f"{_JOB}.{name}", words, "TEMPLATE_JOB_INVALID"))
    return job, found


def struct_value(value: Scalar) -> Value:
    """A value as messages have it."""
    if isinstance(value, bool):
        return Value(bool_value=value)
    return Value(string_value=value) if isinstance(value, str) else Value(number_value=value)


_SHOWN = 300


def _value_path(name: str) -> str:
    return f"job.template.parameters[{name[:63]}]"


def _in_job(template: Template, tree: Mapping[str, Any]) -> list[FieldViolation]:
    """What makes no job of it with any values: with those that are likely to."""
    found = [
        FieldViolation(f"{_JOB}.{name}", "is not the template's to say", "TEMPLATE_JOB_INVALID")
        for name in _NOT_IN_TEMPLATES
        if name in tree
    ]
    if template.ByteSize() > MAX_BYTES:
        words = f"is larger than {MAX_BYTES} bytes"
        return [FieldViolation("template", words, "TEMPLATE_JOB_INVALID")]
    _, wrong = filled(tree, {one.name: _likely(one) for one in template.parameters})
    return [*found, *wrong]


def _likely(parameter: Parameter) -> Scalar:
    """A value of a parameter: the one that it has where none is given, or one that it takes."""
    if parameter.HasField("default"):
        value, _ = _read(parameter, parameter.default)
        return value
    if parameter.type in _NUMBERS:
        least = parameter.minimum if parameter.HasField("minimum") else 1.0
        if parameter.HasField("maximum"):
            least = min(least, parameter.maximum)
        return math.ceil(least) if parameter.type == Parameter.INTEGER else least
    if parameter.type == Parameter.BOOLEAN:
        return False
    return parameter.choices[0] if parameter.choices else "x"


def _in_parameter(path: str, parameter: Parameter) -> Iterator[FieldViolation]:
    """What contradicts itself in a parameter."""
    numeric = parameter.type in _NUMBERS
    if not numeric and (parameter.HasField("minimum") or parameter.HasField("maximum")):
        yield _bad(path, "minimum and maximum are of numbers")
    both = parameter.HasField("minimum") and parameter.HasField("maximum")
    if both and parameter.minimum > parameter.maximum:
        yield _bad(path, "minimum is more than maximum")
    if parameter.type != Parameter.STRING and (parameter.pattern or parameter.max_length):
        yield _bad(path, "pattern and max_length are of a STRING")
    if (parameter.type == Parameter.CHOICE) != bool(parameter.choices):
        yield _bad(path, "choices are what a CHOICE needs, and nothing else has")
    if parameter.pattern and (wrong := _wrong_pattern(parameter.pattern)):
        yield FieldViolation(f"{path}.pattern", wrong, "BAD_PARAMETER")
    elif parameter.HasField("default"):
        _, wrong = _read(parameter, parameter.default)
        if wrong:
            yield FieldViolation(f"{path}.default", wrong, "BAD_PARAMETER")


def _bad(path: str, words: str) -> FieldViolation:
    return FieldViolation(path, words, "BAD_PARAMETER")


def _wrong_pattern(pattern: str) -> str:
    try:
        re2.compile(pattern, _quiet())
    except re2.error as error:
        text = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        return f"is no expression of RE2: {text}"
    return ""


def _quiet() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


def _read(parameter: Parameter, given: Value) -> tuple[Scalar, str]:
    """A value as its parameter has it, and what is wrong with it; empty: nothing."""
    kind = given.WhichOneof("kind")
    if kind not in ("string_value", "number_value", "bool_value"):
        return "", "must be a text, a number or a truth value"
    raw: str | float | bool = getattr(given, kind)
    if parameter.type in _NUMBERS:
        return _number(parameter, raw)
    if parameter.type == Parameter.BOOLEAN:
        return _truth(raw)
    return _text(parameter, raw)


def _number(parameter: Parameter, raw: str | float | bool) -> tuple[Scalar, str]:
    whole = parameter.type == Parameter.INTEGER
    what = "a whole number up to 2^53 - 1" if whole else "a number"
    try:
        if isinstance(raw, bool):
            raise ValueError
        number = float(raw)
        if not math.isfinite(number) or (whole and not number.is_integer()):
            raise ValueError
    except ValueError:
        return 0, f"must be {what}"
    value: int | float = int(number) if whole else number
    if whole and abs(value) > _MOST_EXACT:
        return 0, f"must be {what}"
    if parameter.HasField("minimum") and value < parameter.minimum:
        return 0, f"must be at least {_written(parameter.minimum)}"
    if parameter.HasField("maximum") and value > parameter.maximum:
        return 0, f"must be at most {_written(parameter.maximum)}"
    return value, ""


def _truth(raw: str | float | bool) -> tuple[Scalar, str]:
    if isinstance(raw, bool):
        return raw, ""
    if isinstance(raw, str) and raw.lower() in ("true", "false"):
        return raw.lower() == "true", ""
    return False, "must be true or false"


def _text(parameter: Parameter, raw: str | float | bool) -> tuple[Scalar, str]:
    if not isinstance(raw, str):
        return "", "must be a text"
    if parameter.type == Parameter.CHOICE:
        known = ", ".join(parameter.choices)[:_SHOWN]
        return raw, "" if raw in parameter.choices else f"must be one of {known}"
    most = parameter.max_length or MAX_TEXT
    if len(raw) > most:
        return "", f"must have at most {most} characters"
    if "\0" in raw:
        return "", "must not contain the character NUL"
    if parameter.pattern and not re2.fullmatch(parameter.pattern, raw, _quiet()):
        return "", f"must match {parameter.pattern[:_SHOWN]}"
    return raw, ""


def _written(value: Scalar) -> str:
    """A value in a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MOST_EXACT:
        return str(int(value))
    return str(value)


def _filled(part: Any, values: Mapping[str, Scalar], of: Any) -> Any:
    """A part of a job with values in the place of placeholders; `of` is the descriptor of its message, if it is one."""
    if not isinstance(part, dict):
        return _filled_leaf(part, values, None)
    fields = _fields(of)
    return {name: _filled_field(one, values, fields.get(name)) for name, one in part.items()}


def _filled_field(part: Any, values: Mapping[str, Scalar], field: Any) -> Any:
    if isinstance(part, list):
        return [_filled_field(one, values, field) for one in part]
    if not isinstance(part, dict):
        return _filled_leaf(part, values, field)
    if field is not None and _is_map(field):
        value = field.message_type.fields_by_name["value"]
        return {name: _filled_field(one, values, value) for name, one in part.items()}
    return _filled(part, values, None if field is None else field.message_type)


def _filled_leaf(part: Any, values: Mapping[str, Scalar], field: Any) -> Any:
    if not isinstance(part, str):
        return part
    whole = _WHOLE.fullmatch(part)
    if whole and field is not None and field.message_type is None and field.type not in _TEXTS:
        return values[whole[1]]
    text = _filled_text(part, values)
    # As the gateway reads the names of an enum.
    return text.upper() if field is not None and field.enum_type is not None else text


_TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_ENUM)


def _filled_text(text: str, values: Mapping[str, Scalar]) -> str:
    return _PLACEHOLDER.sub(
        lambda match: _written(values[match[1]]) if match[1] else _LITERAL, text
    )


def _filled_length(text: str, lengths: Mapping[str, int]) -> int:
    """The length of what `_filled_text` makes, by the lengths of the values as they are written."""
    return len(text) + sum(
        (lengths[match[1]] if match[1] else len(_LITERAL)) - len(match[0])
        for match in _PLACEHOLDER.finditer(text)
    )


def _fields(of: Any) -> dict[str, Any]:
    """The fields of a message by both of their spellings."""
    if of is None:
        return {}
    return {name: field for field in of.fields for name in (field.name, field.json_name)}


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _texts(part: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text of a part of a job, with its path."""
    if isinstance(part, str):
        yield path, part
    elif isinstance(part, dict):
        for name, one in part.items():
            yield from _texts(one, f"{path}.{name[:63]}")
    elif isinstance(part, list):
        for index, one in enumerate(part):
            yield from _texts(one, f"{path}[{index}]")


def _in_keys(part: Any, path: str) -> Iterator[FieldViolation]:
    """What has placeholders in the names of its fields or entries."""
    if isinstance(part, list):
        for index, one in enumerate(part):
            yield from _in_keys(one, f"{path}[{index}]")
    elif isinstance(part, dict):
        if any("{{" in name for name in part):
            words = "has a placeholder in a name, which only values can have"
            yield FieldViolation(path, words, "BAD_PLACEHOLDER")
        for name, one in part.items():
            yield from _in_keys(one, f"{path}.{name[:63]}")
