"""Objects on a directory and on a real S3 server behave the same."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.s3 import BUCKET, reach, s3_server
from windlass_server.errors import BadConfiguration, Exhausted, NotFound, Unavailable
from windlass_server.objects import store as stores
from windlass_server.objects.store import ObjectStore


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["directory", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    if request.param == "directory":
        return ObjectStore.open("", tmp_path / "objects")
    reach(request.getfixturevalue("endpoint"), monkeypatch)
    return ObjectStore.open(f"s3://{BUCKET}/{tmp_path.name}", tmp_path)


async def parts(*content: bytes) -> AsyncIterator[bytes]:
    for part in content:
        yield part


async def broken(*content: bytes) -> AsyncIterator[bytes]:
    for part in content:
        yield part
    raise EOFError


async def content(store: ObjectStore, key: str, offset: int = 0) -> bytes:
    return b"".join([part async for part in store.get(key, offset)])


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (9 << 20) + 1])
async def test_an_object_is_read_as_it_was_stored(store: ObjectStore, size: int):
    stored = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    middle = size // 3
    await store.put("a/b", parts(stored[:middle], stored[middle:]))
    assert await content(store, "a/b") == stored
    assert await content(store, "a/b", middle) == stored[middle:]
    assert await content(store, "a/b", size) == b""
    assert await store.sizes("a") == {"b": size}


async def test_what_breaks_off_leaves_nothing(store: ObjectStore):
    with pytest.raises(EOFError):
        await store.put("a/b", broken(b"half"))
    assert await store.sizes("a") == {}
    with pytest.raises(NotFound):
        await content(store, "a/b")


async def test_a_prefix_is_removed_with_all_below_it_and_nothing_beside(store: ObjectStore):
    for key in ("a/1/x", "a/1/y", "a/10/x"):
        await store.put(key, parts(key.encode()))
    await store.remove("a/1")
    await store.remove("a/1")
    assert await store.sizes("a") == {"10/x": 6}


def test_a_directory_knows_how_much_room_it_has_and_a_bucket_does_not(
    store: ObjectStore, request: pytest.FixtureRequest
):
    free = store.free_bytes()
    assert free is None if "s3" in request.node.name else free > 0


async def test_a_full_disk_is_told_apart_from_a_store_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = ObjectStore.open("", tmp_path)

    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stores, "_sync", full)
    with pytest.raises(Exhausted) as refused:
        await store.put("a/b", parts(b"x"))
    assert refused.value.reason == "OBJECT_STORE_FULL"


async def test_a_server_that_is_not_there_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reach("http://127.0.0.1:9", monkeypatch)
    store = ObjectStore.open(f"s3://{BUCKET}", tmp_path)
    with pytest.raises(Unavailable):
        await store.put("a/b", parts(b"x"))


def test_a_directory_that_cannot_be_made_is_said_at_the_start(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(BadConfiguration, match="objects cannot be kept"):
        ObjectStore.open(f"file://{tmp_path}/file/objects", tmp_path)
