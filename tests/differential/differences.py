"""The differences that are left between Envoy and the gateway: data, in differences.toml."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

FILE = Path(__file__).with_name("differences.toml")

Patterns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Difference:
    """One thing that Envoy does otherwise.

    Attributes:
        name: of it.
        gateway: what windlass's gateway does, which is what is right.
        envoy: what Envoy does.
        why: why it is left.
        cases: by patterns of cases' names, the aspects in which they differ, always.
        sometimes: the same, of those that need not differ.
        everywhere: aspects in which any case may differ.
    """

    name: str
    gateway: str
    envoy: str
    why: str
    cases: Patterns = field(default_factory=dict)
    sometimes: Patterns = field(default_factory=dict)
    everywhere: Sequence[str] = ()


class Differences:
    """All of them."""

    def __init__(self, entries: Sequence[Difference]) -> None:
        self.entries = entries

    def required(self, case: str) -> set[str]:
        """In which aspects a case of that name has to differ."""
        return _aspects([each.cases for each in self.entries], case)

    def allowed(self, case: str) -> set[str]:
        """In which aspects it may differ besides."""
        everywhere = {aspect for each in self.entries for aspect in each.everywhere}
        return everywhere | _aspects([each.sometimes for each in self.entries], case)

    def patterns(self) -> list[str]:
        """All patterns of cases' names."""
        return [pattern for each in self.entries for pattern in (*each.cases, *each.sometimes)]


def _aspects(patterns: Sequence[Patterns], case: str) -> set[str]:
    return {
        aspect
        for each in patterns
        for pattern, aspects in each.items()
        if fnmatchcase(case, pattern)
        for aspect in aspects
    }


def load() -> Differences:
    """The file's differences, in its order; raises TypeError for a key that none has."""
    entries = tomllib.loads(FILE.read_text(encoding="utf-8"))["difference"]
    return Differences([Difference(**entry) for entry in entries])
