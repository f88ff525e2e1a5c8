"""The policies of docs/gateway.md, each as a check of one route.

A check returns whether it concerns the route at all.
"""

import gzip
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.integration.policies.site import (
    FAILURE,
    FAILURE_STATUS,
    Site,
    names,
    reason_of,
    violations_of,
)
from tests.support.served_routes import ServedRoute, example, example_text, has_text

Check = Callable[[Site, ServedRoute], Awaitable[bool]]

GZIP = {"content-type": "application/json", "content-encoding": "gzip"}


async def trailing_slash(site: Site, route: ServedRoute) -> bool:
    await site.refused(404, "ROUTE_NOT_FOUND", route.method, route.path + "/", route.body)
    await site.refused(404, "ROUTE_NOT_FOUND", route.method, route.path.replace("/", "//", 1))
    return True


async def unknown_path(site: Site, route: ServedRoute) -> bool:
    await site.refused(404, "ROUTE_NOT_FOUND", route.method, "/nope" + route.path, route.body)
    return True


async def wrong_method(site: Site, route: ServedRoute) -> bool:
    if route.any_method:
        return False
    answer = await site.refused(405, "METHOD_NOT_ALLOWED", "TRACE", route.path)
    assert route.method in answer.headers["allow"].split(", ")
    assert ("HEAD" in answer.headers["allow"].split(", ")) >= (route.method == "GET")
    return True


async def options(site: Site, route: ServedRoute) -> bool:
    if any(each.method == "OPTIONS" and each.path == route.path for each in site.routes):
        return False  # a route of its own
    answer = await site.ask("OPTIONS", route.path)
    assert (answer.status_code, answer.content) == (204, b"")
    allowed = set(answer.headers["allow"].split(", "))
    assert {"GET" if route.any_method else route.method, "OPTIONS"} <= allowed
    return True


# Streams whose end nobody should wait for.
ENDLESS = ("/v1/resources/telemetry",)


async def head(site: Site, route: ServedRoute) -> bool:
    if route.method != "GET":
        return False
    without = await site.ask("HEAD", route.path)
    if route.path in ENDLESS:
        assert (without.status_code, without.content) == (200, b"")
        return True
    get = await site.ask("GET", route.path)
    assert (without.status_code, without.content) == (get.status_code, b"")
    assert without.headers.get("content-type") == get.headers.get("content-type")
    return True


async def malformed_escape(site: Site, route: ServedRoute) -> bool:
    for escape in ("%zz", "%", "%ff"):
        await site.refused(400, "MALFORMED_PATH", route.method, route.path + escape, route.body)
        for query in (f"nope={escape}", f"{escape}=a"):
            target = f"{route.path}?{query}"
            await site.refused(400, "MALFORMED_QUERY", route.method, target, route.body)
    return True


async def unknown_query_parameter(site: Site, route: ServedRoute) -> bool:
    for query in ("nope=1", "=", "nope.nope="):
        answer = await site.refused(
            400,
            "UNKNOWN_PARAMETER QUERY_NOT_ALLOWED",
            route.method,
            f"{route.path}?{query}",
            route.body,
        )
        assert names(answer, query.partition("=")[0])
    return True


async def duplicate_scalar_parameter(site: Site, route: ServedRoute) -> bool:
    for field in route.parameters():
        if has_text(field) and not field.is_repeated:
            pair = f"{field.name}={example_text(field)}"
            target = f"{route.path}?{pair}&{pair}"
            await site.refused(400, "DUPLICATE_PARAMETER", route.method, target, route.body)
            return True
    return False


async def parameter_that_is_bound(site: Site, route: ServedRoute) -> bool:
    bound = [*route.variables, *([route.rule.body] if route.body_field else [])]
    for name in bound:
        for spelled in (name, f"%{ord(name[0]):x}{name[1:]}"):
            answer = await site.refused(
                400,
                "CONFLICTING_PARAMETER QUERY_NOT_ALLOWED",
                route.method,
                f"{route.path}?{spelled}=x",
                route.body,
            )
            assert names(answer, name)
    return bool(bound)


async def body_where_none_is_taken(site: Site, route: ServedRoute) -> bool:
    if route.rule.body:
        return False
    for body in (b"{}", b"x"):
        await site.refused(400, "BODY_NOT_ALLOWED", route.method, route.path, body)
    return True


async def body_that_is_not_json(site: Site, route: ServedRoute) -> bool:
    if not route.takes_json:
        return False
    for body in (b"{", b"{'a':1}", b'{"a":1,}', b"NaN", b"\xff", b" ", b"{}{}"):
        await site.refused(400, "MALFORMED_JSON", route.method, route.path, body)
    wrong = b"{}" if route.takes_stream or route.body_message is None else b"[]"
    reasons = "MALFORMED_JSON INVALID_FIELD_VALUE"
    await site.refused(400, reasons, route.method, route.path, wrong)
    return True


async def unknown_json_field(site: Site, route: ServedRoute) -> bool:
    if route.body_message is None:
        return False
    body = route.object('{"nope":1}')
    answer = await site.refused(400, "UNKNOWN_FIELD", route.method, route.path, body)
    assert any(name.endswith("nope") for name in violations_of(answer))
    return True


async def duplicate_key(site: Site, route: ServedRoute) -> bool:
    message = route.body_message
    if message is None:
        return False
    bodies = ['{"a":1,"a":1}']
    for field in message.fields:
        if field.json_name != field.name:
            value = json.dumps([] if field.is_repeated else example(field))
            bodies.append(f'{{"{field.name}":{value},"{field.json_name}":{value}}}')
    for body in bodies[:3]:
        await site.refused(400, "DUPLICATE_KEY", route.method, route.path, route.object(body))
    return True


async def two_members_of_a_oneof(site: Site, route: ServedRoute) -> bool:
    concerned = False
    message = route.body_message
    for one, other in _oneof_pairs(list(message.fields) if message is not None else []):
        body = route.object(json.dumps({one.name: example(one), other.name: example(other)}))
        await site.refused(400, "ONEOF_CONFLICT", route.method, route.path, body)
        concerned = True
    for one, other in _oneof_pairs([each for each in route.parameters() if has_text(each)]):
        query = f"{one.name}={example_text(one)}&{other.name}={example_text(other)}"
        target = f"{route.path}?{query}"
        await site.refused(400, "ONEOF_CONFLICT", route.method, target, route.body)
        concerned = True
    return concerned


async def enum_in_any_case(site: Site, route: ServedRoute) -> bool:
    if route.method == "HEAD":
        return False  # its answer tells no field
    for field in route.parameters():
        if field.enum_type is not None:
            await _takes_enum(
                site, route, field, lambda text, name=field.name: (f"?{name}={text}", None)
            )
            return True
    for path, field in _enums(route.body_message, depth=3):
        await _takes_enum(
            site, route, field, lambda text, path=path: ("", _nested(route, path, text))
        )
        return True
    return False


async def nesting(site: Site, route: ServedRoute) -> bool:
    if route.body_message is None:
        return False
    reasons = "NESTING_TOO_DEEP UNKNOWN_FIELD"
    for body in ('{"nope":' + "[" * 2000 + "]" * 2000 + "}", '{"nope":' * 200 + "1" + "}" * 200):
        await site.refused(400, reasons, route.method, route.path, route.object(body))
    for field in route.body_message.fields:
        if field.message_type is route.body_message and not field.is_repeated:
            key = f'{{"{field.name}":'
            body = key * 102 + "{}" + "}" * 102
            await site.refused(
                400, "NESTING_TOO_DEEP", route.method, route.path, route.object(body)
            )
            break
    return True


async def too_large(site: Site, route: ServedRoute) -> bool:
    if not route.rule.body or (route.takes_file and route.takes_stream):
        return False
    body = route.object('{"nope":"' + "a" * route.max_bytes + '"}')
    reasons = "BODY_TOO_LARGE REQUEST_TOO_LARGE"
    await site.refused(413, reasons, route.method, route.path, body)
    return True


async def media_type(site: Site, route: ServedRoute) -> bool:
    if not route.takes_json:
        return False
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"):
        headers = {"content-type": kind}
        reason = "UNSUPPORTED_MEDIA_TYPE"
        await site.refused(415, reason, route.method, route.path, route.body, headers)
    answer = await site.ask(route.method, route.path, route.body, {})
    assert answer.status_code not in (413, 415)
    return True


async def content_encoding(site: Site, route: ServedRoute) -> bool:
    if not route.rule.body:
        return False
    for encoding in ("br", "deflate", "gzip, gzip"):
        headers = {"content-type": "application/json", "content-encoding": encoding}
        reason = "UNSUPPORTED_CONTENT_ENCODING"
        answer = await site.refused(415, reason, route.method, route.path, route.body, headers)
        assert "gzip" in answer.headers["accept-encoding"]
    return True


async def gzip_in(site: Site, route: ServedRoute) -> bool:
    if not route.takes_json:
        return False
    body = route.body or b""
    plain = await site.ask(route.method, route.path, body)
    packed = await site.ask(route.method, route.path, gzip.compress(body), GZIP)
    assert packed.status_code == plain.status_code
    bomb = gzip.compress(route.object('{"nope":"' + "a" * route.max_bytes + '"}'))
    reasons = "BODY_TOO_LARGE REQUEST_TOO_LARGE"
    await site.refused(413, reasons, route.method, route.path, bomb, GZIP)
    await site.refused(400, "MALFORMED_BODY", route.method, route.path, body, GZIP)
    return True


async def two_credentials(site: Site, route: ServedRoute) -> bool:
    headers = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    reason = "INVALID_CREDENTIALS"
    await site.refused(401, reason, route.method, route.path, route.body, headers)
    return True


async def malformed_deadline(site: Site, route: ServedRoute) -> bool:
    for name, value in (("grpc-timeout", "soon"), ("x-request-timeout", "-1")):
        headers = {"content-type": "application/json", name: value}
        reason = "INVALID_TIMEOUT"
        answer = await site.refused(400, reason, route.method, route.path, route.body, headers)
        assert names(answer, name)
    return True


async def error(site: Site, route: ServedRoute) -> bool:
    """Every check above looks at each refusal; here at one that has several reasons."""
    target = f"{route.path}?nope=1&no.pe=1"
    reasons = "UNKNOWN_PARAMETER QUERY_NOT_ALLOWED"
    answer = await site.refused(400, reasons, route.method, target, route.body)
    assert names(answer, "nope", "no.pe")
    return True


async def unknown_error_detail(site: Site, route: ServedRoute) -> bool:
    headers = {"content-type": "application/json"} if route.body else {}
    path = route.path
    answer = await site.failing.request(route.method, path, content=route.body, headers=headers)
    assert answer.status_code == FAILURE_STATUS
    assert route.method == "HEAD" or answer.json() == FAILURE, answer.text
    return True


def _oneof_pairs(
    fields: list[FieldDescriptor],
) -> Iterator[tuple[FieldDescriptor, FieldDescriptor]]:
    """The first two members of each oneof."""
    members: dict[str, list[FieldDescriptor]] = {}
    for field in fields:
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1:
            members.setdefault(oneof.full_name, []).append(field)
    return ((each[0], each[1]) for each in members.values() if len(each) > 1)


def _enums(
    message: Descriptor | None, depth: int
) -> Iterator[tuple[tuple[str, ...], FieldDescriptor]]:
    """Enum fields of a message and of those in it, each with the names on the way."""
    for field in message.fields if message is not None and depth else ():
        if field.is_repeated:
            continue
        if field.enum_type is not None:
            yield (field.name,), field
        elif field.message_type is not None:
            for path, found in _enums(field.message_type, depth - 1):
                yield (field.name, *path), found


def _nested(route: ServedRoute, path: tuple[str, ...], value: str) -> bytes:
    body: Any = value
    for name in reversed(path):
        body = {name: body}
    return route.object(json.dumps(body))


async def _takes_enum(
    site: Site,
    route: ServedRoute,
    field: FieldDescriptor,
    asked: Callable[[str], tuple[str, bytes | None]],
) -> None:
    """Both spellings of a value's name are taken, and what is none is refused by the field's name."""
    assert field.enum_type is not None
    name = field.enum_type.values[-1].name
    for text, taken in ((name, True), (name.lower(), True), (name.title(), True), ("no-pe", False)):
        query, body = asked(text)
        answer = await site.ask(
            route.method, route.path + query, route.body if body is None else body
        )
        wrong = [each for each in violations_of(answer) if each.endswith(field.name)]
        unreadable = bool(wrong) and reason_of(answer) == "INVALID_FIELD_VALUE"
        assert unreadable is not taken, answer.text


POLICIES: dict[str, Check] = {
    "trailing slash": trailing_slash,
    "unknown path": unknown_path,
    "wrong method": wrong_method,
    "OPTIONS": options,
    "HEAD": head,
    "malformed escape": malformed_escape,
    "unknown query parameter": unknown_query_parameter,
    "duplicate scalar parameter": duplicate_scalar_parameter,
    "parameter that the path or the body binds": parameter_that_is_bound,
    "body where none is taken": body_where_none_is_taken,
    "body that is not JSON": body_that_is_not_json,
    "unknown JSON field": unknown_json_field,
    "duplicate key": duplicate_key,
    "two members of a oneof": two_members_of_a_oneof,
    "enum in any case": enum_in_any_case,
    "nesting": nesting,
    "too large": too_large,
    "media type": media_type,
    "content encoding": content_encoding,
    "gzip": gzip_in,
    "two credentials": two_credentials,
    "malformed deadline": malformed_deadline,
    "error": error,
    "unknown error detail": unknown_error_detail,
}
