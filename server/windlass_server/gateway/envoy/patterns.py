"""Path templates, query strings and header names as regular expressions.

Envoy matches with RE2: no look-around and no back-references, always the whole text. A path here is
what `:path` holds, so a query may follow it.
"""

from collections.abc import Iterable
from urllib.parse import quote

from windlass_server.gateway.template import ANY, REST, Literal, Template

_SPECIAL = frozenset(".^$*+?()[]{}|\\")
# How a character begins, and how many continuation bytes follow: UTF-8, percent-encoded.
_LEADS = (
    ("[^%]", 0),
    ("%[0-7][0-9A-Fa-f]", 0),
    ("%(?:[Cc][2-9A-Fa-f]|[Dd][0-9A-Fa-f])", 1),
    ("%[Ee]0%[ABab][0-9A-Fa-f]", 1),
    ("%[Ee][1-9A-CEFa-cef]", 2),
    ("%[Ee][Dd]%[89][0-9A-Fa-f]", 1),
    ("%[Ff]0%[9ABab][0-9A-Fa-f]", 2),
    ("%[Ff][1-3]", 3),
    ("%[Ff]4%8[0-9A-Fa-f]", 2),
)
_CHARACTER = "|".join(lead + "%[89ABab][0-9A-Fa-f]" * tails for lead, tails in _LEADS)

# A path, and a query, whose escapes are whole and decode to UTF-8.
WELL_FORMED_PATH = rf"(?:{_CHARACTER.replace('[^%]', '[^%?]')})*(?:\?.*)?"
WELL_FORMED_QUERY = rf"[^?]*(?:\?(?:{_CHARACTER})*)?"
# A path with an empty segment, at its end or inside.
EMPTY_SEGMENT = r"[^?]*//[^?]*(?:\?.*)?|[^?]*/(?:\?.*)?"
# At least one query parameter.
ANY_PARAMETER = r"[^?]*\?.*[^&].*"
# A query parameter without a name.
NO_NAME = r"[^?]*\?(?:.*&)?=.*"
# A query parameter whose name hides behind an escape.
ESCAPED_NAME = r"[^?]*\?(?:.*&)?[^=&]*%.*"


def literal(text: str) -> str:
    """The expression that matches exactly this text."""
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in text)


def path(template: Template) -> str:
    """The expression of the paths that a template matches, without a query."""
    expression = "".join(map(_segment, template.segments))
    return expression + (literal(f":{template.verb}") if template.verb else "")


def _segment(segment: Literal | str) -> str:
    if isinstance(segment, Literal):
        return "/" + literal(quote(segment.text, safe="-._~!$&'()+,;@"))
    return {ANY: "/[^/]+", REST: "(?:/.*)?"}[segment]


def parameter(names: Iterable[str]) -> str:
    """The expression of paths with a query parameter that names one of these fields, or below."""
    return rf"[^?]*\?(?:.*&)?(?:{'|'.join(map(literal, names))})(?:\.[^=&]*)?(?:[=&].*)?"


def none_of(words: Iterable[str]) -> str:
    """The expression of every text that is none of these words and does not begin with a colon.

    For header names: pseudo-headers stay.
    """
    trie: dict[str, dict] = {}  # type: ignore[type-arg]
    for word in words:
        node = trie
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}
    return _other_than(trie, ":")


def _other_than(node: dict[str, dict], extra: str = "") -> str:  # type: ignore[type-arg]
    """What may follow at this place in the trie so that the whole is none of its words."""
    known = sorted(char for char in node if char)
    choices = [literal(char) + _other_than(node[char]) for char in known]
    outside = "".join(f"\\{char}" if char in "-]^\\" else char for char in [*known, *extra])
    choices.append(f"[^{outside}].*" if outside else ".+")
    if "" not in node:
        choices.append("")
    return f"(?:{'|'.join(choices)})"
