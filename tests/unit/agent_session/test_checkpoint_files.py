import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from windlass.agents.v1 import checkpoint_pb2 as pb
from windlass_agent.checkpoint_files import (
    UnfitPath,
    create,
    finish,
    fit,
    make_folders,
    manifest_of,
    read,
    scan,
)


def a_checkpoint(folder: Path) -> Path:
    """A folder with one of everything that there can be."""
    (folder / "step-7" / "empty").mkdir(parents=True)
    (folder / "step-7" / "weights").write_bytes(b"w" * (1 << 20))
    os.utime(folder / "step-7" / "weights", ns=(5, 1_700_000_000_123_456_789))
    (folder / "resume").write_text("#!/bin/sh\n")
    (folder / "resume").chmod(0o755)
    (folder / "latest").symlink_to("step-7")
    (folder / os.fsdecode(b"\xff")).touch()
    os.mkfifo(folder / "pipe")
    return folder


def copied(manifest: pb.CheckpointManifest, source: Path, target: Path) -> None:
    """Restore a manifest, with contents from where it came from."""
    make_folders(target, manifest)
    for entry in manifest.entries:
        if entry.HasField("file"):
            fd = create(target, entry.path)
            for part in read(source, entry.path):
                os.write(fd, part)
            os.close(fd)
    finish(target, manifest)


def test_a_folder_comes_back_as_it_was(tmp_path: Path):
    source = a_checkpoint(tmp_path / "source")
    target = tmp_path / "target"
    target.mkdir()
    copied(manifest_of(source, scan(source)), source, target)

    weights = target / "step-7" / "weights"
    assert weights.read_bytes() == b"w" * (1 << 20)
    assert weights.stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert weights.stat().st_mode & 0o777 == 0o400
    assert (target / "resume").stat().st_mode & 0o777 == 0o500
    assert (target / "latest").readlink() == Path("step-7")
    names = sorted(os.fsencode(path.relative_to(target)) for path in target.rglob("*"))
    assert names == [b"latest", b"resume", b"step-7", b"step-7/empty", b"step-7/weights", b"\xff"]


def test_the_manifest_tells_sizes_and_digests(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"content")
    (entry,) = manifest_of(tmp_path, scan(tmp_path)).entries
    assert entry.path == b"a"
    assert entry.file.sha256 == hashlib.sha256(b"content").digest()
    assert entry.file.size_bytes == 7


def test_no_link_is_followed(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "file").symlink_to(secret / "key")
    (folder / "folder").symlink_to(secret)
    entries = manifest_of(folder, scan(folder)).entries
    assert {(entry.path, entry.WhichOneof("kind")) for entry in entries} == {
        (b"file", "link"),
        (b"folder", "link"),
    }
    with pytest.raises(OSError, match="symbolic links"):
        list(read(folder, b"file"))


def test_a_file_that_grows_while_it_is_read_is_not_taken(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"one")
    found = scan(tmp_path)
    (tmp_path / "a").write_bytes(b"one and two")
    with pytest.raises(OSError, match="changes"):
        manifest_of(tmp_path, found)


@pytest.mark.parametrize("path", [b"..", b"/etc", b"a/../../b", b"a//b", b".", b"a/", b"", b"a\0b"])
def test_nothing_is_written_outside_of_the_folder(tmp_path: Path, path: bytes):
    with pytest.raises(UnfitPath):
        fit(path)
    manifest = pb.CheckpointManifest(entries=[pb.CheckpointEntry(path=path, file={})])
    with pytest.raises(UnfitPath):
        make_folders(tmp_path, manifest)
    with pytest.raises(UnfitPath):
        create(tmp_path, path)


def test_nothing_is_written_through_a_link(tmp_path: Path):
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    manifest = pb.CheckpointManifest(
        entries=[
            pb.CheckpointEntry(path=b"a", link=os.fsencode(outside)),
            pb.CheckpointEntry(path=b"a/b", file={}),
        ]
    )
    make_folders(target, manifest)
    os.close(create(target, b"a/b"))
    with pytest.raises(FileExistsError):
        finish(target, manifest)
    assert list(outside.iterdir()) == []


def test_folders_without_end_cannot_be_kept_and_that_is_told(tmp_path: Path):
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    try:
        with pytest.raises(OSError, match="folders lie more than 200 deep in each other"):
            scan(tmp_path)
    finally:
        # Python's own way to remove folders recurses, and so does what cleans up behind tests.
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)
