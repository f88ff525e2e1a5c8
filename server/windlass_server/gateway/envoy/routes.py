"""All routes of the configuration, in the order in which Envoy tries them.

1. gRPC: calls that are ready for the upstream, transcoded by a filter or sent as gRPC by the client.
2. Guards of malformed paths, queries, deadlines and bodies.
3. For each binding, the most specific first: its guards, then the route that switches the
   transcoder on. A planned binding answers 501.
4. For each template: OPTIONS, and 405 for other methods.
5. 404.
"""

from collections.abc import Iterator, Sequence

from windlass_server.gateway.envoy import filters, guards, upstream
from windlass_server.gateway.envoy.answers import Answers, Config, header
from windlass_server.gateway.envoy.bindings import Bound, covers
from windlass_server.gateway.envoy.patterns import literal
from windlass_server.gateway.errors import UNIMPLEMENTED, Refusal
from windlass_server.gateway.http_rules import HttpRule
from windlass_server.gateway.routes import allow_header
from windlass_server.gateway.template import Template


class Routes:
    """Makes the routes.

    Args:
        bindings: of the served services, planned ones too, the most specific first.
        binding_guards: makes the guards of one binding.
        answers: makes the refusals.
        max_body_bytes: largest request body, but where a method takes more.
        default_timeout: seconds for a call without a deadline, unless its method caps them or has a
            stream; None: for ever.
    """

    def __init__(
        self,
        bindings: Sequence[Bound],
        binding_guards: guards.BindingGuards,
        answers: Answers,
        max_body_bytes: int,
        default_timeout: float | None,
    ) -> None:
        self._bindings = bindings
        self._guards = binding_guards
        self._answers = answers
        self._max_body_bytes = max_body_bytes
        self._default_timeout = default_timeout

    def all(self) -> list[Config]:
        """The routes; the first that matches answers."""
        raw = [each.path for each in self._bindings if each.takes_raw_bytes]
        missing = self._answers.direct(guards.missing())
        return [
            *self._grpc(),
            *guards.path_guards(self._answers),
            *guards.request_guards(self._answers),
            *guards.body_guards(self._answers, raw),
            *(route for each in self._bindings for route in self._binding(each)),
            *self._other_methods(),
            {"name": "nothing", "match": {"prefix": "/"}, **missing},
        ]

    def _grpc(self) -> Iterator[Config]:
        content_type = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
        served = {each.rule.rpc: each for each in self._bindings if each.rule.method}
        for rpc, bound in sorted(served.items()):
            yield {
                "name": f"gRPC {rpc}",
                "match": {"path": f"/{rpc}", "headers": [content_type]},
                "route": {
                    "cluster": upstream.NAME,
                    # Of the whole call, not only until its answer begins.
                    "timeout": "0s",
                    "idle_timeout": "0s",
                    "max_stream_duration": self._deadline(bound),
                },
            }
        # Without a body, which in gRPC would be the message.
        other = {"match": {"prefix": "/", "headers": [content_type]}}
        yield {"name": "gRPC, another method", **other, "direct_response": {"status": 404}}

    def _deadline(self, bound: Bound) -> Config:
        """The caller's `grpc-timeout`, within the method's cap; else the cap or the default."""
        cap = bound.limits.max_seconds
        default = bound.limits.seconds(
            None, None if bound.takes_stream or bound.gives_stream else self._default_timeout
        )
        deadline = {"grpc_timeout_header_max": _seconds(cap or 0)}
        return (
            deadline if default is None else {**deadline, "max_stream_duration": _seconds(default)}
        )

    def _binding(self, bound: Bound) -> Iterator[Config]:
        method = bound.rule.method
        if method is None:
            yield _at(bound, {"name": bound.rule.rpc, **self._answers.direct(_planned(bound.rule))})
            return
        for guard in self._guards.of(bound.rule, bound.template, method.input):
            yield _at(bound, guard)
        # The transcoder sends the call on to its gRPC route. This answers what it does not know.
        missing = self._answers.direct(guards.missing())
        limit = bound.limits.body_bytes(self._max_body_bytes)
        for conditions, form in _forms(bound):
            route = {"name": bound.rule.rpc, **missing}
            if bound.answers_head:
                match = {"headers": [guards.regex(":method", "HEAD"), *conditions]}
                switches = filters.switched_on(form, limit, bound, head=True)
                yield _at(bound, {**route, "match": match, **switches})
            switches = filters.switched_on(form, limit, bound)
            yield _at(bound, {**route, "match": {"headers": conditions}, **switches})

    def _other_methods(self) -> Iterator[Config]:
        templates = {each.template.shape: each for each in self._bindings}
        for bound in templates.values():
            path = {"safe_regex": {"regex": bound.path}}
            allow = self._allow(bound.template)
            yield {
                "name": f"OPTIONS {bound.template.text}",
                "match": {**path, "headers": [guards.regex(":method", "OPTIONS")]},
                "direct_response": {"status": 204},
                "response_headers_to_add": [header("allow", allow)],
            }
            refused = self._answers.direct(_not_allowed(allow))
            yield {"name": f"other methods {bound.template.text}", "match": path, **refused}

    def _allow(self, template: Template) -> str:
        """The methods that every path of the template has, as `Allow` lists them."""
        covering = [each for each in self._bindings if covers(each.template, template)]
        allow = allow_header(frozenset(each.rule.http_method for each in covering))
        if any(each.answers_head for each in covering):
            return allow
        return ", ".join(method for method in allow.split(", ") if method != "HEAD")


def _at(bound: Bound, route: Config) -> Config:
    """The route, limited to the binding's path and methods."""
    conditions = route.get("match", {}).get("headers", [])
    return {
        **route,
        "name": f"{bound.rule.http_method} {bound.rule.path}: {route['name']}",
        "match": {
            "safe_regex": {"regex": bound.path},
            "headers": [guards.regex(":method", bound.methods), *conditions],
        },
    }


def _forms(bound: Bound) -> Iterator[tuple[list[Config], filters.Form]]:
    """What `Accept` says, and the form that it asks for: the one that is named first."""
    if bound.gives_stream and not bound.gives_raw_bytes:
        for form in (filters.EVENTS, filters.LINES, filters.ARRAY):
            yield [guards.regex("accept", rf"\s*(?i:{literal(form.media_type)}).*")], form
        for form in (filters.EVENTS, filters.LINES):
            yield [guards.regex("accept", rf".*(?i:{literal(form.media_type)}).*")], form
    yield [], filters.ARRAY


def _planned(rule: HttpRule) -> Refusal:
    message = f"{rule.rpc} is planned and not served by this version"
    return Refusal(UNIMPLEMENTED, "METHOD_NOT_SERVED", message, metadata={"rpc": rule.rpc})


def _not_allowed(allow: str) -> Refusal:
    return Refusal(
        UNIMPLEMENTED,
        "METHOD_NOT_ALLOWED",
        f"this path takes {allow}",
        http_status=405,
        headers=((b"allow", allow.encode("ascii")),),
        metadata={"allow": allow},
    )


def _seconds(seconds: float) -> str:
    """A duration as JSON has it."""
    return f"{seconds:.3f}s"
