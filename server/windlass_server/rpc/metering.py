"""Counts calls and how they end, and measures how long they take."""

import time
from functools import partial

from google.rpc import code_pb2
from prometheus_client import Counter, Histogram

from windlass_server.meters import Meters
from windlass_server.rpc.call import Call


class Metering:
    """Notes each call at its end."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        # To look them up by their labels takes longer than to count.
        self._counters: dict[tuple[str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def began(self, call: Call) -> None:
        """Note the beginning of a call; its end is noted by its finalizers."""
        method = call.method
        if method.client_streaming or method.server_streaming:
            streams = self._meters.open_streams.labels(method.path)
            streams.inc()
            call.finalizers += [streams.dec, partial(self._count, call)]
        else:
            call.finalizers.append(partial(self._ended, call, time.monotonic()))

    def _ended(self, call: Call, began: float) -> None:
        self._count(call)
        path = call.method.path
        histogram = self._histograms.get(path)
        if histogram is None:
            histogram = self._histograms[path] = self._meters.request_seconds.labels(path)
        histogram.observe(time.monotonic() - began)

    def _count(self, call: Call) -> None:
        key = call.method.path, call.code
        counter = self._counters.get(key)
        if counter is None:
            name = code_pb2.Code.Name(call.code)
            counter = self._counters[key] = self._meters.requests.labels(key[0], name)
        counter.inc()
