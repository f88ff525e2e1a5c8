"""Filters that change headers: what reaches the upstream, and what of its answer reaches the caller.

Where a header depends on the answer's status or on a request header, the value is an expression in
CEL, which Envoy evaluates for each message. An empty value is left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from windlass_server.gateway.envoy.answers import Config
from windlass_server.gateway.envoy.patterns import none_of

# Request headers that reach the upstream. First the transport's, of which Envoy's router reads
# x-forwarded-proto; then those that the gateway hands on.
_KEPT = (
    *("host", "content-type", "content-length", "te", "grpc-timeout", "x-forwarded-proto"),
    *("authorization", "traceparent", "user-agent", "x-forwarded-for", "x-request-id"),
)
# What the transcoder leaves in an answer of the gRPC that it was.
_OF_GRPC = ("grpc-accept-encoding", "grpc-encoding", "grpc-message", "grpc-status")

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_EXPRESSIONS = {
    "name": "envoy.formatter.cel",
    "typed_config": {
        "@type": f"{_EXTENSIONS}.formatter.cel.v3.Cel",
        "cel_config": dict.fromkeys(
            ("enable_string_conversion", "enable_string_concat", "enable_string_functions"), True
        ),
    },
}
_IS_UNAUTHENTICATED = "response.headers[':status'] == '401'"
_IS_OK = "response.headers[':status'] == '200'"
_GRPC_TIMEOUT = "request.headers['grpc-timeout']"
# Seconds of gRPC's units; what is none of them is nanoseconds.
_UNITS = {"H": "3600.0", "M": "60.0", "S": "1.0", "m": "0.001", "u": "0.000001"}


def answers() -> Config:
    """Take gRPC's headers out of answers, and say at 401 how a caller shows who it is."""
    ask = {"www-authenticate": f"%CEL({_IS_UNAUTHENTICATED} ? 'Bearer' : '')%"}
    return changed_headers(response=[*_removals(_OF_GRPC), *settings(ask)])


def stream() -> Config:
    """Keep caches and proxies from holding back what is streamed."""
    held = {"cache-control": "no-store", "x-accel-buffering": "no"}
    when_ok = {name: f"%CEL({_IS_OK} ? '{value}' : '')%" for name, value in held.items()}
    return changed_headers(response=settings(when_ok))


def file() -> Config:
    """Keep browsers from running what somebody uploaded in the API's name."""
    guarded = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox"}
    when_ok = {name: f"%CEL({_IS_OK} ? '{value}' : '')%" for name, value in guarded.items()}
    return changed_headers(response=settings(when_ok))


def lines() -> Config:
    """Call a stream of lines by its name; the transcoder calls it JSON, as an error is."""
    kind = f"%CEL({_IS_OK} ? 'application/x-ndjson' : 'application/json')%"
    return changed_headers(response=settings({"content-type": kind}))


def timeout() -> Config:
    """Make gRPC's deadline of `x-request-timeout`, which has seconds, perhaps with a fraction.

    The shorter of the two counts. gRPC has at most eight digits before the unit. The routes have
    refused what is no number.
    """
    seconds = "double(request.headers['x-request-timeout'])"
    units = "".join(
        f"{_GRPC_TIMEOUT}.endsWith('{unit}') ? {scale} : " for unit, scale in _UNITS.items()
    )
    number = f"double({_GRPC_TIMEOUT}.substring(0, size({_GRPC_TIMEOUT}) - 1))"
    of_grpc = f"{number} * ({units}0.000000001)"
    micros = f"string(int({seconds} * 1000000.0)) + 'u'"
    whole = f"string(int({seconds} < 99999999.0 ? {seconds} : 99999999.0)) + 'S'"
    ours = f"({seconds} < 99.0 ? {micros} : {whole})"
    both = f"({of_grpc} < {seconds} ? {_GRPC_TIMEOUT} : {ours})"
    only_ours = f"('grpc-timeout' in request.headers ? {both} : {ours})"
    theirs = f"('grpc-timeout' in request.headers ? {_GRPC_TIMEOUT} : '')"
    chosen = f"'x-request-timeout' in request.headers ? {only_ours} : {theirs}"
    return changed_headers(request=settings({"grpc-timeout": f"%CEL({chosen})%"}))


def metadata(further: Iterable[str]) -> Config:
    """Let only headers of the allow-list become metadata: nobody forges those of the transport.

    The user agent comes under two names: `windlass gateway` can send it only under the second.

    Args:
        further: names that stay for other filters, which look at them when the answer comes back.
    """
    others = {"key_matcher": {"safe_regex": {"regex": none_of([*_KEPT, *further])}}}
    agent = settings({"x-forwarded-user-agent": "%REQ(user-agent)%"})
    return changed_headers(request=[{"remove_on_match": others}, *agent])


def changed_headers(*, request: Iterable[Config] = (), response: Iterable[Config] = ()) -> Config:
    """The configuration of a filter that makes these changes."""
    mutations: dict[str, Any] = {
        "request_mutations": list(request),
        "response_mutations": list(response),
    }
    return {
        "@type": f"{_EXTENSIONS}.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {name: changes for name, changes in mutations.items() if changes}
        | {"formatters": [_EXPRESSIONS]},
    }


def _removals(names: Iterable[str]) -> list[Config]:
    return [{"remove": name} for name in names]


def settings(headers: Mapping[str, str]) -> list[Config]:
    """Changes that set headers; values are formats, in which `%CEL(…)%` is an expression."""
    return [
        {
            "append": {
                "header": {"key": name, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        }
        for name, value in headers.items()
    ]
