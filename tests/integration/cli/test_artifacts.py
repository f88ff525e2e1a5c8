"""`windlass artifacts …` and the client's uploads and downloads, also over lines that break."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.integration.cli.conftest import FAST, Windlass
from tests.support.fake_api import TOKEN, FakeControlPlane
from windlass.jobs.v1 import artifact_pb2 as pb
from windlass_client import AsyncClient, Client
from windlass_client.errors import InvalidArgument, NotFound, Unavailable

CONTENT = os.urandom(3 << 20) + b"end"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(CONTENT)
    return path


def stored(plane: FakeControlPlane, artifact_id: str) -> bytes:
    return bytes(plane.jobs.contents[artifact_id])


BREAKS = {"a line that holds": [], "breaks": [1, 0, 0], "a break at the end": [1 << 20]}


@pytest.mark.parametrize("breaks", BREAKS)
def test_an_upload_goes_on_where_it_broke_off(
    plane: FakeControlPlane, client: Client, file: Path, breaks: str
):
    plane.jobs.breaks = list(BREAKS[breaks])
    seen: list[int] = []
    made = client.artifacts.upload(
        "job-1", file, type=pb.Artifact.MODEL, metadata={"step": "3"}, on_progress=seen.append
    )
    assert (made.name, made.state, dict(made.metadata)) == (
        "model.bin",
        pb.Artifact.READY,
        {"step": "3"},
    )
    assert made.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert stored(plane, made.artifact_id) == CONTENT
    assert seen[-1] == len(CONTENT)


@pytest.mark.parametrize("breaks", BREAKS)
async def test_so_does_one_for_asyncio(plane: FakeControlPlane, file: Path, breaks: str):
    plane.jobs.breaks = list(BREAKS[breaks])
    async with AsyncClient(plane.address, TOKEN, retries=FAST) as client:
        made = await client.artifacts.upload("job-1", file)
        assert stored(plane, made.artifact_id) == CONTENT
        plane.jobs.breaks = list(BREAKS[breaks])
        pieces = [piece async for piece in client.artifacts.download("job-1", made.artifact_id)]
        assert b"".join(pieces) == CONTENT


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_download_goes_on_where_it_broke_off(
    plane: FakeControlPlane, client: Client, file: Path, breaks: str
):
    made = client.artifacts.upload("job-1", file)
    plane.jobs.breaks = list(BREAKS[breaks])
    assert b"".join(client.artifacts.download("job-1", made.artifact_id)) == CONTENT


def test_an_empty_file_is_an_artifact(client: Client, tmp_path: Path):
    (tmp_path / "empty").touch()
    made = client.artifacts.upload("job-1", tmp_path / "empty")
    assert made.state == pb.Artifact.READY
    assert list(client.artifacts.download("job-1", made.artifact_id)) == []


def test_a_download_that_is_not_what_its_digest_says_is_an_error(
    plane: FakeControlPlane, client: Client, file: Path
):
    made = client.artifacts.upload("job-1", file)
    plane.jobs.contents[made.artifact_id][0] ^= 1
    with pytest.raises(Unavailable) as refused:
        list(client.artifacts.download("job-1", made.artifact_id))
    assert refused.value.reason == "ARTIFACT_DIGEST_DIFFERS"


def test_an_upload_that_broke_off_before_goes_on_and_its_digest_is_of_all(
    plane: FakeControlPlane, client: Client, file: Path
):
    begun = client.artifacts.begin("job-1", "model.bin")
    plane.jobs.contents[begun.artifact_id] += CONTENT[: 2 << 20]
    plane.jobs.artifacts[0].size_bytes = 2 << 20
    made = client.artifacts.upload("job-1", file, resume=begun.artifact_id)
    assert made.artifact_id == begun.artifact_id
    assert stored(plane, made.artifact_id) == CONTENT


def test_what_is_no_file_or_no_upload_is_said_at_once(client: Client, file: Path, tmp_path: Path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InvalidArgument) as refused:
            client.artifacts.upload("job-1", path)
        assert refused.value.reason == "BAD_FILE"
    with pytest.raises(NotFound):
        client.artifacts.upload("job-1", file, resume="artifact-9")


def test_a_file_that_shrinks_meanwhile_is_refused(
    plane: FakeControlPlane, client: Client, file: Path
):
    def shrink(there: int) -> None:
        os.truncate(file, there)

    with pytest.raises(InvalidArgument) as refused:
        client.artifacts.upload("job-1", file, on_progress=shrink)
    assert refused.value.reason == "FILE_CHANGED"


def test_a_file_goes_there_and_back_by_commands(
    plane: FakeControlPlane, windlass: Windlass, file: Path
):
    done = windlass(
        *("artifacts", "upload", "job-1", str(file), "--name", "best/model.bin"),
        *("--type", "model", "-m", "step=3"),
    )
    assert (done.exit_code, done.stdout) == (0, "artifact-1\n"), done.output
    listed = windlass("artifacts", "list", "job-1")
    assert "best/model.bin" in listed.stdout
    assert "MODEL" in listed.stdout
    as_json = json.loads(windlass("artifacts", "list", "job-1", "-o", "json").stdout)
    assert as_json["artifacts"][0]["metadata"] == {"step": "3"}
    file.unlink()
    plane.jobs.breaks = [7]
    assert windlass("artifacts", "download", "job-1", "best/model.bin").exit_code == 0
    assert file.read_bytes() == CONTENT
    by_id = windlass("artifacts", "download", "job-1", "artifact-1", "--to", "other")
    assert by_id.exit_code == 0
    assert file.with_name("other").read_bytes() == CONTENT


def test_a_damaged_download_leaves_no_file(plane: FakeControlPlane, windlass: Windlass, file: Path):
    windlass("artifacts", "upload", "job-1", str(file))
    plane.jobs.contents["artifact-1"][0] ^= 1
    done = windlass("artifacts", "download", "job-1", "artifact-1", "--to", "other")
    assert done.exit_code == 3
    assert "ARTIFACT_DIGEST_DIFFERS" in done.stderr
    assert sorted(path.name for path in file.parent.iterdir()) == ["model.bin"]


def test_resume_goes_on_with_the_upload_of_that_name(
    plane: FakeControlPlane, windlass: Windlass, client: Client, file: Path
):
    client.artifacts.begin("job-1", "model.bin")
    done = windlass("artifacts", "upload", "job-1", str(file), "--resume")
    assert (done.exit_code, done.stdout) == (0, "artifact-1\n")
    assert "going on with artifact-1" in done.stderr
    again = windlass("artifacts", "upload", "job-1", str(file), "--resume")
    assert again.stdout == "artifact-2\n"
    assert "beginning anew" in again.stderr


def test_delete_removes_what_it_can(windlass: Windlass, file: Path):
    windlass("artifacts", "upload", "job-1", str(file))
    done = windlass("artifacts", "delete", "job-1", "artifact-9", "artifact-1")
    assert (done.exit_code, done.stdout) == (4, "artifact-1 model.bin\n")
    assert windlass("artifacts", "list", "job-1").stderr == "no artifacts\n"


BAD = {
    "a type that is none": (("upload", "job-1", "model.bin", "--type", "nope"), 2, "BAD_TYPE"),
    "a file that is none": (("upload", "job-1", "absent"), 2, "BAD_FILE"),
    "metadata that is no pair": (("upload", "job-1", "model.bin", "-m", "x"), 2, "BAD_PAIR"),
    "a name that is not there": (("download", "job-1", "x"), 4, "ARTIFACT_NOT_FOUND"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_makes_no_sense_is_said(windlass: Windlass, file: Path, case: str):
    arguments, code, reason = BAD[case]
    done = windlass("artifacts", *arguments)
    assert done.exit_code == code
    assert reason in done.stderr
