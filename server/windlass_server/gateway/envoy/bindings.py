"""HTTP rules as the configuration needs them: what they match, what they take, what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protobuf import DescMessage, Registry

from windlass_server.gateway.envoy import patterns
from windlass_server.gateway.http_rules import HttpRule, read_rules
from windlass_server.gateway.limits import MethodLimits, read_limits
from windlass_server.gateway.routes import ANY_METHOD
from windlass_server.gateway.schema import Schema
from windlass_server.gateway.template import REST, Literal, Template, parse
from windlass_server.gateway.transcoder import WHOLE

_HTTP_BODY = "google.api.HttpBody"


@dataclass(frozen=True)
class Bound:
    """A rule with its parsed template and its method's limits.

    Attributes:
        takes_raw_bytes: whether its body is not JSON but the bytes of an HttpBody.
        gives_raw_bytes: whether its answer is that.
    """

    rule: HttpRule
    template: Template
    limits: MethodLimits = field(default_factory=MethodLimits)
    takes_raw_bytes: bool = False
    gives_raw_bytes: bool = False

    @property
    def order(self) -> tuple[tuple[int, str], ...]:
        """Sorts the most specific first: of two that match one path, the router's choice.

        Place by place a literal is before `*`, that before an end or a `**`. Of the latter two, a
        verb is before none, and then an end before a `**` that holds nothing.
        """
        segments = list(self.template.segments)
        rest = segments[-1] == REST
        if rest:
            segments.pop()
        places = [(0, one.text) if isinstance(one, Literal) else (1, "") for one in segments]
        return (*places, (2 + 2 * (not self.template.verb) + rest, ""))

    @property
    def path(self) -> str:
        """The expression of its paths."""
        return patterns.path(self.template)

    @property
    def methods(self) -> str:
        """The expression of the HTTP methods that it takes."""
        method = self.rule.http_method
        if method == ANY_METHOD:
            return patterns.none_of(["OPTIONS"])
        return "GET|HEAD" if method == "GET" and self.answers_head else patterns.literal(method)

    @property
    def answers_head(self) -> bool:
        """Whether it answers HEAD, too: Envoy can take the body out of a whole answer alone."""
        return self.rule.http_method in ("GET", "HEAD", ANY_METHOD) and not self.gives_stream

    @property
    def service(self) -> str:
        """Full name of its service."""
        return self.rule.rpc.partition("/")[0]

    @property
    def takes_stream(self) -> bool:
        """Whether the request is a stream."""
        return self._kind in ("client_streaming", "bidi_streaming")

    @property
    def gives_stream(self) -> bool:
        """Whether the answer is a stream."""
        return self._kind in ("server_streaming", "bidi_streaming")

    @property
    def _kind(self) -> str:
        return self.rule.method.method_kind if self.rule.method else ""


def read_bindings(
    registry: Registry,
    services: Sequence[str],
    planned_extension: str | None,
    limits_extension: str | None,
) -> list[Bound]:
    """All bindings of the services, the most specific first; raises RuleError as `read_rules` does."""
    schema = Schema(registry)

    def bound(rule: HttpRule) -> Bound:
        if rule.method is None:
            return Bound(rule, parse(rule.path))
        method = rule.method
        return Bound(
            rule,
            parse(rule.path),
            read_limits(registry, method, limits_extension),
            takes_raw_bytes=_is_raw(schema, method.input, rule.body) if rule.body else False,
            gives_raw_bytes=_is_raw(schema, method.output, rule.response_body or WHOLE),
        )

    rules = read_rules(registry, services, planned_extension)
    # HEAD has its own route before that of GET.
    return sorted(map(bound, rules), key=lambda one: (one.order, one.rule.http_method != "HEAD"))


def _is_raw(schema: Schema, message: DescMessage, field: str) -> bool:
    """Whether the message, or the field that holds the body, is an HttpBody."""
    value = message if field == WHOLE else schema.fields(message)[field].value
    return isinstance(value, DescMessage) and value.type_name == _HTTP_BODY


def covers(general: Template, specific: Template) -> bool:
    """Whether every path of `specific` is one of `general`."""
    if general.verb != specific.verb and (
        general.verb or isinstance(general.segments[-1], Literal)
    ):
        return False
    own, other = list(general.segments), list(specific.segments)
    if own[-1] == REST:
        own.pop()
        other = other[: len(own)]
    return len(own) == len(other) and all(
        mine == theirs or (not isinstance(mine, Literal) and theirs != REST)
        for mine, theirs in zip(own, other, strict=True)
    )
