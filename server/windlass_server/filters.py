"""The `filter` of lists: AIP-160 (https://google.aip.dev/160), as far as a database can answer it.

    status = RUNNING AND labels.team = "vision"
    resources.gpu_count >= 8 AND (user = ada OR user = bob) AND NOT name = "test*"

Terms side by side are joined as by AND. OR binds closer than AND. `:` asks whether something is there
(`labels:team`, `labels.team:*`) or is a part of a text (`name:train`). `*` at an end of a text that is
compared with `=` or `!=` stands for anything. Functions are not known.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedInput

from windlass_server.errors import FieldViolation, InvalidInput

# Terms of one filter: each costs the database a look.
MAX_TERMS = 64
_MAX_DEPTH = 16
_GRAMMAR = r"""
    start: expression
    ?expression: sequence ("AND" sequence)*   -> every
    ?sequence: factor+                        -> every
    ?factor: term ("OR" term)*                -> some
    ?term: (NOT | MINUS) simple               -> negated
         | simple
    ?simple: restriction
         | "(" expression ")"
    restriction: path [COMPARATOR argument]
    path: _value ("." _value)*
    argument: MINUS? _value ("." _value)*
    _value: TEXT | STRING

    NOT.2: /NOT(?=[\s(])/
    MINUS: "-"
    COMPARATOR: "<=" | ">=" | "!=" | "=" | "<" | ">" | ":"
    STRING: /"(?:[^"\\]|\\.)*"/ | /'(?:[^'\\]|\\.)*'/
    TEXT: /(?!(?:AND|OR|NOT)(?![^\s()]))[^\s"'().,:<>=!-][^\s"'().,:<>=!]*/
    %ignore /\s+/
"""


@dataclass(frozen=True, slots=True)
class Restriction:
    """What is asked of one field.

    Attributes:
        path: the field and what is within it, such as `("labels", "team")`.
        comparator: one of `= != < <= > >= :`; empty: the path is a word to look for.
        value: what it is compared with.
        quoted: the value was written in quotes.
        at: where in the filter it begins.
    """

    path: tuple[str, ...]
    comparator: str
    value: str
    quoted: bool
    at: int


@dataclass(frozen=True, slots=True)
class Every:
    """All of these hold."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One of these holds."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """This does not hold."""

    part: "Expression"


Expression = Restriction | Every | Some | Negated


def parse(text: str) -> Expression | None:
    """What a filter says; None for an empty one.

    Raises:
        InvalidInput: FILTER_INVALID, with where it cannot be read.
    """
    if not text.strip():
        return None
    _check_depth(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        at = error.pos_in_stream
        where = "at its end" if at is None or at >= len(text) else f"at `{text[at : at + 20]}`"
        raise invalid(f"cannot be read {where}") from None
    made = cast("Expression", _Maker().transform(tree))
    if _count(made) > MAX_TERMS:
        raise invalid(f"has more than {MAX_TERMS} terms")
    return made


def invalid(message: str) -> InvalidInput:
    """The refusal of a filter."""
    whole = f"the filter {message}"
    violation = FieldViolation("filter", whole, "FILTER_INVALID")
    return InvalidInput(whole, reason="FILTER_INVALID", violations=(violation,))


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _check_depth(text: str) -> None:
    """Refuse what is nested so deeply that reading it could exhaust the stack."""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth > _MAX_DEPTH:
            raise invalid(f"has more than {_MAX_DEPTH} brackets in each other")


def _count(expression: Expression) -> int:
    if isinstance(expression, Restriction):
        return 1
    if isinstance(expression, Negated):
        return _count(expression.part)
    return sum(map(_count, expression.parts))


class _Maker(Transformer[Token, Any]):
    """Makes expressions of what the parser found."""

    def start(self, found: list[Expression]) -> Expression:
        return found[0]

    def every(self, parts: list[Expression]) -> Expression:
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def some(self, parts: list[Expression]) -> Expression:
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def negated(self, parts: list[Any]) -> Expression:
        return Negated(parts[1])

    def path(self, tokens: list[Token]) -> list[Token]:
        return tokens

    def argument(self, tokens: list[Token]) -> tuple[str, bool]:
        minus = tokens[0].type == "MINUS"
        words = tokens[1:] if minus else tokens
        quoted = len(words) == 1 and words[0].type == "STRING"
        return ("-" if minus else "") + ".".join(map(_said, words)), quoted

    def restriction(self, parts: list[Any]) -> Restriction:
        path, comparator, argument = parts
        value, quoted = argument or ("", False)
        at = path[0].start_pos or 0
        return Restriction(tuple(map(_said, path)), str(comparator or ""), value, quoted, at)


def _said(token: Token) -> str:
    """What a word says, without its quotes."""
    if token.type != "STRING":
        return str(token)
    made, escaped = [], False
    for character in token[1:-1]:
        escaped = character == "\\" and not escaped
        if not escaped:
            made.append(character)
    return "".join(made)
