"""Amounts and times as people write them: `64GiB`, `1.5`, `90m`, `2026-03-01T12:00:00Z`."""

import re
from datetime import UTC, datetime

from windlass_server.simulation.workload import SECOND

_BYTES = {
    "B": 1,
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,15})?)\s*(?P<unit>[A-Za-z]*)")
_MOST_CORES = 10**6
_MOST_BYTES = 2**60
# A hundred years: longer is a mistake, such as milliseconds for seconds.
_MOST_SECONDS = 100 * 366 * 86400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cores(text: str) -> int:
    """Cores such as `1.5`, in thousandths.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    value, unit = _split(text)
    if unit:
        raise ValueError(f"{text!r} is not a number of cores, such as 4 or 0.5")
    if value > _MOST_CORES:
        raise ValueError(f"{text} is more than {_MOST_CORES} cores")
    return round(value * 1000)


def memory(text: str) -> int:
    """Memory with a unit, such as `64GiB`, in bytes.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    value, unit = _split(text)
    if unit not in _BYTES:
        has = f"has the unit {unit!r}" if unit else "has no unit"
        raise ValueError(f"{text!r} {has}; units are {', '.join(_BYTES)}")
    size = round(value * _BYTES[unit])
    if size > _MOST_BYTES:
        raise ValueError(f"{text} is more than an EiB")
    return size


def duration(text: str) -> int:
    """A time such as `90`, `90s`, `1.5h` or `7d`, in microseconds; seconds without a unit.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    value, unit = _split(text)
    if unit not in _SECONDS:
        raise ValueError(f"{text!r} has the unit {unit!r}; units are s, m, h and d")
    seconds = value * _SECONDS[unit]
    if seconds > _MOST_SECONDS:
        raise ValueError(f"{text} is more than a hundred years")
    return round(seconds * SECOND)


def moment(text: str) -> int:
    """Seconds since any start, or a date and time with its offset (RFC 3339), in microseconds.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    if "-" not in text and ":" not in text:
        return duration(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither seconds nor a time such as 2026-03-01T12:00:00Z"
        ) from None
    if at.tzinfo is None:
        raise ValueError(f"{text!r} does not say its offset from UTC, such as Z or +02:00")
    since = at - _EPOCH
    if since.days < 0:
        raise ValueError(f"{text!r} is before 1970")
    return (since.days * 86400 + since.seconds) * SECOND + since.microseconds


def _split(text: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a number from 0" if text else "a value is missing")
    return float(found["number"]), found["unit"]
