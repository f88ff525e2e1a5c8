"""Curves in a terminal: dots of braille, with what they stand for at the edges."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

# Of the dots of a braille character, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800
_WIDE, _HIGH = 2, 4
_COLOURS = ("green", "cyan", "magenta", "yellow", "blue", "red")
_EDGE = 11


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, and x and y of its points, x rising. Of y what is not finite is a gap."""

    name: str
    points: Sequence[tuple[float, float]]

    @property
    def finite(self) -> Sequence[tuple[float, float]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in self.points if math.isfinite(y)]


def chart(lines: Sequence[Line], *, width: int, height: int, ends: tuple[str, str]) -> "Text":
    """The curves over each other, as so many lines of text and one for the x axis.

    Args:
        lines: at least one with a point that is a number.
        width: columns of the whole.
        height: lines of the drawing.
        ends: what stands at both ends of the x axis.
    """
    from rich.text import Text

    low, high = _range([y for line in lines for _, y in line.finite])
    first, last = _range([x for line in lines for x, _ in line.points])
    columns = max(width - _EDGE - 2, 8)
    cells: dict[tuple[int, int], tuple[int, str]] = {}
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        for x, y in _dots(line, (first, last), (low, high), columns * _WIDE, height * _HIGH):
            cell = (y // _HIGH, x // _WIDE)
            bits = cells.get(cell, (0, colour))[0] | _DOTS[y % _HIGH][x % _WIDE]
            cells[cell] = (bits, colour)
    drawn = Text()
    for row in range(height):
        drawn.append(f"{_label(row, height, low, high):>{_EDGE}} ┤", style="dim")
        for column in range(columns):
            bits, colour = cells.get((row, column), (0, ""))
            drawn.append(chr(_BLANK + bits), style=colour)
        drawn.append("\n")
    left, right = ends
    gap = max(columns - len(left) - len(right), 1)
    drawn.append(f"{'':{_EDGE}}  {left}{'':{gap}}{right}", style="dim")
    return drawn


def legend(lines: Sequence[Line]) -> "Text":
    """Which colour is which curve."""
    from rich.text import Text

    made = Text()
    for number, line in enumerate(lines):
        made.append("━━ ", style=_COLOURS[number % len(_COLOURS)])
        made.append(f"{line.name}   ")
    return made


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest, apart from each other."""
    low, high = min(values), max(values)
    if low == high:
        # As far apart as can be seen beside numbers of their size.
        apart = abs(low) * 0.05 or 1.0
        return low - apart, high + apart
    return low, high


def _label(row: int, height: int, low: float, high: float) -> str:
    labelled: Mapping[int, float] = {0: high, (height - 1) // 2: (low + high) / 2, height - 1: low}
    return f"{labelled[row]:.4g}" if row in labelled else ""


def _dots(
    line: Line, across: tuple[float, float], up: tuple[float, float], wide: int, high: int
) -> "list[tuple[int, int]]":
    """The dots of a curve, those between neighbours too; rows from the top."""

    def place(x: float, y: float) -> tuple[int, int]:
        column = (x - across[0]) / (across[1] - across[0]) * (wide - 1)
        row = (up[1] - y) / (up[1] - up[0]) * (high - 1)
        return round(column), round(row)

    dots: list[tuple[int, int]] = []
    before: tuple[int, int] | None = None
    for x, y in line.points:
        if not math.isfinite(y):
            before = None
            continue
        here = place(x, y)
        dots += [here] if before is None else _between(before, here)
        before = here
    return dots


def _between(start: tuple[int, int], end: tuple[int, int]) -> "list[tuple[int, int]]":
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (
            round(start[0] + (end[0] - start[0]) * step / steps),
            round(start[1] + (end[1] - start[1]) * step / steps),
        )
        for step in range(steps + 1)
    ]
