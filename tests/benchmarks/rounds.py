"""Measures two sides in turns, so that what disturbs the machine disturbs both."""

from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.results import Comparison, Load, median_load
from tests.benchmarks.settings import Settings

Measure = Callable[[], Load]


def with_processor_time(pid: int, load: Callable[[], Load]) -> Load:
    """Run a load and add what its server needed for it."""
    before = cpu_seconds(pid)
    measured = load()
    used = cpu_seconds(pid) - before
    return replace(measured, cpu_us=used * 1e6 / max(1, measured.answers))


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
                f"  p99 {last.p99_ms:7.2f} ms  cpu {last.cpu_us:5.0f} us  {last.errors} errors",
                style="dim",
                highlight=False,
            )
    medians = median_load(our_loads), median_load(peer_loads)
    return Comparison(name, connections, *medians, at_least)
