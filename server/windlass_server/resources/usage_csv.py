"""Usage as a file of comma separated values (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from windlass_server.resources.decimals import BILLIONTHS, decimal, gib
from windlass_server.resources.ledger import Amounts, Ledger, Loss, Row, Used
from windlass_server.resources.usage_message import measured_amounts

MAX_EXPORTED_ROWS = 100_000
CONTENT_TYPE = "text/csv; charset=utf-8; header=present"

# Rows that are made into text at once, between which others have their turn.
_ROWS = 200
_AMOUNTS = ("gpu_seconds", "cpu_core_seconds", "memory_gib_seconds", "cost")
# What a spreadsheet takes for a formula; see OWASP, CSV injection.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def file_name(ledger: Ledger) -> str:
    """What a download of it is called."""
    start, end = (_time(at)[:10] for at in (ledger.window.start, ledger.window.end))
    return f"usage-{start}-{end}.csv"


def csv_pieces(ledger: Ledger, rows: Iterable[Row]) -> Iterator[bytes]:
    """The file, in pieces: a header, then a line for each of a ledger's rows."""
    yield _lines([_header(ledger)])
    left = iter(rows)
    while some := list(islice(left, _ROWS)):
        yield _lines([_cells(row, ledger.prices.currency) for row in some])


def _header(ledger: Ledger) -> Sequence[str]:
    lost = [f"wasted_by_{loss.value}_{name}" for loss in Loss for name in _AMOUNTS]
    used = [f"used_{name}" for name in measured_amounts(Used())]
    return ["start_time", "end_time", *ledger.group_by, *_AMOUNTS, *lost, *used, "currency"]


def _cells(row: Row, currency: str) -> Sequence[str]:
    return [
        _time(row.start),
        _time(row.end),
        *map(_text, row.group),
        *_amounts(row.held),
        *(cell for loss in Loss for cell in _amounts(row.wasted[loss])),
        *measured_amounts(row.used).values(),
        currency,
    ]


def _amounts(amounts: Amounts) -> Sequence[str]:
    return (
        decimal(amounts.gpu_millis, 9),
        decimal(amounts.cpu_millis, 9),
        gib(amounts.memory_bytes, 6),
        decimal(amounts.cost, BILLIONTHS),
    )


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def _time(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    return at.isoformat().replace("+00:00", "Z")


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
