"""How long it takes to find the route of a path, with few routes and with many."""

import random
import time
from collections.abc import Iterator
from statistics import median

from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.results import Figure, at_most
from tests.benchmarks.settings import Settings
from windlass_server.gateway.routes import Match, Router
from windlass_server.gateway.template import parse

ROUTES = (10, 200, 2_000)
_KINDS = (
    "",
    "/{item_id}",
    "/{item_id}:cancel",
    "/{item_id}/parts/{part_id}",
    "/{item_id}/files/{file=**}",
)


def table(count: int) -> tuple[Router[str], list[str]]:
    """A router of so many routes of every kind, and a path for each."""
    router: Router[str] = Router()
    paths = []
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        template = f"/v1/kind{number // len(_KINDS)}{kind}"
        router.add("GET", parse(template), template)
        filled = template.replace("{item_id}", "job-01hzy2k8d6").replace("{part_id}", "7")
        paths.append(filled.replace("{file=**}", "a/b/c.txt"))
    return router, paths


def microseconds(count: int, rounds: int) -> float:
    """The median time of one look-up, over paths in random order."""
    router, paths = table(count)
    order = random.Random(7).choices(paths, k=2_000)
    times = []
    for _ in range(rounds):
        before = time.perf_counter()
        for path in order:
            router.match("GET", path)
        times.append((time.perf_counter() - before) / len(order) * 1e6)
    assert all(isinstance(router.match("GET", path), Match) for path in paths)
    return median(times)


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield the time at each number of routes, and how it grows."""
    found = {count: microseconds(count, 10 * settings.rounds) for count in ROUTES}
    for count, value in found.items():
        name = f"route match, {count} routes"
        if count == 200:
            yield at_most(name, value, "us", aims.ROUTE_US)
        else:
            yield Figure(name, value, "us")
    growth = found[ROUTES[-1]] / found[ROUTES[0]]
    yield at_most("route match, 2,000 routes over 10", growth, "x", aims.ROUTE_GROWTH)
