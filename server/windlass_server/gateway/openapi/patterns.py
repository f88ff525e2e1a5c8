"""Regular expressions of protovalidate as those of JSON Schema.

Rules are written for RE2, JSON Schema takes ECMA-262, of which it recommends only what nearly every
engine knows. Both search, neither anchors by itself. What is spelled differently is respelled; what
is beyond that gives no pattern at all, so that a schema never refuses what the server takes.
"""

import re
from collections.abc import Callable

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-\/:-@\[-`\{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
}
# What ECMA-262 lets be escaped by a backslash, in a pattern and in a class.
_SYNTAX = frozenset(r"^$\.*+?()[]{}|/")
_SAME = frozenset("dDwWsSbBfnrtv")
_TOKEN = re.compile(
    r"""
    \\x\{(?P<wide>[0-9A-Fa-f]{1,6})\}   # a code point
    | (?P<hex>\\x[0-9A-Fa-f]{2})        # a byte's worth of one
    | (?P<property>\\[pP])              # a property of Unicode
    | \\Q(?P<quoted>.*?)(?:\\E|$)       # literal text
    | \\(?P<escape>.)                   # any other escape
    | \[:(?P<negated>\^?)(?P<named>[a-z]+):\]
    | \(\?P?<(?P<group>\w+)>            # a named group
    | \(\?(?P<flags>[imsU-]+[:)])       # flags, which ECMA-262 lacks
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Unsayable(ValueError):
    """An expression that ECMA-262 has no words for."""


def to_ecma(pattern: str) -> str | None:
    """The RE2 pattern as ECMA-262 spells it; None when it cannot."""
    out: list[str] = []
    in_class = False
    try:
        for token in _TOKEN.finditer(pattern):
            text = _translate(token, in_class=in_class)
            if token["other"] == "[" and not in_class:
                in_class = True
            elif token["other"] == "]" and in_class:
                # RE2 takes the first one of a class as a member.
                in_class = _opens_class(out)
                text = r"\]" if in_class else "]"
            out.append(text)
    except _Unsayable:
        return None
    return "".join(out)


def _opens_class(out: list[str]) -> bool:
    """Whether what stands before is the very beginning of a class, where `]` is itself."""
    return out[-1:] == ["["] or out[-2:] == ["[", "^"]


def _translate(token: re.Match[str], *, in_class: bool) -> str:
    kind = token.lastgroup
    respell = _RESPELLINGS.get(kind or "")
    if respell is not None:
        return respell(token)
    if kind == "named":
        return _named_class(token, in_class=in_class)
    if kind == "escape":
        return _escape(token["escape"], in_class=in_class)
    if kind in ("flags", "property"):
        raise _Unsayable(token[0])
    return token[0]


def _quoted(text: str) -> str:
    return "".join(f"\\{each}" if each in _SYNTAX else each for each in text)


_RESPELLINGS: dict[str, Callable[[re.Match[str]], str]] = {
    "wide": lambda token: _quoted(chr(int(token["wide"], 16))),
    "quoted": lambda token: _quoted(token["quoted"]),
    "group": lambda _: "(",
}


def _named_class(token: re.Match[str], *, in_class: bool) -> str:
    members = _CLASSES.get(token["named"])
    if members is None or token["negated"] or not in_class:
        raise _Unsayable(token[0])
    return members


def _escape(character: str, *, in_class: bool) -> str:
    if character in _SAME or character in _SYNTAX or (in_class and character == "-"):
        return f"\\{character}"
    if character in "Az" and not in_class:
        return "^" if character == "A" else "$"
    if character == "a":
        return r"\x07"
    if character.isalnum():  # octal numbers, \C, \pN in lower case and what RE2 refuses, too
        raise _Unsayable(character)
    return character
