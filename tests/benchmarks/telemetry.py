"""What it takes to keep what a fleet measures, and how long a question about the past is waited for.

In this process, on SQLite, without the wire: what `fleet.py` measures of a whole server is mostly gRPC.
Time is the telemetry's own, so that ten minutes of a fleet take as long as their work.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.results import Figure, at_most
from tests.benchmarks.settings import Settings
from tests.support.fake_clock import FakeClock
from windlass.agents.v1 import agent_pb2
from windlass_server.meters import Meters
from windlass_server.resources.metrics import series_messages
from windlass_server.storage.engine import Database, open_database
from windlass_server.storage.guard import acting_as
from windlass_server.telemetry.fields import LIVE_NAMES, NUMBERS
from windlass_server.telemetry.history import Question, TelemetryHistory
from windlass_server.telemetry.ingest import Ingest
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.telemetry.levels import DAY, LEVELS, Retention
from windlass_server.telemetry.recent import RecentHistory
from windlass_server.telemetry.rollup import Columns, Rollup
from windlass_server.telemetry.segments import encode
from windlass_server.telemetry.upkeep import TelemetryUpkeep

MICROS = 1_000_000
GPUS = tuple(f"GPU-{number:08x}-1111-2222-3333-444455556666" for number in range(8))
FIELDS = [number for number, name in LIVE_NAMES.items() if name.startswith("gpu_")][:12]
POWER = NUMBERS["gpu_power_watts"]
KEPT = Retention.of_days((1, 14, 90, 730))
QUESTIONS = 20


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield what a fleet's samples cost, and how long a week of one GPU takes."""
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        folder = Path(name)
        yield from asyncio.run(_measure(folder, settings))
        size = sum(file.stat().st_size for file in folder.iterdir()) / (1 << 20)
        yield Figure("telemetry: database", size, "MiB")


async def _measure(folder: Path, settings: Settings) -> list[Figure]:
    with acting_as("benchmark"):
        database = await open_database(f"sqlite:///{folder / 'windlass.db'}")
        try:
            percent = await keep(database, settings)
            milliseconds = await a_week(database)
        finally:
            await database.close()
    values = settings.fleet_nodes * len(GPUS) * len(FIELDS)
    return [
        at_most(
            f"telemetry: {values:,} values a second kept", percent, "% of a core", aims.KEEP_PERCENT
        ),
        at_most(
            "telemetry: a week of a GPU's power by the minute", milliseconds, "ms", aims.WEEK_MS
        ),
    ]


async def keep(database: Database, settings: Settings) -> float:
    """Take in what a fleet sends, once a second; processor time by the second of it, in percent."""
    clock = FakeClock()
    recent = RecentHistory(clock)
    ingest = Ingest(LatestTelemetry(clock), recent, Meters("benchmark", "sqlite"))
    upkeep = TelemetryUpkeep(database, recent, clock, KEPT)
    nodes = [f"node-{number:026d}" for number in range(settings.fleet_nodes)]
    batches = [a_batch(seed).SerializeToString() for seed in range(100)]
    seconds = 5 * settings.fleet_seconds
    began = time.process_time()
    for second in range(seconds):
        for number, node in enumerate(nodes):
            batch = agent_pb2.SampleBatch.FromString(batches[(number + second) % len(batches)])
            batch.base_time_nanos = clock.now() * 1000
            ingest.take(node, batch)
        await upkeep.cycle()
        clock.advance(1)
    return (time.process_time() - began) / seconds * 100


async def a_week(database: Database) -> float:
    """The median time of a question about a week of one of eight GPUs, by the minute, in milliseconds."""
    clock = FakeClock()
    hour = LEVELS[1].segment
    start = clock.now() // hour * hour - 7 * DAY
    for begin in range(start, start + 7 * DAY, hour):
        data = encode(an_hour(begin))
        row = {"node_id": "node-1", "field": POWER, "level": 1, "start_at": begin, "data": data}
        await database.write(lambda tx, row=row: tx.telemetry.add([row]))  # type: ignore[misc]
    history = TelemetryHistory(database, RecentHistory(clock), clock, KEPT)
    question = Question(
        frozenset({POWER}), frozenset({GPUS[3]}), start, clock.now(), LEVELS[1].width
    )
    took = []
    for _ in range(QUESTIONS):
        began = time.perf_counter()
        answer = await history.ask("node-1", question)
        (series,) = series_messages("node-1", answer)
        series.SerializeToString()
        took.append((time.perf_counter() - began) * 1000)
        assert len(series.mean) == 7 * 24 * 60
    return median(took)


def a_batch(seed: int) -> agent_pb2.SampleBatch:
    """One second of a node."""
    random = np.random.default_rng(seed)
    batch = agent_pb2.SampleBatch(time_deltas_nanos=[0])
    for uuid in GPUS:
        for measured in FIELDS:
            batch.series.add(field=measured, subject=uuid, values=[float(random.integers(1000))])
    return batch


def an_hour(start: int) -> Rollup:
    """An hour of eight GPUs in minutes."""
    watts = np.random.default_rng(start // MICROS).integers(60, 700, (60, 8)).astype(float)
    number = np.full((60, 8), 60, dtype=np.int64)
    columns = Columns(number, watts, watts + 5, watts * 60, watts)
    return Rollup(GPUS, start + np.arange(60) * LEVELS[1].width, columns)
