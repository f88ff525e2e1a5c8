"""What a caller likes best, by the qualities in its `Accept` and `Accept-Encoding` (RFC 9110, 12.4)."""

import re

_QUALITY = re.compile(r"q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def qualities(header: str) -> dict[str, float]:
    """Each value of the header in lower case, without its parameters, and its quality.

    A malformed quality counts as 0; of a value that is given twice the better one counts.
    """
    found: dict[str, float] = {}
    for each in header.split(","):
        value, *parameters = (part.strip().lower() for part in each.split(";"))
        if value:
            found[value] = max(found.get(value, 0.0), _quality(parameters))
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q"):
            found = _QUALITY.fullmatch(parameter)
            if found is not None:
                return float(found[1])
            if parameter[1:].lstrip().startswith("="):
                return 0.0
    return 1.0


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether `Accept-Encoding` takes gzip, and likes it no less than none at all.

    What it does not name is not taken, so that a caller who says nothing gets plain bytes.
    """
    liked = qualities(accept_encoding)
    gzip = liked.get("gzip", liked.get("x-gzip", liked.get("*", 0.0)))
    return gzip > 0 and gzip >= liked.get("identity", 0.0)
