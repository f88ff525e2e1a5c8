"""Rows that were not read from the database but are about to be what it holds."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, TypeVar, cast

T = TypeVar("T")


def row(shape: type[T], values: Mapping[str, Any]) -> T:  # noqa: ARG001 - names the type
    """A row of the table class `shape` with these values, as a read would give it."""
    return cast("T", SimpleNamespace(**values))


def changed(old: T, **values: Any) -> T:
    """The row as it is after an update; rows themselves are never changed."""
    before: dict[str, Any] = cast("Any", old)._asdict() if hasattr(old, "_asdict") else vars(old)
    return cast("T", SimpleNamespace(**(before | values)))
