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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.support.gateway import STREAMS, compile_protos
from tests.support.sample_services import SampleTypes, StoredBlob, sample_server
from windlass_server.gateway.cors import Cors
from windlass_server.gateway.granian_server import GranianServer
from windlass_server.gateway.serving import Address, HttpServer
from windlass_server.gateway.uvicorn_server import UvicornServer


async def serve(http_server: str, port: int, cors_origins: list[str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = compile_protos(Path(scratch), STREAMS)
    sample = sample_server(descriptors, SampleTypes(descriptors))
    data = bytes(range(256)) * 4096
    metadata = {"etag": '"v1"', "x-content-length": str(len(data) * 16)}
    sample.blobs.blobs["file"] = StoredBlob(data * 16, metadata=metadata)
    gateway = sample.gateway()
    app = Cors(gateway, cors_origins) if cors_origins else gateway
    server_class = UvicornServer if http_server == "uvicorn" else GranianServer
    http: HttpServer = server_class(app, Address("127.0.0.1", port))
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await http.start()
    sys.stdout.write(f"http://127.0.0.1:{http.address.port}\n")
    sys.stdout.flush()
    await stop.wait()
    gateway.drain()
    await http.stop(1)


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
    options = parser.parse_args()
    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(serve(options.http_server, options.port, options.cors_origin))


if __name__ == "__main__":
    main()
