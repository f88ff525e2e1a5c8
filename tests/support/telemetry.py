"""What nodes measure, in this process, on a clock of the test's own."""

from collections.abc import Callable, Sequence

from tests.support.fake_agent import series
from tests.support.fake_clock import FakeClock
from windlass.agents.v1 import agent_pb2
from windlass_server.storage.engine import Database
from windlass_server.telemetry.fields import NUMBERS
from windlass_server.telemetry.history import Answer, Question, TelemetryHistory
from windlass_server.telemetry.levels import LEVELS, Retention
from windlass_server.telemetry.readings import Decoder
from windlass_server.telemetry.recent import RecentHistory
from windlass_server.telemetry.rollup import Rollup
from windlass_server.telemetry.upkeep import TelemetryUpkeep

MICROS = 1_000_000
Point = tuple[int, float, float, float, float]


def a_batch(
    at: int, *some: agent_pb2.Series, deltas: Sequence[int] = (0,)
) -> agent_pb2.SampleBatch:
    """A batch of the time `at`, in microseconds; `deltas` in nanoseconds."""
    return agent_pb2.SampleBatch(base_time_nanos=at * 1000, time_deltas_nanos=deltas, series=some)


def power(gpu: str, *watts: float) -> agent_pb2.Series:
    return series("GPU_POWER_WATTS", gpu, *watts)


def points(rollup: Rollup | None, subject: str, since: int) -> dict[int, Point]:
    """Number, least, greatest, sum and last of a subject, by the seconds between `since` and a bucket."""
    if rollup is None or subject not in rollup.subjects:
        return {}
    one = rollup.of([subject])
    return {
        (start - since) // MICROS: tuple(float(column[row, 0]) for column in one.columns)  # type: ignore[misc]
        for row, start in enumerate(one.starts.tolist())
        if one.columns.number[row, 0]
    }


class MeasuringWorld:
    """A server's telemetry, without the server."""

    def __init__(
        self,
        database: Database,
        days: tuple[float, ...] = (1, 14, 90, 730),
        start: int | None = None,
    ) -> None:
        self.database = database
        self.clock = FakeClock() if start is None else FakeClock(start)
        self.retention = Retention.of_days(days)
        self.restart()

    def restart(self) -> None:
        """Forget what is not in the database."""
        self.recent = RecentHistory(self.clock)
        self.decoder = Decoder()
        parts = (self.database, self.recent, self.clock, self.retention)
        self.history = TelemetryHistory(*parts)
        self.upkeep = TelemetryUpkeep(*parts)

    def measure(self, seconds: int, value: Callable[[int], float], node: str = "node-1") -> None:
        """Measure a GPU's power once a second."""
        for _ in range(seconds):
            now = self.clock.now()
            self.take(node, a_batch(now, power("GPU-0", value(now // MICROS))))
            self.clock.advance(1)

    def take(self, node: str, batch: agent_pb2.SampleBatch) -> None:
        """Take in what a node sends."""
        readings = self.decoder.decode(batch)
        assert readings is not None
        self.recent.take(node, readings)

    async def ask(
        self, start: int, end: int, resolution: int | None = None, node: str = "node-1"
    ) -> Answer:
        """Of a GPU's power; `resolution` in seconds, times in microseconds."""
        wide = None if resolution is None else resolution * MICROS
        fields = frozenset({NUMBERS["gpu_power_watts"]})
        return await self.history.ask(node, Question(fields, None, start, end, wide))

    async def points(self, start: int, end: int, resolution: int | None = None) -> dict[int, Point]:
        """The answer's points, by the seconds since `start`."""
        answer = await self.ask(start, end, resolution)
        return points(answer.rollups.get(NUMBERS["gpu_power_watts"]), "GPU-0", start)

    async def keep(self, seconds: int) -> None:
        """Let time pass, with the upkeep in its turns."""
        for _ in range(0, seconds, 60):
            self.clock.advance(60)
            await self.upkeep.cycle()

    async def stored(self) -> list[int]:
        """How many segments there are of each level."""
        return await self.database.read(
            lambda tx: [
                len(tx.telemetry.read("node-1", level.number, None, 0, 1 << 62)) for level in LEVELS
            ]
        )

    async def remove(self, level: int) -> None:
        """Remove every segment of a level."""
        await self.database.write(
            lambda tx: tx.telemetry.remove(tx.telemetry.oldest(level, 1 << 62, 10_000))
        )
