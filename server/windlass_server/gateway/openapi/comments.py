"""The comments of a contract, by the full names of what they stand at."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from protobuf import DescEnum, DescField, DescFile, DescMessage, DescMethod, DescService

# Field numbers in descriptor.proto, of which the paths of source locations are made.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_FIELD, _NESTED_MESSAGE, _NESTED_ENUM = 2, 3, 4
_VALUE = 2
_METHOD = 2

_SENTENCE_END = re.compile(r"[.;:](?=\s|$)")
# A longer first sentence is no summary.
_SUMMARY_LIMIT = 120

Named = DescMessage | DescEnum | DescField | DescService | DescMethod


class Comments:
    """Leading comments of messages, fields, enums, their values, services and methods.

    A descriptor set that was made without `--include_source_info` has none, and every look-up then
    answers the empty string.
    """

    def __init__(self, files: Iterable[DescFile]) -> None:
        self._texts: dict[str, str] = {}
        for file in files:
            self._read(file)

    def of(self, described: Named) -> str:
        """The comment, in CommonMark as far as its author wrote it so."""
        return self._texts.get(full_name(described), "")

    def of_value(self, enum: DescEnum, value: str) -> str:
        """The comment of one value of an enum."""
        return self._texts.get(f"{enum.type_name}.{value}", "")

    def _read(self, file: DescFile) -> None:
        info = file.proto.source_code_info
        if info is None:
            return
        names = dict(_names(file))
        for location in info.location:
            name = names.get(tuple(location.path))
            if name is not None and location.leading_comments:
                self._texts[name] = _clean(location.leading_comments)


def full_name(described: Named) -> str:
    """The name that no other message, field, enum, service or method has."""
    if isinstance(described, DescField | DescMethod):
        return f"{described.parent.type_name}.{described.name}"
    return described.type_name


@dataclass(frozen=True, slots=True)
class Split:
    """A comment as a title line and what follows it."""

    summary: str
    description: str


def split(comment: str) -> Split:
    """Cut the first sentence off as a summary, without its period.

    A clause before a colon or semicolon is a summary too, but is not cut off. A summary that is too
    long is none.
    """
    end = _SENTENCE_END.search(comment)
    first = " ".join(comment[: end.start() if end else None].split())
    if len(first) > _SUMMARY_LIMIT:
        return Split("", comment)
    if end is None:
        return Split(first, "")
    whole = comment[end.start()] == "."
    return Split(first, comment[end.end() :].strip() if whole else comment)


def _names(file: DescFile) -> Iterator[tuple[tuple[int, ...], str]]:
    """The path of each commented thing of the file, and its full name."""
    package = file.proto.package
    prefix = f"{package}." if package else ""
    for index, message in enumerate(file.proto.message_type):
        yield from _message_names((_MESSAGE, index), prefix, message)
    for index, enum in enumerate(file.proto.enum_type):
        yield from _enum_names((_ENUM, index), prefix, enum)
    for index, service in enumerate(file.proto.service):
        name = prefix + service.name
        yield (_SERVICE, index), name
        for number, method in enumerate(service.method):
            yield (_SERVICE, index, _METHOD, number), f"{name}.{method.name}"


def _message_names(
    path: tuple[int, ...], prefix: str, message: Any
) -> Iterator[tuple[tuple[int, ...], str]]:
    name = prefix + message.name
    yield path, name
    for index, field in enumerate(message.field):
        yield (*path, _FIELD, index), f"{name}.{field.name}"
    for index, enum in enumerate(message.enum_type):
        yield from _enum_names((*path, _NESTED_ENUM, index), f"{name}.", enum)
    for index, nested in enumerate(message.nested_type):
        yield from _message_names((*path, _NESTED_MESSAGE, index), f"{name}.", nested)


def _enum_names(
    path: tuple[int, ...], prefix: str, enum: Any
) -> Iterator[tuple[tuple[int, ...], str]]:
    name = prefix + enum.name
    yield path, name
    for index, value in enumerate(enum.value):
        yield (*path, _VALUE, index), f"{name}.{value.name}"


def _clean(comment: str) -> str:
    """The comment without the space that stands behind each `//`."""
    return "\n".join(line.removeprefix(" ").rstrip() for line in comment.splitlines()).strip()
