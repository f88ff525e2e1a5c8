"""Objects by key, in a directory of this machine or in a bucket that speaks S3."""

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from windlass_server.errors import BadConfiguration, Exhausted, NotFound, Unavailable

# What is held of an object on its way, and read or sent at once.
# S3 takes 10,000 parts of an object.
_PART_BYTES = 16 << 20
_PARTS_AT_ONCE = 2
_PUTS_AT_ONCE = 16
_READ_BYTES = 1 << 20
_RETRY_SECONDS = 5.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


class ObjectStore:
    """Objects: each appears whole, under a key of names joined by `/`, and is never changed.

    Args:
        store: where they are kept.
        directory: the same as a directory, when it is one of this machine's.
    """

    def __init__(self, store: Any, directory: Path | None = None) -> None:
        self._store = store
        self._directory = directory
        self._room = asyncio.Semaphore(_PUTS_AT_ONCE)

    @classmethod
    def open(cls, url: str, default: Path) -> "ObjectStore":
        """The store of a URL: `file:///directory` or `s3://bucket/prefix`; empty: `default`.

        Raises:
            BadConfiguration: it cannot be used.
        """
        parts = urlsplit(url)
        try:
            if parts.scheme == "s3":
                return cls(S3Store(parts.netloc, prefix=parts.path.strip("/") or None))
            directory = Path(unquote(parts.path)) if url else default
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls(LocalStore(directory, automatic_cleanup=True), directory)
        except (BaseError, OSError, ValueError) as error:
            message = f"objects cannot be kept in {url or default}: {_first_line(error)}"
            raise BadConfiguration(message) from None

    def apart(self) -> "ObjectStore":
        """The same objects, for those whose slow uploads must not hold up the others: only so many go on at once."""
        return ObjectStore(self._store, self._directory)

    async def put(self, key: str, parts: AsyncIterable[bytes]) -> None:
        """Store an object; on the disk when this returns. An error of `parts` leaves nothing.

        Raises:
            Exhausted: there is no room for it (`OBJECT_STORE_FULL`).
            Unavailable: the store cannot be reached (`OBJECT_STORE_UNAVAILABLE`).
        """
        async with self._room:
            await self._put(key, parts)

    async def _put(self, key: str, parts: AsyncIterable[bytes]) -> None:
        with _said_in_our_words():
            await obstore.put_async(
                self._store,
                key,
                parts,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
            if self._directory is not None:
                await asyncio.to_thread(_sync, self._directory / key)

    async def get(self, key: str, offset: int = 0) -> AsyncGenerator[bytes]:
        """The content of an object, in parts of about 1 MiB, from `offset` on.

        Raises:
            NotFound: there is no such object (`OBJECT_NOT_FOUND`).
            Unavailable: as for `put`.
        """
        with _said_in_our_words():
            # An empty range is none that can be asked for.
            size = (await obstore.head_async(self._store, key))["size"]
            if offset >= size:
                return
            options: Any = {"range": {"offset": offset}} if offset else None
            found = await obstore.get_async(self._store, key, options=options)
            async for part in found.stream(min_chunk_size=_READ_BYTES):
                for first in range(0, len(part), _READ_BYTES):
                    yield bytes(part[first : first + _READ_BYTES])

    def part(self, key: str, offset: int, size: int) -> bytes:
        """So many bytes of an object. Blocks.

        Raises:
            NotFound, Unavailable: as for `get`.
        """
        with _said_in_our_words():
            return bytes(obstore.get_range(self._store, key, start=offset, length=size))

    async def sizes(self, prefix: str) -> dict[str, int]:
        """The bytes of each object below `prefix`, by its key without that."""
        found: dict[str, int] = {}
        with _said_in_our_words():
            async for some in obstore.list(self._store, prefix=prefix):
                found |= {one["path"][len(prefix) + 1 :]: one["size"] for one in some}
        return found

    async def delete(self, key: str) -> None:
        """Remove one object; fine when there is none."""
        with contextlib.suppress(NotFound), _said_in_our_words():
            await obstore.delete_async(self._store, key)

    async def remove(self, prefix: str) -> None:
        """Remove every object below `prefix`, and what uploads that broke off have left there."""
        with _said_in_our_words():
            if self._directory is not None:
                await asyncio.to_thread(_remove_folder, self._directory / prefix)
                return
            async for some in obstore.list(self._store, prefix=prefix):
                await obstore.delete_async(self._store, [one["path"] for one in some])

    def free_bytes(self) -> int | None:
        """How much more can be stored; None where nobody can say."""
        if self._directory is None:
            return None
        return shutil.disk_usage(self._directory).free


def _sync(path: Path) -> None:
    """Bring a file and the names that lead to it to the disk."""
    for one in (path, path.parent, path.parent.parent):
        fd = os.open(one, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _remove_folder(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return


@contextmanager
def _said_in_our_words() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound("there is no such object", reason="OBJECT_NOT_FOUND") from None
    except (BaseError, OSError) as error:
        if _is_full(error):
            text = "the object store is full"
            raise Exhausted(text, reason="OBJECT_STORE_FULL", retry_seconds=60.0) from error
        text = "the object store cannot be used now"
        raise Unavailable(
            text, reason="OBJECT_STORE_UNAVAILABLE", retry_seconds=_RETRY_SECONDS
        ) from error


def _is_full(error: Exception) -> bool:
    # obstore tells the number in its words alone.
    words = str(error)
    return getattr(error, "errno", None) in _FULL or any(f"code: {one}" in words for one in _FULL)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
