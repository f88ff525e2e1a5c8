"""Amounts as people write them: `4GiB`, `1h30m`, `2.5` cores; and the way back.

Every parser raises InvalidArgument with a sentence that shows what would have been right.
"""

import math
import re
from datetime import timedelta
from decimal import Decimal

from windlass_client.errors import InvalidArgument

_BYTE_UNITS = {
    "": 1,
    "b": 1,
    **{unit: 1000**power for power, unit in enumerate(("k", "m", "g", "t", "p"), 1)},
    **{f"{unit}b": 1000**power for power, unit in enumerate(("k", "m", "g", "t", "p"), 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate(("k", "m", "g", "t", "p"), 1)},
    **{f"{unit}ib": 1024**power for power, unit in enumerate(("k", "m", "g", "t", "p"), 1)},
}
_SECONDS = {
    unit: Decimal(seconds)
    for unit, seconds in (
        ("ms", "0.001"),
        ("s", "1"),
        ("m", "60"),
        ("h", "3600"),
        ("d", "86400"),
        ("w", "604800"),
    )
}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_BYTES = re.compile(rf"({_NUMBER})\s*([a-z]*)", re.ASCII)
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|s|m|h|d|w)", re.ASCII)
_DURATION = re.compile(rf"(?:(?:{_NUMBER})(?:ms|s|m|h|d|w))+", re.ASCII)
_PLAIN = re.compile(_NUMBER, re.ASCII)
_CPUS = re.compile(rf"({_NUMBER})(m?)", re.ASCII)
# What fits into the field of a request.
_MOST = 2**63 - 1


def parse_bytes(text: str | int) -> int:
    """Bytes of a size: `4GiB` and `4Gi` count in 1024s, `4GB` and `4G` in 1000s, `4096` is bytes."""
    if isinstance(text, int):
        return _fitting(text, f"{text} is more bytes", "BAD_SIZE")
    match = _BYTES.fullmatch(text.strip().lower())
    factor = _BYTE_UNITS.get(match[2]) if match else None
    if match is None or factor is None:
        raise InvalidArgument(
            f"{text!r} is not a size; write a number of bytes or such as 512MiB, 4GiB, 1.5TB",
            reason="BAD_SIZE",
        )
    return _fitting(int(Decimal(match[1]) * factor), f"{text!r} is more bytes", "BAD_SIZE")


def parse_gpu_share(text: str | float) -> int:
    """Thousandths of a GPU: `0.25` is 250. Nothing at all is 0; a whole GPU is no share."""
    word = str(text).strip()
    millis = Decimal(word) * 1000 if _PLAIN.fullmatch(word) else Decimal(-1)
    if not 0 <= millis < 1000 or millis % 1:
        raise InvalidArgument(
            f"{text!r} is no share of a GPU; write more than 0 and less than 1, such as 0.25 or 0.125",
            reason="BAD_GPU_SHARE",
        )
    return int(millis)


def parse_duration(text: str | float | timedelta) -> timedelta:
    """A span of time: `1h30m`, `90m`, `2.5h`, `500ms`, `1d`; a bare number is seconds."""
    if isinstance(text, timedelta):
        return text
    if isinstance(text, int | float):
        try:
            return timedelta(seconds=text)
        except (ValueError, OverflowError):
            raise _not_a_duration(str(text)) from None
    word = text.strip().lower()
    if _PLAIN.fullmatch(word):
        return _span(Decimal(word), text)
    if not _DURATION.fullmatch(word):
        raise _not_a_duration(text)
    parts = _DURATION_PART.findall(word)
    return _span(sum((Decimal(n) * _SECONDS[unit] for n, unit in parts), Decimal(0)), text)


def _span(seconds: Decimal, text: str) -> timedelta:
    try:
        return timedelta(microseconds=int(seconds * 1_000_000))
    except OverflowError:
        raise _not_a_duration(text) from None


def _not_a_duration(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"{text!r} is not a duration; write such as 90s, 30m, 1h30m, 2d", reason="BAD_DURATION"
    )


def parse_cpu_millis(text: str | float) -> int:
    """Thousandths of a core: `2`, `0.5` and `1.5` are cores, `250m` is thousandths already."""
    match = _CPUS.fullmatch(str(text).strip().lower())
    if match is None:
        raise InvalidArgument(
            f"{text!r} is not a number of CPUs; write such as 4, 0.5 or 250m", reason="BAD_CPUS"
        )
    return _fitting(_millis(match), f"{text!r} is more CPUs", "BAD_CPUS")


def parse_gpu_millis(text: str | float) -> int:
    """Thousandths of a GPU, of which there may be many: `8`, `0.5`, or `250m`."""
    match = _CPUS.fullmatch(str(text).strip().lower())
    if match is None:
        raise InvalidArgument(
            f"{text!r} is not a number of GPUs; write such as 8 or 0.5", reason="BAD_GPUS"
        )
    return _fitting(_millis(match), f"{text!r} is more GPUs", "BAD_GPUS")


def _millis(match: re.Match[str]) -> int:
    return int(Decimal(match[1]) * (1 if match[2] else 1000))


def _fitting(amount: int, words: str, reason: str) -> int:
    """The same amount. Raises InvalidArgument when no request can hold it."""
    if amount > _MOST:
        raise InvalidArgument(f"{words} than can be asked for", reason=reason)
    return amount


def format_bytes(amount: float) -> str:
    """At most four significant digits in the largest binary unit that leaves at least 1."""
    if amount < 1024:
        return f"{amount:.0f} B"
    power = min(int(math.log2(amount) // 10), 5)
    return f"{amount / 1024**power:.4g} {('', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi')[power]}B"


def format_joules(joules: float) -> str:
    """Three digits: `385 J`, `12.5 kJ`, and what a bill would show as `10.2 Wh` or `3.4 kWh`."""
    units = ((3.6e6, "kWh"), (36_000, "Wh"), (1000, "kJ"), (0, "J"))
    unit = next((name for least, name in units if joules >= least), "J")
    amount = joules / {"kWh": 3.6e6, "Wh": 3600, "kJ": 1000, "J": 1}[unit]
    return f"{amount:.0f} {unit}" if amount >= 999.5 else f"{amount:.3g} {unit}"


def format_cpu_millis(millis: float) -> str:
    """Cores without needless zeros."""
    return f"{millis / 1000:g}"


def format_gpus(count: int, millis: int) -> str:
    """How many GPUs, or what share of one."""
    return f"{millis / 1000:g}" if millis else str(count)


def format_span(seconds: float) -> str:
    """The two largest units: `45s`, `3m20s`, `2h5m`, `4d1h`; `0s` for a negative span."""
    whole = max(int(seconds), 0)
    sizes = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    first = next((i for i, (_, size) in enumerate(sizes) if whole >= size), 3)
    parts: list[str] = []
    for unit, size in sizes[first : first + 2]:
        count, whole = divmod(whole, size)
        if count or not parts:
            parts.append(f"{count}{unit}")
    return "".join(parts)
