"""protovalidate's rules on strings and bytes."""

import re

from windlass_server.gateway.openapi.constraint import Constraint
from windlass_server.gateway.openapi.options import Rules
from windlass_server.gateway.openapi.patterns import to_ecma
from windlass_server.gateway.openapi.values import Json

_FORMATS: dict[str, Json] = {
    "email": {"format": "email"},
    "hostname": {"format": "hostname"},
    "ip": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    "ipv4": {"format": "ipv4"},
    "ipv6": {"format": "ipv6"},
    "uri": {"format": "uri"},
    "uri_ref": {"format": "uri-reference"},
    "address": {"anyOf": [{"format": "hostname"}, {"format": "ipv4"}, {"format": "ipv6"}]},
    "uuid": {"format": "uuid"},
    "tuuid": {"pattern": "^[0-9a-fA-F]{32}$"},
    "ulid": {"pattern": "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"},
}
_NAMED = {
    "ip_with_prefixlen": "An IP address with the length of its prefix, such as `10.1.2.3/16`.",
    "ipv4_with_prefixlen": "An IPv4 address with the length of its prefix, such as `10.1.2.3/16`.",
    "ipv6_with_prefixlen": "An IPv6 address with the length of its prefix.",
    "ip_prefix": "A network, such as `10.1.0.0/16`.",
    "ipv4_prefix": "An IPv4 network, such as `10.1.0.0/16`.",
    "ipv6_prefix": "An IPv6 network.",
    "host_and_port": "A host and a port, such as `node.example:80`.",
    "protobuf_fqn": "The full name of something in a protobuf schema.",
    "protobuf_dot_fqn": "The full name of something in a protobuf schema, with a dot before it.",
}
_WELL_KNOWN_REGEXES = {1: "The name of an HTTP header.", 2: "The value of an HTTP header."}


def string_constraint(rules: Rules) -> Constraint:
    """The rules on a string."""
    made = Constraint()
    shortest = max(rules.get("min_len", 0), rules.get("len", 0))
    # A code point takes at most four bytes.
    in_bytes = max(rules.get("min_bytes", 0), rules.get("len_bytes", 0))
    shortest = max(shortest, -(-in_bytes // 4))
    bounds = [rules[key] for key in ("max_len", "len", "max_bytes", "len_bytes") if key in rules]
    if shortest:
        made.keywords["minLength"] = shortest
    if bounds:
        made.keywords["maxLength"] = min(bounds)
    made.notes += _byte_notes(rules)
    _add_patterns(made, rules)
    _add_values(made, rules)
    _add_format(made, rules)
    made.refuses_zero = shortest > 0 or _refuses_empty(rules)
    return made


def bytes_constraint(rules: Rules) -> Constraint:
    """The rules on bytes, whose JSON is their base64."""
    made = Constraint()
    shortest = max(rules.get("min_len", 0), rules.get("len", 0))
    bounds = [rules[key] for key in ("max_len", "len") if key in rules]
    if shortest:
        made.keywords["minLength"] = -(-shortest * 4 // 3)
        made.notes.append(f"At least {shortest} bytes, before base64.")
    if bounds:
        made.keywords["maxLength"] = -(-min(bounds) // 3) * 4
        made.notes.append(f"At most {min(bounds)} bytes, before base64.")
    made.refuses_zero = shortest > 0
    return made


def _byte_notes(rules: Rules) -> list[str]:
    words = (("min_bytes", "At least"), ("max_bytes", "At most"), ("len_bytes", "Exactly"))
    return [f"{word} {rules[key]:,} bytes in UTF-8." for key, word in words if key in rules]


def _add_patterns(made: Constraint, rules: Rules) -> None:
    """Patterns and what can be said as one; a schema has room for one, the others stand beside."""
    patterns = []
    if "pattern" in rules:
        pattern = to_ecma(rules["pattern"])
        if pattern is None:
            made.notes.append(f"Matches the RE2 expression `{rules['pattern']}`.")
        else:
            patterns.append(pattern)
    for key, form in (("prefix", "^{}"), ("suffix", "{}$"), ("contains", "{}")):
        if key in rules:
            patterns.append(form.format(_literal(rules[key])))
    if patterns:
        made.keywords["pattern"] = patterns[0]
    made.others += [{"pattern": pattern} for pattern in patterns[1:]]
    if "not_contains" in rules:
        made.others.append({"not": {"pattern": _literal(rules["not_contains"])}})


def _literal(text: str) -> str:
    return re.sub(r"[\^$\\.*+?()\[\]{}|/]", lambda found: "\\" + found[0], text)


def _add_values(made: Constraint, rules: Rules) -> None:
    if "const" in rules:
        made.keywords["const"] = rules["const"]
    if rules.get("in"):
        made.keywords["enum"] = list(rules["in"])
    if rules.get("not_in"):
        made.others.append({"not": {"enum": list(rules["not_in"])}})


def _add_format(made: Constraint, rules: Rules) -> None:
    kind = _well_known(rules)
    if kind in _FORMATS:
        form = _FORMATS[kind]
        if set(form) & set(made.keywords):
            made.others.append(form)
        else:
            made.keywords |= form
    elif kind:
        made.notes.append(_NAMED[kind])
    if int(rules.get("well_known_regex", 0)) in _WELL_KNOWN_REGEXES:
        made.notes.append(_WELL_KNOWN_REGEXES[int(rules["well_known_regex"])])


def _well_known(rules: Rules) -> str:
    """The name of protovalidate for the kind of string; empty when it is not of a kind."""
    return next((kind for kind in (*_FORMATS, *_NAMED) if rules.get(kind)), "")


def _refuses_empty(rules: Rules) -> bool:
    """Whether the empty string breaks a rule other than that on its length."""
    if any(rules.get(key) for key in ("prefix", "suffix", "contains", "const")):
        return True
    if "in" in rules and rules["in"] and "" not in rules["in"]:
        return True
    if _well_known(rules) not in ("", "uri_ref"):
        return True
    pattern = to_ecma(rules["pattern"]) if "pattern" in rules else None
    try:
        return pattern is not None and re.search(pattern, "") is None
    except re.error:
        return False
