"""How values are shown: JSON as the REST API prints it, and the words and cells of tables."""

import enum
import json
import sys
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from windlass_client.quantities import format_span

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_UNBOUNDED_WIDTH = 4_000

STATUS_STYLES = {
    "QUEUED": "yellow",
    "SCHEDULED": "yellow",
    "RUNNING": "cyan",
    "CANCELLING": "yellow",
    "SUSPENDING": "yellow",
    "SUSPENDED": "yellow",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "dim",
    "TIMED_OUT": "red",
    "OUT_OF_MEMORY": "red",
    "DEADLINE_EXCEEDED": "red",
    "READY": "green",
    "UNREACHABLE": "red",
    "CORDONED": "yellow",
    "DRAINING": "yellow",
    "DRAINED": "dim",
    "ACTIVE": "cyan",
    "RELEASED": "dim",
    "EXPIRED": "dim",
    "REVOKED": "red",
    "HEALTHY": "green",
    "UNHEALTHY": "red",
    "SUSPECT": "yellow",
    "RECOVERING": "yellow",
    "TRUE": "green",
    "FALSE": "red",
    "UNKNOWN": "yellow",
    "UPLOADING": "yellow",
}


class Output(enum.StrEnum):
    """What a command prints its answer as."""

    TABLE = "table"
    JSON = "json"


def console(file: TextIO) -> "Console":
    """A console that has colours on a terminal only, and never cuts what a script reads."""
    from rich.console import Console

    width = None if file.isatty() else _UNBOUNDED_WIDTH
    return Console(file=file, width=width, highlight=False, markup=False, soft_wrap=False)


def to_json(message: "Message", *, indent: int | None = 2) -> str:
    """ProtoJSON with snake_case names and default values printed, as the REST API answers."""
    from google.protobuf import json_format

    values = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return json.dumps(values, indent=indent, ensure_ascii=False)


def printable(text: str) -> str:
    """The text with control characters spelt out, so that none of them reaches the terminal."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf") else repr(c)[1:-1]
        for c in text
    )


def table(*headings: str, right: Sequence[str] = ()) -> "Table":
    """An empty table in the plain style of all our lists."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for index, heading in enumerate(headings):
        made.add_column(
            heading,
            no_wrap=index == 0,
            overflow="fold" if index == 0 else "ellipsis",
            justify="right" if heading in right else "left",
        )
    return made


def cell(text: object, style: str = "") -> "Text":
    """One cell: printable, on one line, without markup."""
    from rich.text import Text

    return Text(printable(str(text)).replace("\n", " "), style=style)


def status_cell(status: str) -> "Text":
    """A status in its colour."""
    return cell(status, STATUS_STYLES.get(status, ""))


def bar(share: float, width: int = 10) -> "Text":
    """A bar for a share of 1: green, yellow from 60 %, red from 90 %."""
    from rich.text import Text

    share = min(max(share, 0.0), 1.0)
    eighths = round(share * width * 8)
    partial = "" if eighths % 8 == 0 else " ▏▎▍▌▋▊▉"[eighths % 8]
    filled = "█" * (eighths // 8) + partial
    style = "red" if share >= 0.9 else "yellow" if share >= 0.6 else "green"
    return Text(filled.ljust(width, "·"), style=style)


def moment(timestamp: "Timestamp") -> str:
    """A time in the reader's zone, to the second."""
    return timestamp.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(timestamp: "Timestamp", now: datetime) -> str:
    """How long ago a time was: `45s`, `3m20s`."""
    return format_span((now - timestamp.ToDatetime(tzinfo=UTC)).total_seconds())


def read_clock() -> datetime:
    """The present, for ages in tables: the one place of the command that asks."""
    return datetime.now(UTC)  # noqa: TID251 - this is the command's clock


def say(text: str) -> None:
    """A line for people, beside the answer: on standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()
