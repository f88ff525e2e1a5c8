"""What columns of jobs and nodes say beyond amounts and times: labels, dependencies, yes and no."""

import re
from collections.abc import Iterable, Iterator, Sequence

from windlass_server.jobs.dependency_rules import MAX_DEPENDENCIES, Kind
from windlass_server.scheduler.snapshot import LabelRule, LabelTest
from windlass_server.scheduler.topology import Level

_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")
_RULE = re.compile(
    r"(?P<not>!?)(?P<key>[^=!;,\s]{1,253})(?:(?P<test>!?=)(?P<values>[^=!;]*))?", re.ASCII
)
_MOST_LABELS = 64
_KINDS = {kind.name.lower(): kind for kind in Kind if kind is not Kind.SINGLETON}
# What the nodes of a job can have in common.
_LEVELS = {level.name.lower(): level for level in (Level.RACK, Level.BLOCK)}


def flag(text: str) -> bool:
    """`yes` or `no`.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError(f"{text!r} is neither yes nor no")


def labels(text: str) -> tuple[tuple[str, str], ...]:
    """Labels of a node, such as `zone=eu; rack=r7`, by their keys.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    found: dict[str, str] = {}
    for part in _parts(text):
        key, equals, value = part.partition("=")
        if not equals or not key or key in found:
            what = "is there twice" if key in found else "is not KEY=VALUE"
            raise ValueError(f"{part!r} {what}, such as zone=eu; rack=r7")
        found[key] = value
    return tuple(sorted(found.items()))


def label_rules(text: str, *, preferred: bool = False) -> tuple[LabelRule, ...]:
    """What is asked of labels, in the words of `windlass submit --node-label`: `zone=eu,us; !old`.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    return tuple(_rule(part, preferred) for part in _parts(text))


def label_text(rules: Iterable[LabelRule], *, preferred: bool) -> str:
    """Rules as `label_rules` reads them, of those that are preferred or of the others."""
    return "; ".join(_words(rule) for rule in rules if rule.preferred == preferred)


def dependencies(text: str) -> tuple[tuple[Kind, str], ...]:
    """Whom a job waits for, such as `after_ok:prepare; after_any:scan`: how, and the `id` of each.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    found: dict[str, Kind] = {}
    for part in _parts(text):
        kind, colon, job_id = part.partition(":")
        if not colon or kind.lower() not in _KINDS or not job_id.strip():
            raise ValueError(f"{part!r} is not HOW:ID; HOW is {', '.join(_KINDS)}")
        if job_id.strip() in found:
            raise ValueError(f"{job_id.strip()} is waited for twice")
        found[job_id.strip()] = _KINDS[kind.lower()]
    if len(found) > MAX_DEPENDENCIES:
        raise ValueError(f"a job waits for at most {MAX_DEPENDENCIES} others")
    return tuple((kind, job_id) for job_id, kind in found.items())


def dependency_text(after: Sequence[tuple[int, str]]) -> str:
    """Dependencies as `dependencies` reads them."""
    return "; ".join(f"{Kind(kind).name.lower()}:{job_id}" for kind, job_id in after)


def level(text: str) -> int:
    """Within what the nodes of a job lie: `rack` or `block`.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    if text.lower() not in _LEVELS:
        raise ValueError(f"{text!r} is none of {', '.join(_LEVELS)}")
    return _LEVELS[text.lower()]


def level_text(value: int) -> str:
    """A level as `level` reads it; empty for none."""
    return Level(value).name.lower() if value else ""


def pools(text: str) -> tuple[str, ...]:
    """Names of pools, such as `h100|a100`.

    Raises:
        ValueError: one is empty; with a sentence.
    """
    names = tuple(part.strip() for part in text.split("|"))
    if not all(names):
        raise ValueError(f"{text!r} has an empty name between the |")
    return tuple(sorted(set(names)))


def _parts(text: str) -> Iterator[str]:
    parts = [part.strip() for part in text.split(";")]
    if len(parts) > _MOST_LABELS + MAX_DEPENDENCIES:
        raise ValueError("that is too much for one cell")
    yield from (part for part in parts if part)


def _rule(part: str, preferred: bool) -> LabelRule:
    found = _RULE.fullmatch(part)
    if found is None or (found["not"] and found["test"]):
        raise ValueError(f"{part!r} is none of KEY=A,B, KEY!=A, KEY and !KEY")
    if not found["test"]:
        test = LabelTest.ABSENT if found["not"] else LabelTest.EXISTS
        return LabelRule(found["key"], test, (), preferred)
    values = tuple(value.strip() for value in found["values"].split(","))
    test = LabelTest.IN if found["test"] == "=" else LabelTest.NOT_IN
    return LabelRule(found["key"], test, values, preferred)


def _words(rule: LabelRule) -> str:
    if rule.test in (LabelTest.EXISTS, LabelTest.ABSENT):
        return rule.key if rule.test is LabelTest.EXISTS else f"!{rule.key}"
    sign = "=" if rule.test is LabelTest.IN else "!="
    return f"{rule.key}{sign}{','.join(rule.values)}"
