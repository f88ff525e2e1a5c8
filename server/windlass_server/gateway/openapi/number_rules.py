"""protovalidate's rules on numbers, booleans, enums, durations and times."""

from collections.abc import Callable
from typing import Any

from protobuf import DescEnum

from windlass_server.gateway.openapi.constraint import Constraint
from windlass_server.gateway.openapi.options import Rules
from windlass_server.gateway.openapi.values import Json

_KEYWORDS = {
    "gt": "exclusiveMinimum",
    "gte": "minimum",
    "lt": "exclusiveMaximum",
    "lte": "maximum",
}
_WORDS = {"gt": "More than", "gte": "At least", "lt": "Less than", "lte": "At most"}


def number_constraint(rules: Rules) -> Constraint:
    """The rules on a number that JSON writes as a number."""
    made = Constraint()
    bounds = _bounds(rules)
    if _is_outside(bounds):
        made.others.append({"anyOf": [{_KEYWORDS[key]: value} for key, value in bounds.items()]})
    else:
        made.keywords |= {_KEYWORDS[key]: value for key, value in bounds.items()}
    made.keywords |= _values(rules, lambda value: value)
    if rules.get("not_in"):
        made.others.append({"not": {"enum": list(rules["not_in"])}})
    if rules.get("finite"):
        made.keywords["finite"] = True  # taken out again where the words for numbers are
    made.refuses_zero = _refuses_zero(rules, bounds)
    return made


def long_constraint(rules: Rules) -> Constraint:
    """The rules on a 64-bit integer, which JSON writes as a string of digits."""
    made = Constraint()
    bounds = _bounds(rules)
    if _is_outside(bounds):
        words = " or ".join(f"{_WORDS[key].lower()} {value:,}" for key, value in bounds.items())
        made.notes.append(f"{words.capitalize()}.")
    else:
        made.notes += [f"{_WORDS[key]} {value:,}." for key, value in bounds.items()]
        if max(bounds.get("gte", -1), bounds.get("gt", -1)) >= 0:
            made.keywords["pattern"] = "^(0|[1-9][0-9]{0,19})$"
    made.keywords |= _values(rules, str)
    if rules.get("not_in"):
        made.others.append({"not": {"enum": [str(value) for value in rules["not_in"]]}})
    made.refuses_zero = _refuses_zero(rules, bounds)
    return made


def bool_constraint(rules: Rules) -> Constraint:
    """The rule on a boolean."""
    keywords = {"const": rules["const"]} if "const" in rules else {}
    return Constraint(keywords, refuses_zero=bool(rules.get("const")))


def enum_constraint(rules: Rules, enum: DescEnum) -> Constraint:
    """The rules on an enum, by the names of its values."""
    allowed = {value.number for value in enum.values}
    if "const" in rules:
        allowed &= {int(rules["const"])}
    if rules.get("in"):
        allowed &= {int(value) for value in rules["in"]}
    allowed -= {int(value) for value in rules.get("not_in", ())}
    names = [value.name for value in enum.values if value.number in allowed]
    keywords = {"enum": names} if len(names) < len(enum.values) else {}
    return Constraint(keywords, refuses_zero=0 not in allowed)


def duration_constraint(rules: Rules) -> Constraint:
    """The rules on a duration. No keyword compares those; a pattern tells signs and digits."""
    made = _told(rules)
    lowest, highest = _seconds(rules, "gt", "gte"), _seconds(rules, "lt", "lte")
    sign = "" if lowest is not None and lowest >= 0 else "-?"
    digits = 12 if highest is None or highest < 0 or sign else len(str(int(highest)))
    if sign == "" or digits < 12:
        made.keywords["pattern"] = rf"^{sign}[0-9]{{1,{digits}}}(\.[0-9]{{1,9}})?s$"
    return made


def timestamp_constraint(rules: Rules) -> Constraint:
    """The rules on a point in time, which no keyword compares."""
    made = _told(rules)
    if rules.get("lt_now"):
        made.notes.append("In the past.")
    if rules.get("gt_now"):
        made.notes.append("In the future.")
    if "within" in rules:
        made.notes.append(f"Within {_text(rules['within'])} of now.")
    return made


def _told(rules: Rules) -> Constraint:
    bounds = _bounds(rules)
    notes = [f"{_WORDS[key]} {_text(value)}." for key, value in bounds.items()]
    return Constraint(_values(rules, _text), notes=notes)


def _seconds(rules: Rules, *bounds: str) -> float | None:
    """The bound of a duration, in seconds."""
    given = next((rules[key] for key in bounds if key in rules), None)
    return None if given is None else given.seconds + given.nanos / 1e9


def _text(value: Any) -> str:
    """A duration or a time as ProtoJSON writes it."""
    return str(value.to_json()).strip('"')


def _bounds(rules: Rules) -> dict[str, Any]:
    return {key: rules[key] for key in _KEYWORDS if key in rules}


def _is_outside(bounds: dict[str, Any]) -> bool:
    """Whether the bounds name what is left out: protovalidate reads `> 9` and `< 1` so."""
    low = next((bounds[key] for key in ("gt", "gte") if key in bounds), None)
    high = next((bounds[key] for key in ("lt", "lte") if key in bounds), None)
    return low is not None and high is not None and high < low


def _values(rules: Rules, form: Callable[[Any], Any]) -> Json:
    keywords: Json = {}
    if "const" in rules:
        keywords["const"] = form(rules["const"])
    if rules.get("in"):
        keywords["enum"] = [form(value) for value in rules["in"]]
    return keywords


def _refuses_zero(rules: Rules, bounds: dict[str, Any]) -> bool:
    holds = {
        "gt": lambda bound: bound < 0,
        "gte": lambda bound: bound <= 0,
        "lt": lambda bound: bound > 0,
        "lte": lambda bound: bound >= 0,
    }
    within = [holds[key](bound) for key, bound in bounds.items()]
    kept = any(within) if _is_outside(bounds) else all(within)
    listed = not rules.get("in") or 0 in rules["in"]
    constant = "const" not in rules or rules["const"] == 0
    return not (kept and listed and constant and 0 not in rules.get("not_in", ()))
