"""Files of jobs over REST and gRPC, against a real server."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, running_cluster
from windlass.jobs.v1 import artifact_pb2 as pb
from windlass.jobs.v1 import job_pb2
from windlass_client import AsyncClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTENT = os.urandom((1 << 20) + 7)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


async def a_job(server: Cluster) -> str:
    job = await server.submit("true", resources={"gpu_count": 0})
    return f"/v1/jobs/{job.job_id}/artifacts"


async def upload(server: Cluster, path: str, **request: Any) -> dict[str, Any]:
    async with server.rest() as rest:
        answer = await rest.post(path, **request)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_body_becomes_an_artifact(server: Cluster):
    path = await a_job(server)
    made = await upload(
        server,
        path,
        params={"name": "model.bin", "type": "MODEL", "metadata": ["step=3", "by=me"]},
        content=CONTENT,
    )
    assert made["artifact_id"].startswith("artifact-")
    assert (made["size_bytes"], made["sha256"]) == (str(len(CONTENT)), DIGEST)
    assert (made["type"], made["version"], made["state"]) == ("MODEL", 1, "READY")
    assert made["metadata"] == {"step": "3", "by": "me"}
    async with server.rest() as rest:
        assert (await rest.get(f"{path}/{made['artifact_id']}")).json() == made
        assert (await rest.get(path)).json()["artifacts"] == [made]


async def test_a_form_becomes_an_artifact(server: Cluster):
    path = await a_job(server)
    made = await upload(
        server,
        path,
        data={"name": "plots/loss.png"},
        files={"file": ("x.png", CONTENT, "image/png")},
    )
    assert (made["name"], made["type"]) == ("plots/loss.png", "PLOT")
    assert (made["content_type"], made["sha256"]) == ("image/png", DIGEST)
    named = await upload(server, path, files={"file": ("y.csv", b"a,b", "text/csv")})
    assert (named["name"], named["type"]) == ("y.csv", "DATASET")


async def test_a_download_has_the_digest_as_its_tag_and_serves_ranges(server: Cluster):
    path = await a_job(server)
    made = await upload(
        server,
        path,
        params={"name": "a/größe.csv"},
        content=CONTENT,
        headers={"content-type": "text/csv"},
    )
    address = f"{path}/{made['artifact_id']}:download"
    tag = f'"{DIGEST}"'
    async with server.rest() as rest:
        whole = await rest.get(address)
        assert (whole.content, whole.headers["etag"]) == (CONTENT, tag)
        assert whole.headers["content-type"] == "text/csv"
        assert whole.headers["content-length"] == str(len(CONTENT))
        assert whole.headers["accept-ranges"] == "bytes"
        assert "gr%C3%B6%C3%9Fe.csv" in whole.headers["content-disposition"]
        part = await rest.get(address, headers={"range": "bytes=1000-1999", "if-range": tag})
        assert (part.status_code, part.content) == (206, CONTENT[1000:2000])
        assert part.headers["content-range"] == f"bytes 1000-1999/{len(CONTENT)}"
        last = await rest.get(address, headers={"range": "bytes=-5"})
        assert (last.status_code, last.content) == (206, CONTENT[-5:])
        other = await rest.get(address, headers={"range": "bytes=5-", "if-range": '"other"'})
        assert (other.status_code, other.content) == (200, CONTENT)
        beyond = await rest.get(address, headers={"range": f"bytes={len(CONTENT)}-"})
        assert beyond.status_code == 416
        known = await rest.get(address, headers={"if-none-match": tag})
        assert (known.status_code, known.content) == (304, b"")
        head = await rest.head(address)
        assert (head.headers["content-length"], head.content) == (str(len(CONTENT)), b"")
        behind = await rest.get(address, params={"offset": len(CONTENT) - 3})
        assert behind.content == CONTENT[-3:]
        empty = await rest.get(address, params={"offset": len(CONTENT)})
        assert (empty.status_code, empty.content) == (200, b"")


async def test_an_empty_file_goes_there_and_back(server: Cluster):
    path = await a_job(server)
    made = await upload(server, path, params={"name": "empty"}, content=b"")
    assert (made["size_bytes"], made["sha256"]) == ("0", hashlib.sha256().hexdigest())
    async with server.rest() as rest:
        answer = await rest.get(f"{path}/{made['artifact_id']}:download")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_an_upload_in_several_calls_over_rest(server: Cluster):
    path = await a_job(server)
    async with server.rest() as rest:
        begun = (
            await rest.post(
                f"{path}:begin", json={"name": "big.bin", "size_bytes": str(len(CONTENT))}
            )
        ).json()
        assert (begun["state"], begun["version"]) == ("UPLOADING", 0)
        one = f"{path}/{begun['artifact_id']}"
        assert (await rest.get(path)).json()["artifacts"] == []
        assert (await rest.get(f"{one}:download")).status_code == 404
        first = await rest.put(one, content=CONTENT[:1000])
        assert first.json()["size_bytes"] == "1000"
        twice = await rest.put(one, content=CONTENT[:1000])
        assert (twice.status_code, reason(twice)) == (409, "ARTIFACT_OFFSET_DIFFERS")
        early = await rest.post(f"{one}:finish", json={})
        assert (early.status_code, reason(early)) == (400, "ARTIFACT_SIZE_DIFFERS")
        rest_of_it = await rest.put(one, params={"offset": 1000}, content=CONTENT[1000:])
        assert rest_of_it.status_code == 200, rest_of_it.text
        done = await rest.post(f"{one}:finish", json={"sha256": DIGEST})
        assert (done.json()["state"], done.json()["sha256"]) == ("READY", DIGEST)
        assert (await rest.get(f"{one}:download")).content == CONTENT
        gone = await rest.delete(one)
        assert (gone.status_code, gone.json()) == (200, done.json())
        assert (await rest.get(one)).status_code == 404


def reason(answer: Any) -> str:
    (info,) = (one for one in answer.json()["details"] if "reason" in one)
    return str(info["reason"])


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({}, "ARTIFACT_NAME_INVALID"),
    "a name that leads out": ({"name": "../x"}, "ARTIFACT_NAME_INVALID"),
    "an absolute name": ({"name": "/x"}, "ARTIFACT_NAME_INVALID"),
    "a name with a line break": ({"name": "a\nb"}, "INVALID_FIELDS"),
    "a name with NUL": ({"name": "a\0b"}, "INVALID_FIELDS"),
    "a name that is too long": ({"name": "x" * 513}, "INVALID_FIELDS"),
    "a type that is none": ({"name": "x", "type": "NOPE"}, "INVALID_FIELD_VALUE"),
    "a digest that is none": ({"name": "x", "sha256": "abc"}, "INVALID_FIELDS"),
    "a digest in capitals": ({"name": "x", "sha256": "A" * 64}, "INVALID_FIELDS"),
    "another digest": ({"name": "x", "sha256": "0" * 64}, "ARTIFACT_DIGEST_DIFFERS"),
    "metadata that are no pairs": ({"name": "x", "metadata": "a"}, "INVALID_FIELDS"),
    "a key twice": ({"name": "x", "metadata": ["a=1", "a=2"]}, "METADATA_KEY_REPEATED"),
    "too much metadata": (
        {"name": "x", "metadata": [f"k{n}=1" for n in range(65)]},
        "INVALID_FIELDS",
    ),
    "an unknown parameter": ({"name": "x", "bogus": "1"}, "UNKNOWN_PARAMETER"),
}


@pytest.mark.parametrize("case", BAD)
async def test_an_upload_that_makes_no_sense_is_refused_and_leaves_nothing(
    server: Cluster, case: str
):
    parameters, why = BAD[case]
    path = await a_job(server)
    async with server.rest() as rest:
        answer = await rest.post(path, params=parameters, content=b"abc")
        assert (answer.status_code, reason(answer)) == (400, why), answer.text
        left = await rest.get(path, params={"show_unfinished": "true"})
        assert left.json()["artifacts"] == []


async def test_a_digest_in_a_header_is_held_to_the_bytes(server: Cluster):
    path = await a_job(server)
    async with server.rest() as rest:
        answer = await rest.post(
            path,
            params={"name": "x"},
            content=b"abc",
            headers={"content-digest": f"sha-256=:{'A' * 43}=:"},
        )
        assert (answer.status_code, reason(answer)) == (400, "DIGEST_MISMATCH")
        left = await rest.get(path, params={"show_unfinished": "true"})
        assert left.json()["artifacts"] == []


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "POST"])
async def test_what_is_not_there_is_not_found(server: Cluster, verb: str):
    path = await a_job(server)
    addresses = [f"{path}/artifact-none", "/v1/jobs/job-none/artifacts/artifact-none"]
    if verb == "POST":
        addresses = ["/v1/jobs/job-none/artifacts?name=x", *(f"{one}:finish" for one in addresses)]
    async with server.rest() as rest:
        for address in addresses:
            answer = await rest.request(
                verb, address, content=b"{}" if "finish" in address else b""
            )
            assert answer.status_code == 404, (address, answer.text)


async def test_roles_may_what_they_should(server: Cluster):
    path = await a_job(server)
    made = await upload(server, path, params={"name": "x"}, content=b"abc")
    one = f"{path}/{made['artifact_id']}"
    viewer = await server.key_for("artifact-viewer", "default", "VIEWER")
    async with server.rest(viewer) as rest:
        assert (await rest.get(path)).status_code == 200
        assert (await rest.get(f"{one}:download")).content == b"abc"
        assert (await rest.post(path, params={"name": "y"}, content=b"")).status_code == 403
        assert (await rest.put(one, content=b"")).status_code == 403
        assert (await rest.delete(one)).status_code == 403


async def test_the_client_uploads_and_downloads(server: Cluster, tmp_path: Path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(CONTENT)
    job_id = (await a_job(server)).split("/")[3]
    async with AsyncClient(server.grpc, server.token) as client:
        made = await client.artifacts.upload(job_id, file, metadata={"step": "3"})
        assert (made.name, made.type) == ("model.safetensors", pb.Artifact.MODEL)
        found = [one async for one in client.artifacts.list(job_id)]
        assert found == [made]
        pieces = [one async for one in client.artifacts.download(job_id, made.artifact_id)]
        assert b"".join(pieces) == CONTENT
        assert await client.artifacts.delete(job_id, made.artifact_id) == made


# Leaves files, and what must not become any.
LEAVES = """
cd "$WINDLASS_ARTIFACTS"
mkdir -p plots
echo weights > model.safetensors
echo picture > plots/loss.png
ln -s /etc/hostname link
mkfifo pipe
echo left
exit "$1"
"""


async def collected(cluster: Cluster, job_id: str) -> list[tuple[str, str, int, str]]:
    async with cluster.rest() as rest:
        found = (await rest.get(f"/v1/jobs/{job_id}/artifacts")).json()["artifacts"]
        for one in found:
            answer = await rest.get(f"/v1/jobs/{job_id}/artifacts/{one['artifact_id']}:download")
            assert hashlib.sha256(answer.content).hexdigest() == one["sha256"]
    return sorted((one["name"], one["type"], one["attempt"], one["user"]) for one in found)


async def reasons(cluster: Cluster, job_id: str) -> dict[str, str]:
    async with cluster.rest() as rest:
        found = (await rest.get(f"/v1/jobs/{job_id}/events")).json()["events"]
    return {one["reason"]: one["message"] for one in found}


@pytest.mark.parametrize("code", [0, 3])
async def test_what_a_job_leaves_becomes_artifacts_however_it_ends(shared: Cluster, code: int):
    job = await shared.submit("sh", "-c", LEAVES, "leaves", str(code))
    _, end = await shared.follow(job.job_id)
    assert end.status == (job_pb2.Job.FAILED if code else job_pb2.Job.SUCCEEDED)
    done = await shared.get(job.job_id)
    node = f"node/{done.placement.node_id}"
    assert await collected(shared, job.job_id) == [
        ("model.safetensors", "MODEL", 1, node),
        ("plots/loss.png", "PLOT", 1, node),
    ]
    told = await reasons(shared, job.job_id)
    assert told["ARTIFACTS_COLLECTED"] == "16 bytes in 2 files"
    assert "ARTIFACTS_NOT_COLLECTED" not in told


async def test_a_job_that_leaves_nothing_is_told_of_nothing(shared: Cluster):
    job = await shared.submit("sh", "-c", 'test -z "$(ls "$WINDLASS_ARTIFACTS")"')
    _, end = await shared.follow(job.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED
    assert not [one for one in await reasons(shared, job.job_id) if "ARTIFACT" in one]


async def test_each_attempt_leaves_versions_of_its_own(shared: Cluster):
    script = (
        'echo $WINDLASS_ATTEMPT > "$WINDLASS_ARTIFACTS/n"; [ $WINDLASS_ATTEMPT = 2 ] || exit 85'
    )
    job = await shared.submit("sh", "-c", script)
    await shared.follow(job.job_id)
    async with shared.rest() as rest:
        found = (await rest.get(f"/v1/jobs/{job.job_id}/artifacts")).json()["artifacts"]
    assert [(one["name"], one["version"], one["attempt"]) for one in found] == [
        ("n", 2, 2),
        ("n", 1, 1),
    ]


async def test_what_a_job_left_while_its_agent_was_dead_becomes_artifacts(tmp_path: Path):
    async with running_cluster(tmp_path) as cluster:
        job = await cluster.submit("sh", "-c", LEAVES + "\n", "leaves", "0")
        await cluster.wait_for_output(job.job_id, "left")
        assert cluster.agent is not None
        await cluster.agent.kill()
        await cluster.start_agent()
        await cluster.follow(job.job_id)
        assert len(await collected(cluster, job.job_id)) == 2


async def test_what_is_too_large_is_told_and_the_rest_is_taken(tmp_path: Path):
    cluster = Cluster(tmp_path, environment={"WINDLASS_ARTIFACT_MAX_BYTES": "3"})
    try:
        await cluster.start_server()
        await cluster.start_agent()
        script = 'cd "$WINDLASS_ARTIFACTS"; echo 12 > good; echo 1234 > bad; echo 1 > zoo'
        job = await cluster.submit("sh", "-c", script)
        _, end = await cluster.follow(job.job_id)
        assert end.status == job_pb2.Job.SUCCEEDED
        assert [one[0] for one in await collected(cluster, job.job_id)] == ["good", "zoo"]
        told = await reasons(cluster, job.job_id)
        assert "bad: " in told["ARTIFACTS_NOT_COLLECTED"]
        assert "ARTIFACT_TOO_LARGE" in told["ARTIFACTS_NOT_COLLECTED"]
        assert told["ARTIFACTS_COLLECTED"] == "5 bytes in 2 files"
    finally:
        await cluster.stop()
