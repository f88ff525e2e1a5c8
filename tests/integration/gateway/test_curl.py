"""Files to and from a real server process, by curl, and what they cost the process."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.sample_process import sample_process

MIB = 1 << 20
SERVED = bytes(range(256)) * 4096 * 16


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def process(request):
    with sample_process("--http-server", request.param) as running:
        yield running


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file of 256 MiB, and its SHA-256."""
    path = tmp_path_factory.mktemp("files") / "large.bin"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(256):
            piece = number.to_bytes(8, "big") + os.urandom(MIB - 8)
            digest.update(piece)
            file.write(piece)
    yield path, digest.hexdigest()
    path.unlink()


def curl(*arguments: object) -> bytes:
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "60"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout[-1000:], done.stderr)
    return done.stdout


@pytest.mark.parametrize(
    "how",
    [
        lambda path: ["--form", "version=7", "--form", f"file=@{path};type=a/b"],
        lambda path: ["--request", "POST", "--upload-file", path, "--header", "content-type: a/b"],
        lambda path: ["--request", "POST", "--upload-file", path, "--header", "content-type: a/b",
                      "--header", "transfer-encoding: chunked"],
    ],
    ids=["form", "whole", "chunked"],
)  # fmt: skip
def test_a_large_upload_takes_no_memory(process, large, how):
    path, sha256 = large
    before = process.forget_peak()
    blob = json.loads(curl(*how(path), f"{process.base}/v1/blobs/b"))
    assert (blob["sha256"], blob["size"]) == (sha256, str(256 * MIB))
    assert blob["content_type"] == "a/b"
    assert process.peak() - before < 64 * MIB


def test_a_wrong_digest_of_a_large_upload_is_noticed(process, large):
    path, _ = large
    wrong = "content-digest: sha-256=:" + "A" * 43 + "=:"
    arguments = ["--request", "POST", "--upload-file", path, "--header", wrong]
    command = ["curl", "--silent", *map(str, arguments), f"{process.base}/v1/blobs/wrong"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert answer["details"][0]["reason"] == "DIGEST_MISMATCH"


def test_a_download_is_taken_up_where_it_broke_off(process, tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(SERVED[:5_000_000])
    arguments = (
        "--continue-at",
        "-",
        "--output",
        path,
        "--write-out",
        "%{http_code} %{size_download}",
    )
    shown = curl(*arguments, f"{process.base}/v1/blobs/file")
    assert shown.decode() == f"206 {len(SERVED) - 5_000_000}"
    assert path.read_bytes() == SERVED


def test_many_downloads_take_no_memory(process, tmp_path: Path):
    before = process.forget_peak()
    config = "\n".join(
        f'url = "{process.base}/v1/blobs/file"\noutput = "{tmp_path}/{number}"'
        for number in range(8)
    )
    (tmp_path / "config").write_text(config)
    curl("--parallel", "--config", tmp_path / "config")
    assert all((tmp_path / str(number)).read_bytes() == SERVED for number in range(8))
    assert process.peak() - before < 64 * MIB


def test_a_file_that_the_client_has_is_not_sent(process, tmp_path: Path):
    etag = tmp_path / "etag"
    url = f"{process.base}/v1/blobs/file"
    curl("--etag-save", etag, "--output", tmp_path / "file", url)
    arguments = (
        "--etag-compare",
        etag,
        "--output",
        tmp_path / "none",
        "--write-out",
        "%{http_code}",
    )
    assert curl(*arguments, url) == b"304"


def test_a_large_answer_is_compressed_when_asked_for(process):
    texts = [f"text {number}" for number in range(1000)]
    arguments = [
        "--header",
        "content-type: application/json",
        "--data",
        json.dumps([{"text": text} for text in texts]),
    ]
    url = f"{process.base}/v1/rooms/r/notes:collect"
    plain, packed = (
        curl(*arguments, *how, "--write-out", "\n%{size_download}", url).rpartition(b"\n")
        for how in ([], ["--compressed"])
    )
    assert json.loads(plain[0])["texts"] == json.loads(packed[0])["texts"] == texts
    assert int(packed[2]) < int(plain[2]) / 3


def test_http_2_carries_files_both_ways(large, tmp_path: Path):
    path, sha256 = large
    resumed = tmp_path / "file"
    resumed.write_bytes(SERVED[:5_000_000])
    with sample_process() as process:
        http_2 = ("--http2-prior-knowledge", "--write-out", "\n%{http_version} %{http_code}")
        before = process.forget_peak()
        arguments = ("--request", "POST", "--upload-file", path)
        answer = curl(*http_2, *arguments, f"{process.base}/v1/blobs/b").splitlines()
        assert (json.loads(answer[0])["sha256"], answer[1]) == (sha256, b"2 200")
        arguments = ("--continue-at", "-", "--output", resumed)
        answer = curl(*http_2, *arguments, f"{process.base}/v1/blobs/file")
        assert answer.strip() == b"2 206"
        assert resumed.read_bytes() == SERVED
        assert process.peak() - before < 64 * MIB
