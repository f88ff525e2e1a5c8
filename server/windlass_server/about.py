"""What the page of our API says that its descriptors do not."""

from windlass_server import __version__
from windlass_server.gateway.openapi.document import About

_DESCRIPTION = """\
windlass runs jobs on the machines of a team: it decides what runs where, runs it in a sandbox and
streams logs and telemetry back. gRPC serves the same services with the same meaning; their contract is
at `/descriptors.binpb`.

- **JSON** is ProtoJSON with the names of the contract. Integers of 64 bits are strings. Names of enum
  values are taken in any case, and names of fields also in lowerCamelCase. A field or a parameter that
  is unknown, or given twice, is refused.
- **Errors** are a `google.rpc.Status` everywhere. Programs read the `reason` of its `ErrorInfo`, and
  people its `message`.
- **Lists** have pages: give `next_page_token` back as `page_token`, with the other parameters as they
  were, until it is empty.
- **Streams** are server-sent events for `Accept: text/event-stream`, lines of JSON for
  `application/x-ndjson`, and otherwise a JSON array.
- **Headers** of every request: `X-Request-Id` names it in logs, `X-Request-Timeout` is how many seconds
  the caller waits, `traceparent` is handed on. Bodies may be compressed with gzip.
"""

ABOUT = About(
    title="windlass",
    version=__version__,
    description=_DESCRIPTION,
    credential=(
        "An API key, or the short-lived token that `POST /v1/auth/token` gives for one. The first "
        "start of a server writes the administrator's key to `admin.token` in its data directory."
    ),
    authz_extension="windlass.options.v1.authz",
    domain="windlass",
)
