"""Pages of other origins: what Envoy adds to all answers, and how it answers preflights.

Not by Envoy's own CORS filter: that one leaves answers alone that a route gives by itself, and here
every route does until the transcoder has taken the call.
"""

from collections.abc import Sequence

from windlass_server.gateway.envoy.answers import Config
from windlass_server.gateway.envoy.guards import regex
from windlass_server.gateway.envoy.header_filters import changed_headers, settings
from windlass_server.gateway.envoy.patterns import literal
from windlass_server.gateway.origins import ANY_ORIGIN

_MAX_AGE_SECONDS = "600"
_ASKED_METHOD = "access-control-request-method"
_ASKED_HEADERS = "access-control-request-headers"
_METHOD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}"
# What a page sees of an answer besides what it always does.
_SEEN = ", ".join(
    (
        *("accept-ranges", "allow", "content-digest", "content-disposition", "content-encoding"),
        *("content-range", "etag", "repr-digest", "retry-after", "www-authenticate"),
        "x-request-id",
    )
)


def http_filters(origins: Sequence[str]) -> list[Config]:
    """The filter that says on every answer who may read it, when there are origins; `*` for any."""
    if not origins:
        return []
    if ANY_ORIGIN in origins:
        allowed, shown, vary = "'origin' in request.headers", "'*'", []
    else:
        listed = ", ".join(f"'{origin}'" for origin in origins)
        origin = "request.headers['origin']"
        allowed, shown = f"'origin' in request.headers && {origin} in [{listed}]", origin
        append = {"header": {"key": "vary", "value": "origin"}}
        vary = [{"append": {**append, "append_action": "APPEND_IF_EXISTS_OR_ADD"}}]
    values = {
        "access-control-allow-origin": f"%CEL({allowed} ? {shown} : '')%",
        "access-control-expose-headers": f"%CEL({allowed} ? '{_SEEN}' : '')%",
    }
    mutation = changed_headers(response=[*settings(values), *vary])
    return [{"name": "windlass.cors", "typed_config": mutation}]


def routes(origins: Sequence[str]) -> list[Config]:
    """The route of preflights, before all others: a page may do all that it asks for."""
    if not origins:
        return []
    known = ".*" if ANY_ORIGIN in origins else "|".join(map(literal, origins))
    headers = {
        "access-control-allow-methods": f"%REQ({_ASKED_METHOD})%",
        "access-control-allow-headers": f"%REQ({_ASKED_HEADERS})%",
        "access-control-max-age": _MAX_AGE_SECONDS,
    }
    return [
        {
            "name": "preflight",
            "match": {
                "prefix": "/",
                "headers": [
                    regex(":method", "OPTIONS"),
                    regex("origin", known),
                    regex(_ASKED_METHOD, _METHOD),
                ],
            },
            "direct_response": {"status": 204},
            "response_headers_to_add": [one["append"] for one in settings(headers)],
        }
    ]
