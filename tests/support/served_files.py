"""Files over HTTP on loopback: a package index, or a git repository for its dumb protocol."""

import asyncio
import functools
import http.server
import subprocess
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a folder that is served meanwhile."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Gate:
    """A way to a server on which nothing passes before the test says so.

    Attributes:
        url: what to ask.
        asked: somebody has come.
        open: whether they pass.
    """

    url: str
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def gate_to(url: str) -> AsyncIterator[Gate]:
    """A gate before a server on this machine."""
    gate = Gate("")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gate.asked.set()
        try:
            await gate.open.wait()
            there = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))
        finally:
            writer.close()

    server = await asyncio.start_server(come, "127.0.0.1", 0)
    gate.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield gate
    finally:
        gate.open.set()
        server.close()


def add_wheel(index: Path, name: str, body: str, version: str = "1.0") -> None:
    """Put a package into an index that is served: a module of its name, and a program `NAME-says`."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": body,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-says = {name}:main\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in (files | {f"{info}/RECORD": record}).items():
            wheel.writestr(path, text)


def a_repository(folder: Path, **files: str) -> str:
    """Make a bare repository with one commit of these files, fit to be served; returns the commit."""
    work = folder.with_name(f"{folder.name}-work")
    work.mkdir(parents=True)
    for name, text in files.items():
        (work / name).write_text(text)

    def git(*arguments: str, at: Path = work) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example", *arguments]
        done = subprocess.run(command, cwd=at, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    git("clone", "-q", "--bare", str(work), str(folder))
    git("update-server-info", at=folder)
    return git("rev-parse", "HEAD")
