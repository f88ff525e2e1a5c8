"""Reads which HTTP requests a contract promises: the options of its services and methods."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from protobuf import DescMethod, DescService, Registry

from windlass_server.gateway.routes import ANY_METHOD

_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*")
_STANDARD_METHODS = ("get", "put", "post", "delete", "patch")


class RuleError(ValueError):
    """A contract that the gateway cannot serve."""


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One HTTP binding of one RPC.

    Attributes:
        rpc: `package.Service/Method`.
        http_method: upper case; `*` means any.
        path: the path template, as the contract has it.
        body: `*`, the name of the field that the body holds, or empty when there is none.
        response_body: the name of the field that the answer is narrowed to; empty means all.
        method: the RPC; None when it is planned and nothing serves it yet.
    """

    rpc: str
    http_method: str
    path: str
    body: str
    response_body: str
    method: DescMethod | None

    def __str__(self) -> str:
        """How the rule is named in messages and in lists of routes."""
        return f"{'planned' if self.method is None else 'served by'} {self.rpc}"


def read_rules(
    registry: Registry, services: Sequence[str], planned_extension: str | None = None
) -> list[HttpRule]:
    """All HTTP bindings of the named services, in the order of the contract.

    Args:
        registry: holds the services and the `google.api.http` option.
        services: full names of the services that are served.
        planned_extension: full name of a repeated service option whose messages have `rpc`, a
            method's future name, and `http`, its rule.

    Raises:
        RuleError: a service is unknown or a rule says nothing that could be served.
    """
    return [rule for name in services for rule in _service_rules(registry, name, planned_extension)]


def _service_rules(registry: Registry, name: str, planned: str | None) -> Iterator[HttpRule]:
    service = registry.service(name)
    if service is None:
        raise RuleError(f"the descriptor set has no service {name}")
    for method in service.methods:
        rule = option(registry, method.proto.options, "google.api.http")
        if rule is not None:
            yield from _method_rules(service, method.name, rule, method)
    if planned is not None:
        for route in option(registry, service.proto.options, planned) or []:
            yield from _method_rules(service, route.rpc, route.http, None)


def _method_rules(
    service: DescService, name: str, rule: Any, method: DescMethod | None
) -> Iterator[HttpRule]:
    rpc = f"{service.type_name}/{name}"
    for binding in (rule, *rule.additional_bindings):
        if binding is not rule and binding.additional_bindings:
            raise RuleError(f"{rpc}: additional bindings do not nest")
        http_method, path = _pattern(rpc, binding)
        yield HttpRule(rpc, http_method, path, binding.body, binding.response_body, method)


def _pattern(rpc: str, rule: Any) -> tuple[str, str]:
    """The HTTP method and the path template of a rule."""
    pattern = rule.pattern
    if pattern is None:
        raise RuleError(f"{rpc}: its HTTP rule has no path")
    if pattern.field in _STANDARD_METHODS:
        return pattern.field.upper(), pattern.value
    kind = pattern.value.kind
    if kind == ANY_METHOD:
        return kind, pattern.value.path
    if not _METHOD.fullmatch(kind):
        raise RuleError(f"{rpc}: {kind!r} is not an HTTP method")
    return kind.upper(), pattern.value.path


def option(registry: Registry, options: Any, name: str) -> Any:
    """The value of an extension of some options; None when it is not set or not known."""
    extension = registry.extension(name)
    if extension is None or options is None or extension.type not in options:
        return None
    return options[extension.type]
