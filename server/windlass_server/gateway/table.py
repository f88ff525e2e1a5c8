"""The route table: every HTTP rule of the served contract, compiled and in one trie."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from windlass_server.gateway.http_rules import RuleError, read_rules
from windlass_server.gateway.pages import Page
from windlass_server.gateway.routes import ANY_METHOD, AmbiguousRoute, Router
from windlass_server.gateway.template import TemplateError, parse
from windlass_server.gateway.transcoder import Binding, Transcoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """A route that is promised and answers UNIMPLEMENTED by the name of its RPC."""

    rpc: str

    def __str__(self) -> str:
        """How the route table names it."""
        return f"planned {self.rpc}"


Target = Binding | Planned | Page


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The routes for look-up, and as lines `METHOD path -> target`, sorted, for people."""

    router: Router[Target]
    lines: tuple[str, ...]


def build_table(
    transcoder: Transcoder,
    services: Sequence[str],
    planned_extension: str | None = None,
    pages: Sequence[Page] = (),
) -> RouteTable:
    """Compile the rules of the named services.

    Args:
        transcoder: compiles them.
        services: full names.
        planned_extension: full name of the service option that lists planned routes.
        pages: the gateway's own; one whose path a rule has, too, is left out. They are not among the
            lines.

    Raises:
        RuleError: a rule cannot be served, or two of them match the same requests.
    """
    router: Router[Target] = Router()
    lines = []
    taken = set()
    for rule in read_rules(transcoder.registry, services, planned_extension):
        try:
            template = parse(rule.path)
            method = rule.method
            target = (
                Planned(rule.rpc) if method is None else transcoder.compile(rule, method, template)
            )
            router.add(rule.http_method, template, target)
            if rule.http_method in ("GET", ANY_METHOD):
                taken.add(template.shape)
        except TemplateError as error:
            raise RuleError(f"{rule.rpc}: {error}") from error
        except AmbiguousRoute as error:
            raise RuleError(str(error)) from error
        lines.append(f"{rule.http_method} {rule.path} -> {rule}")
    for page in pages:
        template = parse(page.path)
        if template.shape in taken:
            logger.info("the contract has %s, which takes the place of %s", page.path, page)
        else:
            router.add("GET", template, page)
    return RouteTable(router, tuple(sorted(lines)))
