"""Where what nodes measure goes."""

from windlass_server.meters import Meters
from windlass_server.telemetry.known_batches import Batch, values_in
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.telemetry.recent import RecentHistory


class Ingest:
    """Hands each batch to all who want it."""

    def __init__(self, latest: LatestTelemetry, recent: RecentHistory, meters: Meters) -> None:
        self._latest = latest
        self._recent = recent
        self._batches, self._samples = meters.sample_batches, meters.samples

    def take(self, node_id: str, batch: Batch) -> None:
        """Take in a batch. Never raises, whatever is in it."""
        self._batches.inc()
        self._samples.inc(values_in(batch))
        readings = self._latest.take(node_id, batch)
        if readings is not None:
            self._recent.take(node_id, readings)
