"""A server process with the sample services: `python -m tests.support.sample_process --help`.

Prints where it listens, then serves until it is told to stop. For measurements of the process itself.
"""

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.support.gateway import STREAMS, compile_protos
from tests.support.sample_services import SampleServer, SampleTypes, StoredBlob, sample_server
from windlass_server.gateway.cors import Cors
from windlass_server.gateway.serving import Address, http_server
from windlass_server.gateway.upstream import UpstreamDispatcher
from windlass_server.rpc.server import GrpcServer


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = compile_protos(Path(scratch), STREAMS)
    sample = sample_server(descriptors, SampleTypes(descriptors))
    data = bytes(range(256)) * 4096
    for name, times in (("file", 16), ("large", 2048)):
        metadata = {"etag": '"v1"', "x-content-length": str(len(data) * times)}
        sample.blobs.blobs[name] = StoredBlob(data, metadata=metadata, times=times)
    stack = contextlib.AsyncExitStack()
    dispatcher = await stack.enter_async_context(_upstream(sample)) if options.upstream else None
    gateway = sample.gateway(dispatcher)
    app = Cors(gateway, options.cors_origin) if options.cors_origin else gateway
    http = http_server(options.http_server, app, Address("127.0.0.1", options.port))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await http.start()
    sys.stdout.write(f"http://127.0.0.1:{http.address.port}\n")
    sys.stdout.flush()
    await stop.wait()
    gateway.drain()
    await http.stop(1)
    await stack.aclose()


@contextlib.asynccontextmanager
async def _upstream(sample: SampleServer) -> AsyncIterator[UpstreamDispatcher]:
    """The way to the services over a gRPC server, which is in this process, too."""
    unrouted = next(iter(sample.pipeline.methods.values()))
    server = GrpcServer(
        sample.pipeline, "127.0.0.1:0", unrouted=unrouted, add_others=lambda _: None
    )
    await server.start()
    dispatcher = UpstreamDispatcher(f"127.0.0.1:{server.port}")
    yield dispatcher
    await dispatcher.close()
    await server.stop(1)


@dataclass
class SampleProcess:
    """A running one.

    Attributes:
        base: its URL.
        pid: of the process.
    """

    base: str
    pid: int

    def forget_peak(self) -> int:
        """Begin to measure memory; returns the resident bytes of now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self._status("VmRSS")

    def peak(self) -> int:
        """Most resident bytes since `forget_peak`."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(name)


@contextlib.contextmanager
def sample_process(*arguments: str) -> Iterator[SampleProcess]:
    """Run one with these arguments for the length of the block."""
    command = [sys.executable, "-m", "tests.support.sample_process", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield SampleProcess(process.stdout.readline().strip(), process.pid)
        finally:
            process.terminate()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--http-server", choices=["granian", "uvicorn"], default="granian")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cors-origin", action="append", default=[])
    parser.add_argument("--upstream", action="store_true", help="answer over a gRPC server")
    options = parser.parse_args()
    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(serve(options))


if __name__ == "__main__":
    main()
