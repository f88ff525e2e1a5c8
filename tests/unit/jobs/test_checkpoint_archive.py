"""Checkpoints as tar archives, as the standard library's own reader takes them."""

import hashlib
import io
import os
import tarfile

import pytest

from windlass.agents.v1.checkpoint_pb2 import CheckpointEntry, CheckpointFile, CheckpointFolder
from windlass_server.jobs import checkpoint_archive

NANOS = 1_800_000_000_123_456_789


def folder(path: bytes) -> CheckpointEntry:
    return CheckpointEntry(path=path, folder=CheckpointFolder())


def link(path: bytes, to: bytes) -> CheckpointEntry:
    return CheckpointEntry(path=path, link=to)


def file(path: bytes, size: int = 0, *, executable: bool = False) -> CheckpointEntry:
    described = CheckpointFile(
        sha256=hashlib.sha256().digest(),
        size_bytes=size,
        executable=executable,
        change_time_nanos=NANOS,
    )
    return CheckpointEntry(path=path, file=described)


def archived(*entries: CheckpointEntry) -> bytes:
    made = b""
    for entry in entries:
        made += checkpoint_archive.header(entry) + b"x" * entry.file.size_bytes
        made += checkpoint_archive.padding(entry)
    return made + checkpoint_archive.END


ODD = b"\xff not utf-8 \xc3\xa4"
ENTRIES = [
    folder(b"deep"),
    file(b"deep/weights", 1025),
    file(b"deep/run", 512, executable=True),
    file(b"empty"),
    link(b"newest", b"deep/weights"),
    file(ODD, 1),
    file(b"n" * 255, 3),
    link(b"long", b"l" * 4000),
    file(b"large", 9_000_000),
]


def test_what_was_put_in_comes_out():
    content = archived(*ENTRIES)
    assert len(content) == checkpoint_archive.size_of(ENTRIES)
    with tarfile.open(fileobj=io.BytesIO(content), errors="surrogateescape") as tar:
        found = {os.fsencode(member.name): member for member in tar}
        assert list(found) == [entry.path for entry in ENTRIES]
        weights = tar.extractfile(found[b"deep/weights"])
        assert weights is not None
        assert weights.read() == b"x" * 1025
    assert found[b"deep"].isdir()
    assert (found[b"deep/run"].mode, found[b"deep/weights"].mode) == (0o755, 0o644)
    assert found[b"empty"].mtime == NANOS // 10**9
    assert (found[b"newest"].issym(), found[b"newest"].linkname) == (True, "deep/weights")
    assert found[b"long"].linkname == "l" * 4000


def test_a_file_larger_than_old_tars_can_say_has_its_size():
    header = checkpoint_archive.header(file(b"huge", 1 << 40))
    with tarfile.open(fileobj=io.BytesIO(header), mode="r:") as tar:
        assert tar.next().size == 1 << 40


@pytest.mark.parametrize(
    ("entries", "fit"),
    [
        (ENTRIES, True),
        ([], True),
        ([file(b"/etc/passwd")], False),
        ([file(b"../outside")], False),
        ([folder(b"a"), file(b"a/../../outside")], False),
        ([file(b"a/b")], False),
        ([file(b"a"), file(b"a/b")], False),
        # Whoever unpacks this would write through the link.
        ([link(b"a", b"/etc"), file(b"a/passwd")], False),
        ([link(b"a", b"/etc"), folder(b"a"), file(b"a/passwd")], False),
        ([file(b"a"), file(b"a")], False),
        ([folder(b"a"), file(b"a/")], False),
        ([folder(b"a"), file(b"a//b")], False),
        ([file(b".")], False),
        ([file(b"a\0b")], False),
    ],
)
def test_nothing_lies_outside_of_the_archive_or_behind_a_link(
    entries: list[CheckpointEntry], fit: bool
):
    assert checkpoint_archive.is_fit(entries) is fit
