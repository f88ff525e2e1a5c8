"""What large files cost the gateway: `python -m tests.benchmarks.files [--mib N]`.

curl sends a file of 2 GiB to a server process of its own, and gets one from it, in each way that there is;
the table says how fast, and by how much the process' resident memory grew at its most. The service behind it
hashes what comes, in the same process; with an upstream it does so behind a gRPC server, in the same
process, too. The peer is the same service without a gateway: SHA-256 over the same bytes.
"""

import argparse
import hashlib
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.tools import tool
from tests.support.sample_process import SampleProcess, sample_process

MIB = 1 << 20
UPLOADS = {
    "up, as it is": ("--request", "POST", "--upload-file", "{file}"),
    "up, chunked": (
        *("--request", "POST", "--upload-file", "{file}"),
        *("--header", "transfer-encoding: chunked"),
    ),
    "up, as a form": ("--form", "version=7", "--form", "file=@{file}"),
}
SERVERS = {
    "granian": (),
    "granian, HTTP/2": ("--http2-prior-knowledge",),
    "uvicorn": (),
    "granian, upstream": (),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="size of the file")
    options = parser.parse_args()
    table = Table("server", "what", "MiB/s", "memory grew by", title=f"a file of {options.mib} MiB")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file"
        with file.open("wb") as out:
            out.truncate(options.mib * MIB)
        table.add_row("", "SHA-256 alone", f"{options.mib / _hash(file):.0f}", "")
        for name, flags in SERVERS.items():
            arguments = ["--http-server", name.partition(",")[0]]
            if name.endswith("upstream"):
                arguments.append("--upstream")
            with sample_process(*arguments) as process:
                _measure(table, name, flags, process, file)
    Console(width=100).print(table)


def _hash(file: Path) -> float:
    start = time.perf_counter()
    with file.open("rb") as source:
        hashlib.file_digest(source, "sha256")
    return time.perf_counter() - start


def _measure(
    table: Table, name: str, flags: tuple[str, ...], process: SampleProcess, file: Path
) -> None:
    size = file.stat().st_size / MIB
    for what, arguments in UPLOADS.items():
        if "chunked" in what and "HTTP/2" in name:
            continue  # HTTP/2 has no such thing
        filled = [argument.format(file=file) for argument in arguments]
        seconds, grown = _curl(process, *flags, *filled, f"{process.base}/v1/blobs/b")
        table.add_row(name, what, f"{size / seconds:.0f}", f"{grown / MIB:.1f} MiB")
    seconds, grown = _curl(process, *flags, f"{process.base}/v1/blobs/large")
    table.add_row(name, "down", f"{2048 / seconds:.0f}", f"{grown / MIB:.1f} MiB")


def _curl(process: SampleProcess, *arguments: str) -> tuple[float, int]:
    """Seconds that it took, and bytes by which the process grew."""
    before = process.forget_peak()
    command = [tool("curl", "curl"), "--silent", "--show-error", "--fail", "--output", "/dev/null"]
    start = time.perf_counter()
    subprocess.run([*command, *arguments], check=True)
    return time.perf_counter() - start, process.peak() - before


if __name__ == "__main__":
    main()
