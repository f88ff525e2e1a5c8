"""Whole numbers as the decimal text of the API, and back. Nothing is rounded."""

_GIB_PLACES = 30
_HALVES = 5**_GIB_PLACES
BILLIONTHS = 9
"""Places behind the point of what is counted in billionths."""


def decimal(amount: int, places: int) -> str:
    """An amount of at least 0 that is counted in `10 ** -places`, in full, without needless zeros."""
    whole, rest = divmod(amount, 10**places)
    return f"{whole}.{rest:0{places}d}".rstrip("0") if rest else str(whole)


def gib(amount: int, places: int) -> str:
    """As `decimal`, of bytes in GiB: a half has one place behind the point, so 2**-30 has thirty."""
    return decimal(amount * _HALVES, places + _GIB_PLACES)


def billionths(text: str) -> int:
    """A decimal number of at most nine digits behind the point, in billionths."""
    whole, _, rest = text.partition(".")
    return int(whole + rest.ljust(BILLIONTHS, "0"))
