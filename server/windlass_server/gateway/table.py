"""The route table: every HTTP rule of the served contract, compiled and in one trie."""

from collections.abc import Sequence
from dataclasses import dataclass

from windlass_server.gateway.http_rules import RuleError, read_rules
from windlass_server.gateway.routes import AmbiguousRoute, Router
from windlass_server.gateway.template import TemplateError, parse
from windlass_server.gateway.transcoder import Binding, Transcoder


@dataclass(frozen=True, slots=True)
class Planned:
    """A route that is promised and answers UNIMPLEMENTED by the name of its RPC."""

    rpc: str

    def __str__(self) -> str:
        """How the route table names it."""
        return f"planned {self.rpc}"


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The routes for look-up, and as lines `METHOD path -> target`, sorted, for people."""

    router: Router[Binding | Planned]
    lines: tuple[str, ...]


def build_table(
    transcoder: Transcoder, services: Sequence[str], planned_extension: str | None = None
) -> RouteTable:
    """Compile the rules of the named services.

    Raises:
        RuleError: a rule cannot be served, or two of them match the same requests.
    """
    router: Router[Binding | Planned] = Router()
    lines = []
    for rule in read_rules(transcoder.registry, services, planned_extension):
        try:
            template = parse(rule.path)
            method = rule.method
            target = (
                Planned(rule.rpc) if method is None else transcoder.compile(rule, method, template)
            )
            router.add(rule.http_method, template, target)
        except TemplateError as error:
            raise RuleError(f"{rule.rpc}: {error}") from error
        except AmbiguousRoute as error:
            raise RuleError(str(error)) from error
        lines.append(f"{rule.http_method} {rule.path} -> {rule}")
    return RouteTable(router, tuple(sorted(lines)))
