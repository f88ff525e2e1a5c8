"""What the server measures of itself, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.process_collector import ProcessCollector

# A millisecond to ten seconds: what callers wait, and what duties take.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """The meters of one server, in a registry of its own."""

    def __init__(self, version: str, database: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Info("windlass_build", "The server.", registry=self._registry).info(
            {"version": version, "database": database}
        )
        self.requests = Counter(
            "windlass_requests",
            "Calls that have ended, by their method and google.rpc.Code.",
            ("method", "code"),
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "windlass_request_duration_seconds",
            "How long calls of one answer took.",
            ("method",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.open_streams = Gauge(
            "windlass_streams_open",
            "Calls with a stream that are open.",
            ("method",),
            registry=self._registry,
        )
        self._cycles = Histogram(
            "windlass_duty_cycle_duration_seconds",
            "How long the server's own duties took, such as a cycle of the scheduler.",
            ("duty",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._failures = Counter(
            "windlass_duty_failures",
            "Cycles of the server's own duties that failed.",
            ("duty",),
            registry=self._registry,
        )
        self._preemptions = Counter(
            "windlass_preemptions",
            "Jobs that were stopped so that another gets their place.",
            registry=self._registry,
        )
        self._webhook_attempts = Counter(
            "windlass_webhook_attempts",
            "Attempts to tell a webhook of an event, by their error; empty of those that succeeded.",
            ("error",),
            registry=self._registry,
        )
        self.sample_batches = Counter(
            "windlass_sample_batches",
            "Batches of samples that were taken in.",
            registry=self._registry,
        )
        self.samples = Counter(
            "windlass_samples", "Measured values that were taken in.", registry=self._registry
        )

    def jobs_preempted(self, count: int) -> None:
        """Note jobs that were stopped so that another gets their place."""
        self._preemptions.inc(count)

    def webhook_attempted(self, error: str) -> None:
        """Note an attempt to tell a webhook, with its error, empty for none."""
        self._webhook_attempts.labels(error).inc()

    def cycle_ended(self, duty: str, seconds: float, failed: bool) -> None:
        """Note a cycle of one of the server's own duties."""
        self._cycles.labels(duty).observe(seconds)
        if failed:
            self._failures.labels(duty).inc()

    def text(self) -> bytes:
        """What they show now, in Prometheus' text format."""
        return generate_latest(self._registry)
