"""Measures two sides in turns, so that what disturbs the machine disturbs both."""

from collections.abc import Callable

from rich.console import Console

from tests.benchmarks.results import Comparison, Load, median_load
from tests.benchmarks.settings import Settings

Measure = Callable[[], Load]


def compare(
    console: Console,
    settings: Settings,
    name: str,
    connections: int,
    sides: tuple[Measure, Measure],
    at_least: float,
) -> Comparison:
    """Measure ours and the peer's in turns; the medians of the rounds."""
    ours, peer = sides
    our_loads: list[Load] = []
    peer_loads: list[Load] = []
    for number in range(settings.rounds):
        turn = f"{name}, {connections} connections, round {number + 1} of {settings.rounds}"
        for side, measure, loads in (("windlass", ours, our_loads), ("peer", peer, peer_loads)):
            loads.append(measure())
            last = loads[-1]
            console.print(
                f"  {turn}: {side:8} {last.rate:8.0f}/s  p50 {last.p50_ms:7.2f} ms"
                f"  p99 {last.p99_ms:7.2f} ms  {last.errors} errors",
                style="dim",
                highlight=False,
            )
    medians = median_load(our_loads), median_load(peer_loads)
    return Comparison(name, connections, *medians, at_least)
