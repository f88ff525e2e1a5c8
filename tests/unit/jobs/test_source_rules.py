"""What is an archive, and what is a requirement."""

import gzip
import io
import tarfile
import zipfile

import pytest
import zstandard

from windlass_server.jobs.source_rules import HEAD_BYTES, is_archive, requirement_violations


def a_tar(format_: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as made:
        made.addfile(tarfile.TarInfo("a"))
    return out.getvalue()


def a_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a", "1")
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        a_tar(tarfile.GNU_FORMAT),
        a_tar(tarfile.PAX_FORMAT),
        a_tar(tarfile.USTAR_FORMAT),
        gzip.compress(b"", mtime=0),
        zstandard.compress(b""),
        a_zip(),
    ],
)
def test_the_beginning_of_a_file_says_whether_it_may_be_an_archive(data: bytes):
    assert is_archive(data[:HEAD_BYTES])


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh", b"\x7fELF", bytes(512), b"PK"])
def test_others_are_none(data: bytes):
    assert not is_archive(data)


@pytest.mark.parametrize(
    "text",
    [
        "numpy",
        "numpy>=2,<3",
        "torch[extra]==2.5.1+cu121",
        "tomli; python_version < '3.11'",
        "wheel @ https://example.org/wheel-1.0-py3-none-any.whl",
    ],
)
def test_what_pep_508_says_is_a_requirement(text: str):
    assert requirement_violations([text]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-r other.txt",
        "--index-url https://evil",
        "-e .",
        "./folder",
        "a b",
        "numpy # why",
        "a @ file:///etc",
        "a @ git+ssh://host/x",
        "a @ https://x ; ",
        "numpy>=2 --hash=sha256:0",
        "\u202eevil",
    ],
)
def test_what_is_none_is_named_by_its_place(text: str):
    (found,) = requirement_violations(["numpy", text])
    assert (found.field, found.reason) == ("job.python.requirements[1]", "REQUIREMENT_INVALID")
