"""Routes that refuse what Envoy's transcoder would take, each a direct answer.

The transcoder lets a query parameter overwrite what the path or the body binds; it takes bodies on
rules that have none, and bodies of any media type. A guard stands before the route that it guards.
"""

from collections.abc import Iterator, Sequence

from protobuf import DescMessage

from windlass_server.gateway.envoy import patterns
from windlass_server.gateway.envoy.answers import Answers, Config
from windlass_server.gateway.errors import NOT_FOUND, Refusal, bad_field, bad_request
from windlass_server.gateway.fields import resolve
from windlass_server.gateway.http_rules import HttpRule
from windlass_server.gateway.schema import Schema
from windlass_server.gateway.template import Template
from windlass_server.gateway.transcoder import WHOLE

_NOT_UTF8 = "has an escape that is broken or is not UTF-8"
_JSON = r"\s*(?i:application/(?:json|[^;]*\+json))?\s*(?:;.*)?"
_OTHER_CHARSET = r"[^;]*;.*(?i:charset)=.*"
_UTF8 = r"[^;]*;.*(?i:charset=\"?utf-?8\"?)\s*(?:;.*)?"
_TAKEN_ENCODING = r"\s*(?i:gzip|identity)?\s*"
# What each header that sets a deadline may hold, and what of that is no time at all.
_DEADLINES = (
    ("grpc-timeout", "[0-9]{1,8}[HMSmun]", "0+[HMSmun]"),
    ("x-request-timeout", r"[0-9]{1,9}(?:\.[0-9]{1,9})?", r"0+(?:\.0+)?"),
)


def regex(name: str, expression: str, *, invert: bool = False) -> Config:
    """A condition on a header: that it matches, or does not match, the expression."""
    matcher: Config = {"name": name, "string_match": {"safe_regex": {"regex": expression}}}
    return matcher | {"invert_match": True} if invert else matcher


def present(name: str) -> Config:
    """A condition on a header: that it is there."""
    return {"name": name, "present_match": True}


# A body is sent: HTTP/1 always says so by one of these.
_SENT = (regex("content-length", "0*[1-9][0-9]*"), present("transfer-encoding"))


def missing() -> Refusal:
    """The refusal of a path that nothing serves."""
    return Refusal(NOT_FOUND, "ROUTE_NOT_FOUND", "there is nothing at this path")


def path_guards(answers: Answers) -> Iterator[Config]:
    """Of paths that no template matches, whatever the transcoder thinks."""
    malformed = bad_request("MALFORMED_PATH", f"the path {_NOT_UTF8}")
    well_formed = regex(":path", patterns.WELL_FORMED_PATH, invert=True)
    yield _guard("malformed path", answers, malformed, well_formed)
    yield _guard("empty segment", answers, missing(), regex(":path", patterns.EMPTY_SEGMENT))


def request_guards(answers: Answers) -> Iterator[Config]:
    """Of every call, whatever its method: its query's escapes, and its deadline."""
    malformed = bad_request("MALFORMED_QUERY", f"the query {_NOT_UTF8}")
    well_formed = regex(":path", patterns.WELL_FORMED_QUERY, invert=True)
    yield _guard("malformed query", answers, malformed, well_formed)
    nameless = bad_field("UNKNOWN_PARAMETER", "", "there is no such parameter")
    yield _guard("no name", answers, nameless, regex(":path", patterns.NO_NAME))
    hidden = bad_request("UNKNOWN_PARAMETER", "write the names of query parameters without escapes")
    yield _guard("escaped name", answers, hidden, regex(":path", patterns.ESCAPED_NAME))
    for name, form, zero in _DEADLINES:
        bad = bad_field("INVALID_TIMEOUT", name, "must be a positive time")
        yield _guard(name, answers, bad, present(name), regex(name, form, invert=True))
        yield _guard(f"{name} of zero", answers, bad, regex(name, zero))


def body_guards(answers: Answers, raw_paths: Sequence[str]) -> Iterator[Config]:
    """Of bodies that are not JSON, but at the paths that take raw bytes."""
    at = [regex(":path", rf"(?:{'|'.join(raw_paths)})(?:\?.*)?", invert=True)] if raw_paths else []
    media = _unsupported("MEDIA_TYPE", "the body's content type must be application/json in UTF-8")
    encoding = _unsupported("CONTENT_ENCODING", "the body must be plain or gzip")
    encoding.headers = ((b"accept-encoding", b"gzip, identity"),)
    other_type = (present("content-type"), regex("content-type", _JSON, invert=True))
    other_charset = (
        regex("content-type", _OTHER_CHARSET),
        regex("content-type", _UTF8, invert=True),
    )
    coded = (
        present("content-encoding"),
        regex("content-encoding", _TAKEN_ENCODING, invert=True),
    )
    for sent in _SENT:
        yield _guard("media type", answers, media, *at, sent, *other_type)
        yield _guard("charset", answers, media, *at, sent, *other_charset)
        yield _guard("content encoding", answers, encoding, *at, sent, *coded)


class BindingGuards:
    """The guards of one binding, but for its path and its method, which the caller adds.

    Args:
        schema: descriptors.
        answers: makes the refusals.
    """

    def __init__(self, schema: Schema, answers: Answers) -> None:
        self._schema = schema
        self._answers = answers

    def of(self, rule: HttpRule, template: Template, request: DescMessage) -> Iterator[Config]:
        """Guard what the path and the body bind from the query, and rules without a body."""
        if rule.body == WHOLE:
            closed = bad_request(
                "QUERY_NOT_ALLOWED", "the body is the whole request; no query is read"
            )
            yield _guard("query", self._answers, closed, regex(":path", patterns.ANY_PARAMETER))
        else:
            yield from self._taken(rule, template, request)
        if not rule.body:
            refused = bad_request("BODY_NOT_ALLOWED", "this method takes no body")
            for sent in _SENT:
                yield _guard("body", self._answers, refused, sent)

    def _taken(self, rule: HttpRule, template: Template, request: DescMessage) -> Iterator[Config]:
        bound = [variable.field for variable in template.variables]
        for field in [*bound, rule.body] if rule.body else bound:
            conflict = bad_field("CONFLICTING_PARAMETER", field, "is set by the path or the body")
            named = regex(":path", patterns.parameter(self._spellings(request, field)))
            yield _guard(f"{field} in the query", self._answers, conflict, named)

    def _spellings(self, request: DescMessage, dotted: str) -> list[str]:
        """Every way to write a dotted path: each part by its proto or its JSON name."""
        path = resolve(self._schema, request, dotted)
        spelled = [""]
        for info in (*path.parents, path.leaf):
            names = dict.fromkeys((info.field.name, info.field.json_name))
            spelled = [f"{each}.{name}" if each else name for each in spelled for name in names]
        return spelled


def _unsupported(what: str, message: str) -> Refusal:
    refusal = bad_request(f"UNSUPPORTED_{what}", message)
    refusal.http_status = 415
    return refusal


def _guard(name: str, answers: Answers, refusal: Refusal, *conditions: Config) -> Config:
    return {
        "name": name,
        "match": {"prefix": "/", "headers": list(conditions)},
        **answers.direct(refusal),
    }
