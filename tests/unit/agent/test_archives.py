"""Archives of strangers are unpacked into a folder, or refused and leave nothing."""

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from windlass_agent import archive_tree, beneath
from windlass_agent.archives import ArchiveRefused, Bounds, Unpacked, unpack

FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip in two streams": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "gzip with zeros behind it": lambda data: gzip.compress(data) + bytes(512),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "zstd in two frames": lambda data: (
        zstandard.compress(data[:1000]) + zstandard.compress(data[1000:])
    ),
}
# ELOOP, EXDEV, ENOTDIR: each way says it in another of these.
LEADS_OUT = "Too many levels|No such file|Invalid cross-device|Not a directory"
SMALL = Bounds(entries=10, size=1 << 20, ratio=20, free=64 << 10)


@pytest.fixture(params=["openat2", "by steps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once as the kernel can it, and once as for one that cannot."""
    if request.param == "by steps":
        monkeypatch.setattr(beneath, "is_native", lambda: False)
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def tar(*entries: tarfile.TarInfo | tuple[str, bytes], **kind: int) -> bytes:
    """A tar archive of entries, or of names and contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **kind) as made:  # type: ignore[call-overload]
        for entry in entries:
            if isinstance(entry, tuple):
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                made.addfile(info, io.BytesIO(entry[1]))
            else:
                made.addfile(entry)
    return out.getvalue()


def zipped(
    *entries: tuple[str, bytes], mode: int = 0o100644, kind: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """A zip of names and contents."""
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w") as made:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            made.writestr(info, content, kind)
    return out.getvalue()


def with_list_of(size: int) -> bytes:
    """A zip whose list of contents has so many bytes."""
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 4, 0)
    return b"PK\3\4" + bytes(size) + end


def an_entry(name: str, type_: bytes, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = type_
    for key, value in values.items():
        setattr(info, key, value)
    return info


def take(data: bytes, folder: Path, bounds: Bounds | None = None) -> Unpacked:
    return unpack(io.BytesIO(data), folder, bounds)


@pytest.mark.parametrize("form", FORMATS)
def test_files_and_folders_are_unpacked(folder: Path, form: str, way: str):
    program = an_entry("./bin/run", tarfile.REGTYPE, mode=0o4755)
    data = tar(
        an_entry(".", tarfile.DIRTYPE),
        an_entry("empty", tarfile.DIRTYPE),
        ("a/b/c.txt", b"content"),
        ("./große", b""),
        program,
        ("x" * 200 + "/" + "y" * 200, b"long"),
    )
    done = take(FORMATS[form](data), folder)
    assert done == Unpacked(files=4, folders=2, size=11)
    assert (folder / "a/b/c.txt").read_bytes() == b"content"
    assert (folder / "empty").is_dir()
    assert (folder / ("x" * 200) / ("y" * 200)).read_bytes() == b"long"
    assert (folder / "bin/run").stat().st_mode & 0o7777 == 0o700
    assert (folder / "a/b/c.txt").stat().st_mode & 0o7777 == 0o600


def test_what_git_makes_is_unpacked(folder: Path):
    data = tar(("src/a.py", b"x"), format=tarfile.PAX_FORMAT, pax_headers={"comment": "c" * 40})
    assert take(gzip.compress(data), folder).files == 1


REFUSED: dict[str, tuple[bytes, str]] = {
    "a path that goes up": (tar(("../x", b"1")), "BAD_PATH"),
    "a path that goes up in the middle": (tar(("a/../../x", b"1")), "BAD_PATH"),
    "a folder that goes up": (tar(an_entry("..", tarfile.DIRTYPE)), "BAD_PATH"),
    "an absolute path": (tar(("/etc/x", b"1")), "BAD_PATH"),
    "a path of nothing": (tar(("./", b"1")), "BAD_PATH"),
    "a name that is too long": (tar(("x" * 256, b"1")), "BAD_PATH"),
    "folders without end": (tar(("d/" * 65 + "x", b"1")), "BAD_PATH"),
    "a link": (tar(an_entry("l", tarfile.SYMTYPE, linkname="/etc/passwd")), "LINK"),
    "a link into the folder": (
        tar(("a", b"1"), an_entry("l", tarfile.SYMTYPE, linkname="a")),
        "LINK",
    ),
    "a hard link": (tar(("a", b"1"), an_entry("l", tarfile.LNKTYPE, linkname="a")), "LINK"),
    "a device": (tar(an_entry("d", tarfile.CHRTYPE, devmajor=1, devminor=5)), "DEVICE"),
    "a block device": (tar(an_entry("d", tarfile.BLKTYPE)), "DEVICE"),
    "a pipe": (tar(an_entry("p", tarfile.FIFOTYPE)), "DEVICE"),
    "an unknown kind": (tar(an_entry("u", b"Z")), "UNKNOWN_KIND"),
    "a sparse file": (
        tar(
            an_entry(
                "s",
                tarfile.REGTYPE,
                pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000000"},
            ),
            format=tarfile.PAX_FORMAT,
        ),
        "SPARSE_FILE",
    ),
    "a file twice": (tar(("a", b"1"), ("./a", b"2")), "DUPLICATE"),
    "a file in a file": (tar(("a", b"1"), ("a/b", b"2")), "DUPLICATE"),
    "a file for a folder": (tar(("a/b", b"1"), ("a", b"2")), "DUPLICATE"),
    "too many entries": (tar(*((str(n), b"") for n in range(11))), "TOO_MANY_ENTRIES"),
    "too many bytes": (tar(*((str(n), os.urandom(300_000)) for n in range(4))), "TOO_MANY_BYTES"),
    "a file that says it is too large": (
        an_entry("a", tarfile.REGTYPE, size=2 << 20).tobuf(),
        "TOO_MANY_BYTES",
    ),
    "bzip2 that is none": (b"BZh9" + bytes(1000), "BAD_ARCHIVE"),
    "a bomb": (gzip.compress(tar(("a", bytes(900_000)))), "TOO_COMPRESSED"),
    "a bomb of bzip2": (bz2.compress(tar(("a", bytes(900_000)))), "TOO_COMPRESSED"),
    "a bomb of xz": (lzma.compress(tar(("a", bytes(900_000)))), "TOO_COMPRESSED"),
    "a bomb of zstd": (zstandard.compress(tar(("a", bytes(900_000)))), "TOO_COMPRESSED"),
    "zstd that is cut off": (
        zstandard.compress(tar(("a", os.urandom(10_000))))[:5000],
        "BAD_ARCHIVE",
    ),
    "zstd that is damaged": (b"\x28\xb5\x2f\xfd" + bytes(1000), "BAD_ARCHIVE"),
    "a zip with a path that goes up": (zipped(("a/../../x", b"1")), "BAD_PATH"),
    "a zip with an absolute path": (zipped(("/etc/x", b"1")), "BAD_PATH"),
    "a zip with a link": (zipped(("l", b"/etc/passwd"), mode=0o120777), "LINK"),
    "a zip with a device": (zipped(("d", b""), mode=0o020666), "DEVICE"),
    "a zip with a pipe": (zipped(("p", b""), mode=0o010666), "DEVICE"),
    "a zip with a NUL in a name": (
        zipped(("axb", b"1")).replace(b"axb", b"a\0b"),
        "BAD_PATH",
    ),
    "a zip with a file twice": (zipped(("a", b"1"), ("./a", b"2")), "DUPLICATE"),
    "a zip with a file for a folder": (zipped(("a/b", b"1"), ("a", b"2")), "DUPLICATE"),
    "a zip with too many entries": (
        zipped(*((str(n), b"") for n in range(11))),
        "TOO_MANY_ENTRIES",
    ),
    "a zip with too many bytes": (
        zipped(*((str(n), os.urandom(300_000)) for n in range(4))),
        "TOO_MANY_BYTES",
    ),
    "a bomb in a zip": (zipped(("a", bytes(900_000))), "TOO_COMPRESSED"),
    "a zip with bzip2": (zipped(("a", b"1"), kind=zipfile.ZIP_BZIP2), "BAD_ARCHIVE"),
    "a zip whose content is not as it was": (
        zipped(("a", b"content"), kind=zipfile.ZIP_STORED).replace(b"content", b"another"),
        "BAD_ARCHIVE",
    ),
    "a zip that is cut off": (zipped(("a", os.urandom(10_000)))[:5000], "BAD_ARCHIVE"),
    "a zip with a list that is too long": (with_list_of(9 << 20), "TOO_MANY_ENTRIES"),
    "a zip of the large kind": (
        zipped(("a", b"1"))[:-22] + b"PK\x06\x07" + bytes(16) + zipped(("a", b"1"))[-22:],
        "BAD_ARCHIVE",
    ),
    "nothing": (b"", "BAD_ARCHIVE"),
    "no archive": (b"hello" * 1000, "BAD_ARCHIVE"),
    "no archive in gzip": (gzip.compress(b"hello" * 1000), "BAD_ARCHIVE"),
    "an archive that is cut off": (tar(("a", os.urandom(10_000)))[:5000], "BAD_ARCHIVE"),
    "gzip that is cut off": (gzip.compress(tar(("a", os.urandom(10_000))))[:5000], "BAD_ARCHIVE"),
    "xz that is cut off": (lzma.compress(tar(("a", os.urandom(10_000))))[:5000], "BAD_ARCHIVE"),
    "gzip that is damaged": (
        gzip.compress(tar(("a", os.urandom(10_000))))[:-8] + bytes(8),
        "BAD_ARCHIVE",
    ),
    "gzip without its end": (gzip.compress(tar(("a", b"1")))[:-1], "BAD_ARCHIVE"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_must_not_be_in_an_archive_is_refused_and_leaves_nothing(
    folder: Path, case: str, way: str
):
    data, reason = REFUSED[case]
    with pytest.raises(ArchiveRefused) as refused:
        take(data, folder, SMALL)
    assert refused.value.reason == reason
    assert list(folder.iterdir()) == []
    assert sorted(one.name for one in folder.parent.iterdir()) == ["folder"]


def test_a_zip_is_unpacked(folder: Path, way: str):
    data = zipped(("src/", b""), ("src/a.py", b"x" * 1000), ("große", b""))
    program = zipped(("run", b"1"), mode=0o104755)
    assert take(data, folder) == Unpacked(files=2, folders=1, size=1000)
    assert (folder / "src/a.py").read_bytes() == b"x" * 1000
    assert (folder / "src/a.py").stat().st_mode & 0o7777 == 0o600
    (folder / "other").mkdir()
    take(program, folder / "other")
    assert (folder / "other/run").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("seed", range(300))
def test_whatever_a_zip_says_it_is_taken_or_refused(tmp_path: Path, folder: Path, seed: int):
    chance = random.Random(seed)
    data = bytearray(zipped(("a/", b""), ("a/b", b"1" * 50), ("c", b"2")))
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(4, len(data))] = chance.choice(
            (0, 1, 127, 255, chance.randrange(256))
        )
    (tmp_path / "zip").write_bytes(data)
    try:
        with (tmp_path / "zip").open("rb") as archive:
            unpack(archive, folder, SMALL)
    except ArchiveRefused:
        assert list(folder.iterdir()) == []


def test_a_header_takes_no_more_memory_than_it_may(folder: Path):
    large = an_entry("a", tarfile.REGTYPE, pax_headers={"comment": "x" * (2 << 20)})
    with pytest.raises(ArchiveRefused) as refused:
        take(tar(large, format=tarfile.PAX_FORMAT), folder)
    assert refused.value.reason == "HEADER_TOO_LARGE"


def test_a_folder_that_is_not_empty_is_left_alone(folder: Path):
    (folder / "mine").touch()
    with pytest.raises(OSError, match="not empty"):
        take(tar(("a", b"1")), folder)
    assert [one.name for one in folder.iterdir()] == ["mine"]


def test_many_large_files_need_little_memory(folder: Path):
    content = os.urandom(3 << 20)
    data = tar(*((str(number), content) for number in range(5)))
    assert take(data, folder).size == 5 * len(content)
    assert (folder / "4").read_bytes() == content


def test_no_link_that_somebody_puts_into_the_way_is_followed(
    tmp_path: Path, folder: Path, way: str
):
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "sub").symlink_to(outside)
    fd = os.open(folder, os.O_RDONLY)
    try:
        for path in (b"sub/x", b"../x", b"sub", b"a/../../x"):
            with pytest.raises(OSError, match=LEADS_OUT):
                beneath.open_beneath(fd, path, os.O_WRONLY | os.O_CREAT, 0o600)
        with pytest.raises(OSError, match=LEADS_OUT):
            beneath.make_folder(fd, b"sub/deeper")
    finally:
        os.close(fd)
    assert list(outside.iterdir()) == []


def test_this_kernel_has_openat2():
    assert beneath.is_native()


def test_errors_of_the_disk_are_not_said_to_be_the_archives(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive_tree, "open_beneath", full)
    with pytest.raises(OSError, match="No space left"):
        take(tar(("a", b"1")), folder)
