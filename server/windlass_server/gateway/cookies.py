"""A credential in a cookie, for the one thing in a browser that cannot send a header: `EventSource`.

A page that has a token sets the cookie itself, `SameSite=Strict`, and removes it when it signs out; the
server never sets one. In a query the token would end up in logs and histories, and a ticket for one use
would not survive the first reconnect.

A browser may send a cookie without its page having asked for anything. So it counts only where nothing
can be changed and nothing is shown to another page: for GET and HEAD, without an `Authorization` header,
and not when the browser says that another site's page is behind the request.
"""

import re
from collections.abc import Iterable

# The second one, which browsers keep to this host and to TLS, wins; pages on TLS should use it.
COOKIES = ("windlass_token", "__Host-windlass_token")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,8192}")
_OWN_SITE = frozenset({b"same-origin", b"none"})


def cookie_token(method: str, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token in a request's cookie; None when there is none that counts.

    A name that is given twice counts for nothing: another host of the site can add a second one.
    """
    if method not in ("GET", "HEAD"):
        return None
    found: dict[str, list[str]] = {name: [] for name in COOKIES}
    for header, value in headers:
        if header == b"authorization" or header == b"origin":
            return None
        if header == b"sec-fetch-site" and value not in _OWN_SITE:
            return None
        if header == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                name, _, token = pair.strip().partition("=")
                if name in found:
                    found[name].append(token)
    tokens = [given[0] for given in found.values() if len(given) == 1]
    return tokens[-1] if tokens and _TOKEN.fullmatch(tokens[-1]) else None
