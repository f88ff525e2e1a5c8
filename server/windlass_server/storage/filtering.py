"""Filters and orders of lists as SQL, in which every value is bound and every field is one that is listed.

What is not there is unlike every value: `exit_code = 1` does not hold for a job without one, and
`NOT exit_code = 1` does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import BigInteger, ColumnElement, and_, literal, not_, or_

from windlass_server.filters import Every, Expression, Negated, Restriction, Some, invalid

_COMPARED: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}
_MAX_INT64 = (1 << 63) - 1


class Filtered(Protocol):
    """A field that filters can ask for."""

    def compare(self, asked: Restriction, within: tuple[str, ...]) -> ColumnElement[bool]:
        """What is asked, as SQL.

        Args:
            asked: the restriction.
            within: what is behind the field's name in its path.

        Raises:
            InvalidInput: that cannot be asked of it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text: `=`, `!=` with `*` at an end of it, and `:` for a part of it, for which case matters not."""

    column: ColumnElement[Any]

    def compare(self, asked: Restriction, within: tuple[str, ...]) -> ColumnElement[bool]:
        """What is asked, as SQL."""
        _plain(asked, within)
        return _text(self.column, asked)


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number; `:*` asks whether it is there."""

    column: ColumnElement[Any]

    def compare(self, asked: Restriction, within: tuple[str, ...]) -> ColumnElement[bool]:
        """What is asked, as SQL."""
        _plain(asked, within)
        return _ordered(self.column, asked, self._value)

    def _value(self, text: str) -> int:
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError("a whole number")
        return max(-_MAX_INT64, min(_MAX_INT64, int(text)))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in microseconds since 1970, compared with RFC 3339; `:*` asks whether it is there."""

    column: ColumnElement[Any]

    def compare(self, asked: Restriction, within: tuple[str, ...]) -> ColumnElement[bool]:
        """What is asked, as SQL."""
        _plain(asked, within)
        return _ordered(self.column, asked, self._value)

    def _value(self, text: str) -> int:
        try:
            told = datetime.fromisoformat(text)
            if told.tzinfo is None:
                raise ValueError
            return round(told.timestamp() * 1_000_000)
        except (ValueError, OverflowError):
            raise ValueError('a time in quotes, such as "2026-11-26T12:00:00Z"') from None


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    column: ColumnElement[Any]

    def compare(self, asked: Restriction, within: tuple[str, ...]) -> ColumnElement[bool]:
        """What is asked, as SQL."""
        _plain(asked, within)
        value = {"true": True, "false": False}.get(asked.value.lower())
        if value is None:
            raise _unlike(asked, "true or false")
        if asked.comparator not in ("=", "!="):
            raise _not_with(asked)
        return self.column.is_(value if asked.comparator == "=" else not value)


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words, in any case, that are stored as numbers."""

    column: ColumnElement[Any]
    words: Mapping[str, int]

    def compare(self, asked: Restriction, within: tuple[str, ...]) -> ColumnElement[bool]:
        """What is asked, as SQL."""
        _plain(asked, within)
        value = self.words.get(asked.value.upper())
        if value is None:
            raise _unlike(asked, "one of " + ", ".join(self.words))
        if asked.comparator not in ("=", "!=", ":"):
            raise _not_with(asked)
        return self.column != value if asked.comparator == "!=" else self.column == value


@dataclass(frozen=True, slots=True)
class Entries:
    """A map of texts; `labels:team` and `labels.team:*` ask for a key, `labels.team = a` for its value.

    Attributes:
        where: makes of a key, and of what its value must be, whether there is such an entry.
        value: the column of the values.
    """

    where: Callable[[str, ColumnElement[bool] | None], ColumnElement[bool]]
    value: ColumnElement[Any]

    def compare(self, asked: Restriction, within: tuple[str, ...]) -> ColumnElement[bool]:
        """What is asked, as SQL."""
        key = ".".join(within)
        if not key:
            if asked.comparator != ":" or asked.value == "*":
                raise invalid(f"asks {asked.path[0]} for no key: write {asked.path[0]}.KEY = VALUE")
            return self.where(asked.value, None)
        if asked.comparator == ":" and asked.value == "*" and not asked.quoted:
            return self.where(key, None)
        if asked.comparator == "!=":
            return not_(self.where(key, _text(self.value, asked, comparator="=")))
        return self.where(key, _text(self.value, asked))


def condition(expression: Expression, fields: Mapping[str, Filtered]) -> ColumnElement[bool]:
    """A filter as SQL.

    Args:
        expression: what it says.
        fields: what can be asked for, by path with dots; longer paths go before their beginnings.

    Raises:
        InvalidInput: FILTER_INVALID, saying what cannot be asked.
    """
    match expression:
        case Restriction():
            return _restriction(expression, fields)
        case Negated(part):
            return not_(condition(part, fields))
        case Every(parts):
            return and_(*(condition(part, fields) for part in parts))
        case Some(parts):
            return or_(*(condition(part, fields) for part in parts))


def _restriction(asked: Restriction, fields: Mapping[str, Filtered]) -> ColumnElement[bool]:
    if not asked.comparator:
        raise invalid(f"says nothing of {'.'.join(asked.path)}: write FIELD = VALUE")
    for length in range(len(asked.path), 0, -1):
        found = fields.get(".".join(asked.path[:length]))
        if found is not None:
            return found.compare(asked, asked.path[length:])
    raise invalid(f"asks for {'.'.join(asked.path)}; what can be asked for: {', '.join(fields)}")


def _text(
    column: ColumnElement[Any], asked: Restriction, comparator: str = ""
) -> ColumnElement[bool]:
    value, comparator = asked.value, comparator or asked.comparator
    if comparator == ":":
        return column != "" if value == "*" else column.ilike(f"%{_escaped(value)}%", escape="\\")
    if comparator not in ("=", "!="):
        raise _not_with(asked)
    before, behind = value.endswith("*"), value.startswith("*") and value != "*"
    if not (before or behind):
        return column == value if comparator == "=" else column != value
    body = _escaped(value.removeprefix("*" if behind else "").removesuffix("*" if before else ""))
    like = column.ilike(f"{'%' if behind else ''}{body}{'%' if before else ''}", escape="\\")
    return like if comparator == "=" else not_(like)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _ordered(
    column: ColumnElement[Any], asked: Restriction, value_of: Callable[[str], int]
) -> ColumnElement[bool]:
    there = column.is_not(None)
    if asked.comparator == ":" and asked.value == "*":
        return there
    try:
        value = literal(value_of(asked.value), BigInteger)
    except ValueError as error:
        raise _unlike(asked, str(error)) from None
    compared = _COMPARED["=" if asked.comparator == ":" else asked.comparator](column, value)
    if asked.comparator == "!=":
        return or_(column.is_(None), compared)
    return and_(there, compared)


def _plain(asked: Restriction, within: tuple[str, ...]) -> None:
    if within:
        name = ".".join(asked.path)
        raise invalid(f"asks for {name}: there is nothing within {asked.path[0]}")


def _not_with(asked: Restriction) -> Exception:
    return invalid(f"asks {asked.comparator} of {'.'.join(asked.path)}: that can be = != or :")


def _unlike(asked: Restriction, what: str) -> Exception:
    return invalid(f"compares {'.'.join(asked.path)} with `{asked.value}`, which is not {what}")
