"""The line protocol of custom metrics.

```
line   = pair *( 1*SP pair )         at most 1,024 bytes and 32 pairs; lines end with LF, or with the datagram
pair   = name "=" number
name   = letter-or-"_" *( letter / digit / "_" / "." / "/" / "-" )      at most 128 characters
number = what C's strtod reads in decimal: 0.31, -4e-5, nan, inf, -inf
```

`step=17`, a whole number from 0 to 2^53 - 1, says what the other pairs of the line are values at. Empty lines
and those that begin with `#` are nothing.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE = 1024
MAX_PAIRS = 32
STEP = b"step"
NO_STEP = -1
_MAX_STEP = (1 << 53) - 1
_SHOWN = 60

# Without the underscores, other scripts' digits and white space that Python's float() takes.
_PAIR = re.compile(
    rb"([A-Za-z_][A-Za-z0-9_./-]{0,127})="
    rb"([+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|[nN][aA][nN]|[iI][nN][fF]))"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line that makes sense.

    Attributes:
        values: by name.
        step: what they are values at; -1 when it is not said.
    """

    values: tuple[tuple[str, float], ...]
    step: int = NO_STEP


class Malformed(ValueError):
    """A line that makes none; the text says why and shows its beginning."""


def lines_in(datagram: bytes) -> Iterator[bytes]:
    """The lines of a datagram that are anything."""
    for line in datagram.split(b"\n"):
        stripped = line.strip(b" \r\t")
        if stripped and not stripped.startswith(b"#"):
            yield stripped


def parse(line: bytes) -> Line:
    """A line's values.

    Raises:
        Malformed: it is not of the grammar.
    """
    if len(line) > MAX_LINE:
        raise _malformed(f"longer than {MAX_LINE} bytes", line)
    words = line.split()
    if len(words) > MAX_PAIRS:
        raise _malformed(f"more than {MAX_PAIRS} pairs", line)
    values: list[tuple[str, float]] = []
    step = NO_STEP
    for word in words:
        pair = _PAIR.fullmatch(word)
        if pair is None:
            raise _malformed("not name=number", line)
        value = float(pair[2])
        if pair[1] == STEP:
            step = _step(value, line)
        else:
            values.append((pair[1].decode(), value))
    if not values:
        raise _malformed("a step without a value", line)
    return Line(tuple(values), step)


def _step(value: float, line: bytes) -> int:
    if not (math.isfinite(value) and 0 <= value <= _MAX_STEP and value == int(value)):
        raise _malformed("the step is not a whole number from 0 to 2^53 - 1", line)
    return int(value)


def _malformed(why: str, line: bytes) -> Malformed:
    shown = line[:_SHOWN].decode("ascii", "replace")
    return Malformed(f"{why}: {shown}")
