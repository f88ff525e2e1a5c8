"""Path templates of `google.api.http`, parsed.

The grammar, as google/api/http.proto has it:

    Template  = "/" Segments [ Verb ] ;
    Segments  = Segment { "/" Segment } ;
    Segment   = "*" | "**" | LITERAL | Variable ;
    Variable  = "{" FieldPath [ "=" Segments ] "}" ;
    FieldPath = IDENT { "." IDENT } ;
    Verb      = ":" LITERAL ;

`{name}` means `{name=*}`. `**` stands for zero or more segments and must be the last segment.
Variables do not nest, and no field is bound twice. Literals are kept percent-decoded, so that a
path matches however it spells them. A template has at most `MAX_SEGMENTS` segments: looking a path up
recurses once for each.
"""

import re
from dataclasses import dataclass

from windlass_server.gateway.percent import MalformedEscape, decode

ANY = "*"
REST = "**"
MAX_SEGMENTS = 128

_FIELD_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_LITERAL = re.compile(r"[A-Za-z0-9\-._~!$&'()+,;@%]+")
_OUTSIDE_BRACES = re.compile(r"/(?![^{}]*\})")


class TemplateError(ValueError):
    """A path template that the grammar refuses."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A segment that must be equal to `text`, percent-decoded."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A part of the path that is bound to a field.

    Attributes:
        field: dotted path of the field in the request.
        start: index of its first segment.
        end: index behind its last segment; None when it ends with `**`.
        multiple: whether it may hold more than one segment, in which case `%2F` stays encoded.
    """

    field: str
    start: int
    end: int | None
    multiple: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path template: its segments (`ANY`, `REST` or a literal), variables and verb."""

    text: str
    segments: tuple[Literal | str, ...]
    variables: tuple[Variable, ...]
    verb: str

    @property
    def shape(self) -> str:
        """The template without the names of its variables: equal shapes match equal paths."""
        parts = (part.text if isinstance(part, Literal) else part for part in self.segments)
        return "/" + "/".join(parts) + (f":{self.verb}" if self.verb else "")


def parse(text: str) -> Template:
    """Parse a path template; raises TemplateError saying what is wrong and where."""
    if not text.startswith("/"):
        raise TemplateError(f"{text!r}: must start with '/'")
    path, verb = _split_verb(text)
    segments: list[Literal | str] = []
    variables: list[Variable] = []
    for part in _OUTSIDE_BRACES.split(path[1:]):
        if part.startswith("{"):
            variables.append(_variable(text, part, segments))
        else:
            segments.append(_segment(text, part))
    if len(segments) > MAX_SEGMENTS:
        raise TemplateError(f"{text!r}: has more than {MAX_SEGMENTS} segments")
    _refuse_early_rest(text, segments)
    _refuse_repeated(text, variables)
    return Template(text, tuple(segments), tuple(variables), verb)


def _split_verb(text: str) -> tuple[str, str]:
    """Cut the verb off: what follows the last colon of the last segment."""
    colon = text.rfind(":")
    if colon <= max(text.rfind("/"), text.rfind("}") - 1):
        return text, ""
    verb = text[colon + 1 :]
    if colon == 1 or text[colon - 1] == "/":
        raise TemplateError(f"{text!r}: nothing stands before the verb")
    return text[:colon], _literal(text, verb)


def _variable(text: str, part: str, segments: list[Literal | str]) -> Variable:
    """Read `{field=segments}` and append its segments."""
    if not part.endswith("}") or part.count("{") != 1 or part.count("}") != 1:
        raise TemplateError(f"{text!r}: {part!r} is not one whole variable")
    field, _, pattern = part[1:-1].partition("=")
    if "=" in part and not pattern:
        raise TemplateError(f"{text!r}: variable {field!r} has an empty pattern")
    if not _FIELD_PATH.fullmatch(field):
        raise TemplateError(f"{text!r}: {field!r} is not a field path")
    start = len(segments)
    segments.extend(_segment(text, piece) for piece in (pattern or ANY).split("/"))
    last = segments[-1]
    multiple = len(segments) - start > 1 or last == REST
    return Variable(field, start, None if last == REST else len(segments), multiple)


def _segment(text: str, part: str) -> Literal | str:
    return part if part in (ANY, REST) else Literal(_literal(text, part))


def _literal(text: str, part: str) -> str:
    if not part:
        raise TemplateError(f"{text!r}: a segment is empty")
    if not _LITERAL.fullmatch(part):
        raise TemplateError(f"{text!r}: {part!r} is not a literal")
    try:
        return decode(part)
    except MalformedEscape as error:
        raise TemplateError(f"{text!r}: {error}") from error


def _refuse_early_rest(text: str, segments: list[Literal | str]) -> None:
    if REST in segments[:-1]:
        raise TemplateError(f"{text!r}: '**' must be the last segment")


def _refuse_repeated(text: str, variables: list[Variable]) -> None:
    fields = [variable.field for variable in variables]
    for field in fields:
        if fields.count(field) > 1:
            raise TemplateError(f"{text!r}: field {field!r} is bound twice")
