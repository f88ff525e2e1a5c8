"""Faults of simulated cards, by a script: for seeing, and testing, what becomes of them.

One fault in a line, or between semicolons:

```
script  = fault *( ( ";" / newline ) fault )
fault   = time SP target SP name [ SP number ]
time    = digits [ "." digits ] ( "ms" / "s" / "m" / "h" )     ; since the agent's start
target  = index of a card / "*" for all cards / "node"
```

What `name` can be is in `CARD_FAULTS` and `NODE_FAULTS`. A `#` begins a comment.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

ALL_CARDS = -1
NODE = -2

CARD_FAULTS = {
    "xid": "the driver reports an XID of this number",
    "ecc-corrected": "the memory has repaired so many errors",
    "ecc-uncorrected": "the memory has lost data so many times",
    "remap-pending": "a row of the memory waits for a reset to be replaced",
    "remap-failure": "a row of the memory could not be replaced",
    "reset-required": "the driver wants a reset",
    "reset-fails": "the next resets, so many of them, fail",
    "hot": "its fan fails: it heats up past what it slows down at",
    "lost": "it falls off the bus",
    "missing": "it was not there when the agent started; the time must be 0s",
    "heal": "nothing is wrong with it any more",
}
NODE_FAULTS = {
    "disk-full": "nothing is left of the disk",
    "disk-free": "there is room on the disk again",
    "stall": "the agent does nothing for so many seconds",
}
# Faults that are nothing without a number; others may have one where that makes sense.
_NUMBERED = {"xid", "stall"}
_COUNTED = {"ecc-corrected", "ecc-uncorrected", "reset-fails"}

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FAULT = re.compile(
    r"(?P<time>[0-9]{1,9}(?:\.[0-9]{1,9})?)(?P<unit>ms|s|m|h)\s+(?P<target>[0-9]{1,4}|\*|node)"
    r"\s+(?P<name>[a-z-]+)(?:\s+(?P<number>[0-9]{1,9}))?"
)


@dataclass(frozen=True, slots=True)
class ScriptedFault:
    """A fault at a time: of the card of an index, of `ALL_CARDS`, or of the `NODE`."""

    seconds: float
    target: int
    name: str
    number: int = 1


def parse_faults(script: str) -> tuple[ScriptedFault, ...]:
    """The faults of a script in the order of their times. ValueError names what is no fault."""
    lines = [line.partition("#")[0] for line in script.splitlines()]
    parts = [part.strip() for line in lines for part in line.split(";")]
    return tuple(sorted((_parse(part) for part in parts if part), key=lambda fault: fault.seconds))


def missing_cards(faults: Sequence[ScriptedFault], count: int) -> frozenset[int]:
    """The indexes of the cards, of so many, that are not there when the agent starts."""
    gone = {fault.target for fault in faults if fault.name == "missing"}
    return frozenset(range(count)) if ALL_CARDS in gone else frozenset(gone)


def _parse(text: str) -> ScriptedFault:
    found = _FAULT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not TIME CARD FAULT, such as `30s 0 xid 79`")
    name, number, target = found["name"], found["number"], found["target"]
    known = NODE_FAULTS if target == "node" else CARD_FAULTS
    if name not in known:
        raise ValueError(f"{name!r} in {text!r} is not one of {', '.join(known)}")
    if name in _NUMBERED and number is None:
        raise ValueError(f"{text!r} lacks the number of `{name}`")
    if number is not None and name not in _NUMBERED | _COUNTED:
        raise ValueError(f"{text!r}: `{name}` has no number")
    seconds = float(found["time"]) * _SECONDS[found["unit"]]
    if name == "missing" and seconds:
        raise ValueError(f"{text!r}: a card is missing from 0s on or not at all")
    return ScriptedFault(seconds, _target(target), name, int(number or 1))


def _target(word: str) -> int:
    named = {"*": ALL_CARDS, "node": NODE}
    return named[word] if word in named else int(word)
