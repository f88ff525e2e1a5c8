"""Path templates of `google.api.http` as those of OpenAPI.

OpenAPI's `{name}` is one whole piece of one segment. So a variable of several segments is spelled
out (`/v1/{name=shelves/*}` is `/v1/shelves/{shelves_id}`), wildcards outside of variables get names,
and `**`, which OpenAPI has no form for, is a parameter marked `x-multi-segment`.
"""

from dataclasses import dataclass, replace
from urllib.parse import quote

from windlass_server.gateway.template import ANY, REST, Literal, Template, Variable


@dataclass(frozen=True, slots=True)
class PathParameter:
    """One placeholder of an OpenAPI path.

    Attributes:
        name: unique within the path.
        field: dotted path of the field that it is, or is a part of; empty when nothing reads it.
        pattern: what the whole field looks like when this is only a part of it; else empty.
        rest: whether it may hold several segments, or none.
    """

    name: str
    field: str
    pattern: str
    rest: bool


@dataclass(frozen=True, slots=True)
class OpenApiPath:
    """A path template in OpenAPI's form.

    Attributes:
        text: the path.
        parameters: its placeholders, in their order.
        fields: dotted paths of all fields that it binds; one may have no placeholder (`{name=all}`).
    """

    text: str
    parameters: tuple[PathParameter, ...]
    fields: frozenset[str]


def openapi_path(template: Template) -> OpenApiPath:
    """The template as OpenAPI writes it."""
    parts: list[str] = []
    parameters: list[PathParameter] = []
    for index, segment in enumerate(template.segments):
        if isinstance(segment, Literal):
            parts.append(quote(segment.text, safe="~!$&'()*+,;=:@"))
            continue
        parameter = _parameter(template, index, {each.name for each in parameters})
        parameters.append(parameter)
        parts.append(f"{{{parameter.name}}}")
    verb = f":{quote(template.verb, safe='')}" if template.verb else ""
    fields = frozenset(each.field for each in template.variables)
    return OpenApiPath("/" + "/".join(parts) + verb, tuple(parameters), fields)


def renamed(path: OpenApiPath, text: str) -> OpenApiPath:
    """The path under the text of another one of the same shape, whose placeholders have other names."""
    names = [part.partition("}")[0] for part in text.split("{")[1:]]
    parameters = zip(path.parameters, names, strict=True)
    return replace(
        path, text=text, parameters=tuple(replace(each, name=name) for each, name in parameters)
    )


def _parameter(template: Template, index: int, taken: set[str]) -> PathParameter:
    variable = _variable_at(template, index)
    rest = template.segments[index] == REST
    if variable is not None and _width(template, variable) == 1:
        return PathParameter(variable.field, variable.field, "", rest)
    before = template.segments[index - 1] if index else ANY
    suffix = "path" if rest else "id"
    name = f"{before.text}_{suffix}" if isinstance(before, Literal) else f"segment_{index + 1}"
    if name in taken or any(name == each.field for each in template.variables):
        name = f"segment_{index + 1}"
    if variable is None:
        return PathParameter(name, "", "", rest)
    return PathParameter(name, variable.field, _pattern(template, variable), rest)


def _variable_at(template: Template, index: int) -> Variable | None:
    return next(
        (
            each
            for each in template.variables
            if each.start <= index and (each.end is None or index < each.end)
        ),
        None,
    )


def _width(template: Template, variable: Variable) -> int:
    return (variable.end or len(template.segments)) - variable.start


def _pattern(template: Template, variable: Variable) -> str:
    parts = template.segments[variable.start : variable.end]
    return "/".join(part.text if isinstance(part, Literal) else part for part in parts)
