"""Whole numbers as the decimal text of the API, and back. Nothing is rounded."""

from decimal import Context, Decimal

# More digits than any amount has: nothing that is divided here by powers of 2 and 5 is rounded.
_EXACT = Context(prec=120)
BILLIONTHS = 10**9


def decimal(amount: int, divisor: int) -> str:
    """`amount / divisor` in full, without needless zeros; the divisor has no prime but 2 and 5."""
    return f"{_EXACT.divide(Decimal(amount), Decimal(divisor)).normalize(_EXACT):f}"


def billionths(text: str) -> int:
    """A decimal number of at most nine digits behind the point, in billionths."""
    return int(_EXACT.multiply(Decimal(text), Decimal(BILLIONTHS)))
