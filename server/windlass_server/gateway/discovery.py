"""What tells people and programs of a contract: `/docs`, `/openapi.json` and `/descriptors.binpb`.

The page at `/docs` is the same for every contract and holds nothing of one: it reads `/openapi.json`,
with a credential where that is asked for, so it is answered to everyone. Its renderer is Swagger UI,
whose files come with an installed package: nothing is read from other hosts.

A contract that has one of these paths itself keeps it, and the gateway's own is left out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable

from protobuf import Registry

from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.openapi.document import About, openapi_document
from windlass_server.gateway.pages import Page

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
_HTML_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
)
_DESCRIPTORS_TYPE = b"application/vnd.google.protobuf; proto=google.protobuf.FileDescriptorSet"


@dataclass(frozen=True, slots=True)
class Discovery:
    """How a contract is told of.

    Attributes:
        about: what the OpenAPI page says that the descriptors do not.
        public: whether the contract is shown to callers without a credential, too.
    """

    about: About
    public: bool = False


def discovery_pages(
    discovery: Discovery | None,
    registry: Registry,
    descriptor_set: bytes,
    services: Sequence[str],
    *,
    planned_extension: str | None,
    style: JsonStyle,
) -> list[Page]:
    """The pages that tell of a contract.

    Args:
        discovery: how it is told of; None: not at all.
        registry: the contract.
        descriptor_set: the same, serialized.
        services: full names of the services that are served.
        planned_extension: full name of the service option that lists planned routes.
        style: how answers look as JSON.
    """
    if discovery is None:
        return []
    about = discovery.about

    def openapi() -> bytes:
        document = openapi_document(
            registry, services, about, planned_extension=planned_extension, style=style
        )
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    public = discovery.public
    return [
        *_docs_pages(),
        Page("/openapi.json", b"application/json", openapi, public),
        Page("/descriptors.binpb", _DESCRIPTORS_TYPE, lambda: descriptor_set, public),
    ]


def _docs_pages() -> list[Page]:
    """The page for people and what it is made of."""
    ours = files("windlass_server.gateway") / "docs_page"
    swagger = files("mkdocs_swagger_ui_tag") / "swagger-ui"
    css, script = b"text/css; charset=utf-8", b"text/javascript; charset=utf-8"
    html = b"text/html; charset=utf-8"
    return [
        Page("/docs", html, _reader(ours / "index.html"), public=True, headers=_HTML_HEADERS),
        Page("/docs/page.css", css, _reader(ours / "page.css"), public=True),
        Page("/docs/page.js", script, _reader(ours / "page.js"), public=True),
        Page(
            "/docs/swagger-ui.css",
            css,
            _reader(swagger / "stylesheets" / "swagger-ui.css"),
            public=True,
        ),
        Page(
            "/docs/swagger-ui-bundle.js",
            script,
            _reader(swagger / "javascripts" / "swagger-ui-bundle.js"),
            public=True,
        ),
    ]


def _reader(file: Traversable) -> partial[bytes]:
    return partial(file.read_bytes)
