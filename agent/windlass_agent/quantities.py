"""Amounts as operators write them."""

import re
from decimal import Decimal

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_BYTES = {"": 1, "B": 1} | {
    prefix + suffix: base**power
    for suffix, base in (("", 1000), ("B", 1000), ("i", 1024), ("iB", 1024))
    for power, prefix in enumerate(("K", "M", "G", "T"), start=1)
}
_CORES = {"": 1000, "m": 1}
_MILLISECONDS = {"": 1000, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def cpu_millis(text: str) -> int:
    """Thousandths of a core from `1.5` (cores) or `500m`. ValueError when it is neither."""
    return _amount(text, _CORES, "cores such as 1.5 or 500m")


def memory_bytes(text: str) -> int:
    """Bytes from `512MiB`, `16G`, `1000`. ValueError when it is none of these."""
    return _amount(text, _BYTES, "an amount of memory such as 512MiB or 16GiB")


def seconds(text: str) -> float:
    """Seconds from `1s`, `250ms`, `10m`, `1.5`. ValueError when it is none of these."""
    return _amount(text, _MILLISECONDS, "a time such as 250ms, 5s or 10m") / 1000


def _amount(text: str, units: dict[str, int], wanted: str) -> int:
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found[2] not in units:
        raise ValueError(f"{text!r} is not {wanted}")
    return int(Decimal(found[1]) * units[found[2]])
