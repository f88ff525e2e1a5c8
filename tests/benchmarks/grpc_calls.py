"""gRPC: get and list under h2load, windlass beside a bare servicer.

A client in Python needs more time for a call than either server, and would measure itself. h2load
is C; it does not read grpc-status, so each call is checked before it is measured, and the bytes of
the answers afterwards.
"""

import re
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import grpc
from google.protobuf.message import Message
from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.results import Comparison, Load
from tests.benchmarks.rounds import Measure, compare, with_processor_time
from tests.benchmarks.seed import metadata, seed
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, peer_grpc, windlass_server
from tests.benchmarks.tools import tool
from windlass.jobs.v1 import jobs_service_pb2 as pb

SERVICE = "/windlass.jobs.v1.JobsService/"
_COUNTS = re.compile(r"(\d+) done, (\d+) succeeded")
_DATA = re.compile(r"\((\d+)\) data")


@dataclass(frozen=True)
class Call:
    """One kind of call: a name, the method, the request, the aim."""

    name: str
    method: str
    request: Message
    at_least: float


def calls(job_id: str) -> list[Call]:
    """The two calls."""
    page = pb.ListJobsRequest(project="default", page_size=50)
    return [
        Call("gRPC get", "GetJob", pb.GetJobRequest(job_id=job_id), aims.GRPC_GET),
        Call("gRPC list of 50", "ListJobs", page, aims.GRPC_LIST),
    ]


def answer_size(target: Target, call: Call) -> int:
    """Make the call once; the size of its answer. Raises RuntimeError when it is refused."""
    with grpc.insecure_channel(target.grpc) as channel:
        try:
            raw: Any = channel.unary_unary(SERVICE + call.method)
            answer: bytes = raw(
                call.request.SerializeToString(), metadata=metadata(target), timeout=10
            )
        except grpc.RpcError as error:
            raise RuntimeError(f"{target.name} refuses {call.method}: {error}") from error
    return len(answer) + 5


def h2load(target: Target, call: Call, directory: Path, connections: int, seconds: int) -> Load:
    """Run h2load for so long with one call in flight on each connection."""
    message = call.request.SerializeToString()
    request, log = directory / "request.bin", directory / "log.tsv"
    request.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    log.unlink(missing_ok=True)
    headers = [("content-type", "application/grpc"), ("te", "trailers"), *metadata(target)]
    command = [
        *(tool("h2load", "nghttp2-client"), "-t1", f"-c{connections}", "-m1"),
        *(f"-D{seconds}", "-d", str(request)),
        *(part for name, value in headers for part in ("-H", f"{name}: {value}")),
        *(f"--log-file={log}", f"http://{target.grpc}{SERVICE}{call.method}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    latencies = [int(line.split("\t")[2]) / 1e3 for line in log.read_text().splitlines()]
    cuts = quantiles(latencies, n=100)
    errors = wrong_answers(done.stdout, answer_size(target, call))
    return Load(len(latencies), len(latencies) / seconds, cuts[49], cuts[98], errors)


def wrong_answers(output: str, size: int) -> int:
    """Answers that failed, or that lack the bytes of a good one (an error has none)."""
    counts, data = _COUNTS.search(output), _DATA.search(output)
    if counts is None or data is None:
        raise RuntimeError(f"cannot read what h2load says: {output}")
    done, succeeded = int(counts[1]), int(counts[2])
    missing = max(0, done - int(data[1]) // size)
    return done - succeeded + missing


def run(console: Console, settings: Settings) -> Iterator[Comparison]:
    """Yield a comparison for each call and number of connections."""
    tool("h2load", "nghttp2-client")
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        directory = Path(name)
        with (
            windlass_server(directory / "windlass") as ours,
            peer_grpc(directory, settings.jobs) as peer,
        ):
            with console.status(f"windlass: submitting {settings.jobs} jobs"):
                ids = seed(ours, settings.jobs)
            pairs = zip(calls(ids[len(ids) // 2]), calls(f"job-{77:026}"), strict=True)
            for our_call, peer_call in pairs:
                for connections in settings.connections:
                    sides = (
                        measure_of(ours, our_call, settings, connections, directory),
                        measure_of(peer, peer_call, settings, connections, directory),
                    )
                    yield compare(
                        console, settings, our_call.name, connections, sides, our_call.at_least
                    )


def measure_of(
    target: Target, call: Call, settings: Settings, connections: int, directory: Path
) -> Measure:
    """How to measure a call on a target, with its warm-up."""

    def measure() -> Load:
        h2load(target, call, directory, connections, settings.warm_up_seconds)
        load = partial(h2load, target, call, directory, connections, settings.seconds)
        return with_processor_time(target.pid, load)

    return measure
