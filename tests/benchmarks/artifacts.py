"""How fast artifacts go there and back: `python -m tests.benchmarks.artifacts [--mib N]`.

A file of 1 GiB goes to a server of its own and is read again, over HTTP/1.1 by curl and over gRPC by the
client. The table says how fast, how much CPU the server took, and by how much its resident memory grew at its
most. Beside it SHA-256 alone and a plain copy with fsync, which are parts of what an upload does.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.benchmarks.targets import Target, windlass_server
from tests.benchmarks.tools import tool
from windlass_client import Client

MIB = 1 << 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    mib = parser.parse_args().mib
    table = Table("what", "MB/s", "server CPU s", "memory grew by", title=f"a file of {mib} MiB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "file.bin"
        _fill(file, mib)
        for what, work in (("SHA-256 alone", _hash), ("copy and fsync", _copy)):
            start = time.perf_counter()
            work(file)
            table.add_row(what, _rate(mib, time.perf_counter() - start), "", "")
        with windlass_server(folder / "data") as server:
            for what, call in _calls(server, file):
                seconds, cpu, grown = _measured(server.pid, call)
                table.add_row(what, _rate(mib, seconds), f"{cpu:.2f}", f"{grown / MIB:.0f} MiB")
    Console(width=100).print(table)


def _calls(server: Target, file: Path) -> list[tuple[str, Callable[[], object]]]:
    with Client(server.grpc, server.token) as client:
        job_id = client.jobs.submit(["true"]).job_id
    base = f"{server.http}/v1/jobs/{job_id}/artifacts"
    curl = (
        *(tool("curl", "curl"), "--silent", "--show-error", "--fail", "--output", "/dev/null"),
        *("--header", f"authorization: Bearer {server.token}"),
    )

    def up() -> None:
        put = ("--request", "POST", "--upload-file", str(file))
        subprocess.run([*curl, *put, f"{base}?name=http.bin"], check=True)

    def up_form() -> None:
        form = ("--form", "name=form.bin", "--form", f"file=@{file}")
        subprocess.run([*curl, *form, base], check=True)

    def down() -> None:
        subprocess.run([*curl, f"{base}/{newest('http.bin')}:download"], check=True)

    def newest(name: str) -> str:
        with Client(server.grpc, server.token) as client:
            return next(iter(client.artifacts.list(job_id, name=name))).artifact_id

    def up_grpc() -> None:
        with Client(server.grpc, server.token) as client:
            client.artifacts.upload(job_id, file, name="grpc.bin")

    def down_grpc() -> None:
        with Client(server.grpc, server.token) as client:
            for _ in client.artifacts.download(job_id, newest("grpc.bin")):
                pass

    return [
        ("HTTP/1.1 up", up),
        ("HTTP/1.1 up, as a form", up_form),
        ("HTTP/1.1 down", down),
        ("gRPC up, the client's resumable way", up_grpc),
        ("gRPC down, with its digest", down_grpc),
    ]


def _measured(pid: int, call: Callable[[], object]) -> tuple[float, float, int]:
    """Seconds, seconds of the server's CPU, and bytes by which it grew at its most."""
    process = psutil.Process(pid)
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before, used = _status(pid, "VmRSS"), sum(process.cpu_times()[:2])
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    return seconds, sum(process.cpu_times()[:2]) - used, _status(pid, "VmHWM") - before


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"/proc/{pid}/status has no {name}")


def _fill(file: Path, mib: int) -> None:
    block = os.urandom(MIB)
    with file.open("wb") as out:
        for _ in range(mib):
            out.write(block)


def _hash(file: Path) -> None:
    with file.open("rb") as source:
        hashlib.file_digest(source, "sha256")


def _copy(file: Path) -> None:
    copied = file.with_name("copy")
    with file.open("rb") as source, copied.open("wb") as target:
        shutil.copyfileobj(source, target, MIB)
        os.fsync(target.fileno())
    copied.unlink()


def _rate(mib: int, seconds: float) -> str:
    return f"{mib * MIB / seconds / 1e6:.0f}"


if __name__ == "__main__":
    main()
