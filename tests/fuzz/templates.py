"""Path templates: whatever is read survives being written out, and routes the paths it describes."""

from urllib.parse import quote

from tests.support import reference_router
from tests.support.reference_router import Candidate
from tests.support.templates import write
from windlass_server.gateway.routes import Match, Router
from windlass_server.gateway.template import ANY, REST, Template, TemplateError, parse

SEEDS = (
    b"/v1/jobs",
    b"/v1/jobs/{job_id}:cancel",
    b"/v1/{name=shelves/*/books/**}",
    b"/v1/*/{a.b_c}/**:verb",
    b"/a%20b/%7Bx%7D/{x=a%2Fb/*}",
    b"/a:b/{x}",
)
WORDS = (b"{", b"}", b"=", b"**", b"*", b"/", b":", b"{a=", b"%2F", b"%3A", b"/**}")


def check(data: bytes) -> None:
    """Read a template, write it, read it again, and look a path of it up."""
    text = data.decode("utf-8", "replace")
    try:
        template = parse(text)
    except TemplateError:
        return
    again = parse(write(template))
    assert (again.segments, again.variables, again.verb) == (
        template.segments,
        template.variables,
        template.verb,
    )
    router: Router[int] = Router()
    router.add("GET", template, 0)
    path = _path(template)
    found, expected = (
        router.match("GET", path),
        reference_router.match([("GET", template)], "GET", path),
    )
    assert isinstance(found, Match)
    assert isinstance(expected, Candidate)
    assert found.values == expected.values


def _path(template: Template) -> str:
    """A path that the template matches."""
    parts = [
        {ANY: "x", REST: "x/y"}[segment]
        if isinstance(segment, str)
        else quote(segment.text, safe="")
        for segment in template.segments
    ]
    return "/" + "/".join(parts) + (":" + quote(template.verb, safe="") if template.verb else "")
