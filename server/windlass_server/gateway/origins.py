"""Origins of web pages, as browsers send them."""

import re

ANY_ORIGIN = "*"
# Scheme, host and port, in lower case and without a path.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def is_origin(text: str) -> bool:
    """Whether a text is an origin, such as `https://console.example:8443`, or `*` for any."""
    return text == ANY_ORIGIN or _ORIGIN.fullmatch(text) is not None
