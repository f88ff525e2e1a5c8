"""Lines of CSV files that know where they stand, for errors that say so."""

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from windlass_server.simulation.trace import TraceError

_MOST = 10**12


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a file, which knows where it stands."""

    file: Path
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """What stands there; empty where there is no such column."""
        return self.cells.get(column, "").strip()

    def number(self, column: str, at_most: int = _MOST) -> int:
        """A whole number from 0; `1000.0` is one too.

        Raises:
            TraceError: it is something else.
        """
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            raise self.error(column, f"{text!r} is not a number") from None
        if not value.is_integer():  # NaN and infinity are none either
            raise self.error(column, f"{text} is not a whole number")
        if value < 0:
            raise self.error(column, f"{text} is less than 0")
        if value > at_most:
            raise self.error(column, f"{text} is more than {at_most}")
        return int(value)

    def check(self) -> None:
        """Refuse a line that has not as many cells as there are headings.

        Raises:
            TraceError: it has more or fewer.
        """
        if None in self.cells or None in self.cells.values():
            raise TraceError(
                f"{self.file}, line {self.line}: there are not as many cells as columns"
            )

    def error(self, column: str, what: str) -> TraceError:
        """What is wrong with a cell."""
        return TraceError(f"{self.file}, line {self.line}: {column}: {what}")


def rows(
    file: Path, needed: Collection[str], known: Collection[str] | None = None
) -> Iterator[Row]:
    """The lines below the headings.

    Args:
        file: CSV in UTF-8.
        needed: columns that must be there.
        known: columns that may be; None: any.

    Raises:
        TraceError: the file cannot be read, or is no such CSV.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            _check(file, reader.fieldnames or (), needed, known)
            for cells in reader:
                yield Row(file, reader.line_num, cells)
    except OSError as error:
        raise TraceError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{file}: this is not text in UTF-8") from None
    except csv.Error as error:
        raise TraceError(f"{file}: this is not CSV: {error}") from None


def _check(
    file: Path, found: Collection[str], needed: Collection[str], known: Collection[str] | None
) -> None:
    absent = [name for name in needed if name not in found]
    if absent:
        raise TraceError(f"{file}: there is no column {', '.join(absent)}")
    if known is None:
        return
    strange = [name for name in found if name not in known]
    if strange:
        names = ", ".join(repr(name) for name in strange)
        raise TraceError(f"{file}: unknown column {names}; known are {', '.join(known)}")
    if len(set(found)) < len(found):
        raise TraceError(f"{file}: a column is there twice")
