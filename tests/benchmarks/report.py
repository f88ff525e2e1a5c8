"""Shows results as tables and writes them as JSON."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.processes import ROOT
from tests.benchmarks.results import Comparison, Figure, Result
from tests.benchmarks.settings import Settings

PACKAGES = ("windlass", "fastapi", "granian", "grpcio", "sqlmodel", "uvicorn", "uvloop")


def show(console: Console, results: Sequence[Result]) -> None:
    """Print a table of the comparisons and one of the figures."""
    comparisons = [one for one in results if isinstance(one, Comparison)]
    figures = [one for one in results if isinstance(one, Figure)]
    if comparisons:
        console.print(comparison_table(comparisons))
    if figures:
        console.print(figure_table(figures))


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Windlass beside its peers."""
    table = Table(title="windlass and its peer, by turns on this machine", title_justify="left")
    table.add_column("call")
    for name in ("conn.", "windlass/s", "peer/s", "ratio", "aim", "p99 ms", "peer p99"):
        table.add_column(name, justify="right")
    for name in ("cpu us", "peer cpu", "errors"):
        table.add_column(name, justify="right")
    table.add_column("met")
    for one in comparisons:
        table.add_row(
            one.name,
            str(one.connections),
            f"{one.ours.rate:.0f}",
            f"{one.peer.rate:.0f}",
            f"{one.ratio:.2f}",
            f">= {one.at_least:g}",
            f"{one.ours.p99_ms:.1f}",
            f"{one.peer.p99_ms:.1f}",
            f"{one.ours.cpu_us:.0f}",
            f"{one.peer.cpu_us:.0f}",
            f"{one.ours.errors} / {one.peer.errors}",
            verdict(one.met),
        )
    return table


def figure_table(figures: Sequence[Figure]) -> Table:
    """What stands alone."""
    table = Table(title="windlass alone", title_justify="left")
    for name in ("what", "value", "aim", "met", "others (not measured here)"):
        table.add_column(name, justify="right" if name == "value" else "left")
    for one in figures:
        decimals = 2 if one.value < 10 or one.unit == "%" else 0
        value = f"{one.value:.{decimals}f} {one.unit}"
        table.add_row(one.name, value, one.target, verdict(one.met), one.reference)
    return table


def verdict(met: bool | None) -> str:
    """Yes, no, or nothing."""
    return {True: "[green]yes[/green]", False: "[red]no[/red]", None: ""}[met]


def write(file: Path, settings: Settings, results: Sequence[Result]) -> None:
    """Write everything as JSON."""
    content = {
        "machine": machine(),
        "settings": asdict(settings),
        "comparisons": [
            {**asdict(one), "ratio": round(one.ratio, 3), "met": one.met}
            for one in results
            if isinstance(one, Comparison)
        ],
        "figures": [asdict(one) for one in results if isinstance(one, Figure)],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Where and with what was measured."""
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git.stdout.strip(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
