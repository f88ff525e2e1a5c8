"""Scripts, archives, commits and Python packages of jobs, over REST to a real server and a real agent."""

import asyncio
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.cluster import Cluster, running_cluster
from tests.support.served_files import a_repository, add_wheel, gate_to, served
from windlass.jobs.v1 import job_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = {"gpu_count": 0}
ALSO_FOR_PACKAGES = {"memory_bytes": str(256 << 20)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def content(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A cluster whose agent takes packages from an index on this machine."""
    folder = tmp_path_factory.mktemp("content")
    add_wheel(folder / "index", "greeting", "def main(): print('hello from a package')\n")
    with served(folder / "index") as url:
        cluster = Cluster(folder, environment={"WINDLASS_AGENT_PYTHON_INDEX_URL": url})
        try:
            await cluster.start_server()
            await cluster.start_agent()
            yield cluster
        finally:
            await cluster.stop()


async def submitted(cluster: Cluster, **job: Any) -> dict[str, Any]:
    async with cluster.rest() as rest:
        answer = await rest.post("/v1/jobs", json=job)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def ended(cluster: Cluster, **job: Any) -> tuple[str, job_pb2.Job]:
    """The output of a job when it has ended, and the job."""
    job_id = (await submitted(cluster, **job))["job_id"]
    output, _ = await cluster.follow(job_id)
    return output, await cluster.get(job_id)


async def uploaded(cluster: Cluster, archive: bytes, **parameters: str) -> dict[str, Any]:
    async with cluster.rest() as rest:
        answer = await rest.post("/v1/sources", content=archive, params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def a_tar(*entries: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for entry in entries:
            if isinstance(entry, tuple):
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                made.addfile(info, io.BytesIO(entry[1]))
            else:
                made.addfile(entry)
    return out.getvalue()


def a_zip(name: str, text: str = "x", mode: int = 0o100644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        made.writestr(info, text)
    return out.getvalue()


def an_entry(kind: bytes, **values: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(values.pop("name", "entry"))
    info.type = kind
    for key, value in values.items():
        setattr(info, key, value)
    return info


async def test_a_script_runs(content: Cluster):
    output, job = await ended(content, script="#!/usr/bin/env python3\nprint(6 * 7)\n")
    assert (output, job.name) == ("42\n", "script")
    assert job.status == job_pb2.Job.SUCCEEDED


@pytest.mark.parametrize(
    "job",
    [{}, {"command": ["true"], "script": "true"}, {"command": [], "script": ""}],
)
async def test_a_job_has_a_command_or_a_script(content: Cluster, job: dict[str, Any]):
    async with content.rest() as rest:
        answer = await rest.post("/v1/jobs", json=job)
    assert answer.status_code == 400
    assert "exactly one of them is needed" in answer.text


@pytest.mark.parametrize(
    ("job", "field"),
    [
        ({"script": "x" * (256 * 1024 + 1)}, "job.script"),
        ({"script": "a\0b"}, "job.script"),
        ({"command": ["true"], "source": {}}, "job.source"),
        ({"command": ["true"], "source": {"git": {"repository": "https://x/y"}}}, "commit"),
        (
            {"command": ["true"], "source": {"git": {"repository": "ext::sh", "commit": "0" * 40}}},
            "job.source.git.repository",
        ),
        (
            {
                "command": ["true"],
                "source": {"git": {"repository": "https://a:b@x/y", "commit": "0" * 40}},
            },
            "job.source.git.repository",
        ),
        (
            {
                "command": ["true"],
                "source": {"git": {"repository": "https://x/y", "commit": "HEAD"}},
            },
            "job.source.git.commit",
        ),
        ({"command": ["true"], "python": {"requirements": ["-r /etc/passwd"]}}, "requirements[0]"),
        ({"command": ["true"], "python": {"requirements": ["a", "b;c"]}}, "requirements[1]"),
        ({"command": ["true"], "python": {"requirements": ["a @ file:///x"]}}, "requirements[0]"),
        ({"command": ["true"], "python": {"version": "2.7"}}, "job.python.version"),
        ({"command": ["true"], "environment": {"variables": {"A": "a\0b"}}}, "variables"),
        ({"command": ["true"], "environment": {"variables": {"A\nB": "x"}}}, "variables"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(
    content: Cluster, job: dict[str, Any], field: str
):
    async with content.rest() as rest:
        answer = await rest.post("/v1/jobs", json=job)
    assert answer.status_code == 400, answer.text
    assert field in answer.text


@pytest.mark.parametrize("job", [{"command": ["x" * 10_000_000]}, {"script": "x" * 10_000_000}])
async def test_ten_megabytes_are_refused_before_they_are_read(content: Cluster, job: Any):
    async with content.rest() as rest:
        answer = await rest.post("/v1/jobs", json=job)
    assert answer.status_code == 413, answer.text
    assert answer.json()["details"][0]["reason"]


async def test_a_variable_may_have_lines(content: Cluster):
    variables = {"TEXT": "one\ntwo"}
    output, _ = await ended(
        content, command=["sh", "-c", 'echo "$TEXT"'], environment={"variables": variables}
    )
    assert output == "one\ntwo\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_an_archive_is_unpacked_where_the_command_starts(content: Cluster, pack: Any):
    archive = pack(a_tar(("src/train.py", b"print('trained')"), ("data.txt", b"7")))
    made = await uploaded(content, archive)
    assert made["sha256"] == hashlib.sha256(archive).hexdigest()
    output, job = await ended(
        content,
        script='python3 src/train.py; cat "$WINDLASS_SOURCE/data.txt"',
        source={"source_id": made["source_id"]},
    )
    assert (output, job.status) == ("trained\n7", job_pb2.Job.SUCCEEDED)


async def test_a_zip_is_unpacked(content: Cluster):
    made = await uploaded(content, a_zip("run.sh", "#!/bin/sh\necho zipped\n", 0o100755))
    output, _ = await ended(content, command=["./run.sh"], source={"source_id": made["source_id"]})
    assert output == "zipped\n"


async def test_each_index_of_an_array_has_the_files(content: Cluster):
    made = await uploaded(content, a_tar(("file", b"shared ")))
    job_id = (
        await submitted(
            content,
            script="cat file; echo $WINDLASS_ARRAY_INDEX",
            source={"source_id": made["source_id"]},
            array={"count": 2},
        )
    )["job_id"]
    async with content.rest() as rest, asyncio.timeout(60):
        while (job := await content.get(job_id)).status != job_pb2.Job.SUCCEEDED:
            assert job.status not in (job_pb2.Job.FAILED, job_pb2.Job.CANCELLED), job
        assert (await rest.delete(f"/v1/sources/{made['source_id']}")).status_code == 200


HOSTILE = {
    "BAD_PATH": a_tar(("../x", b"1")),
    "BAD_PATH absolute": a_tar(("/etc/x", b"1")),
    "LINK": a_tar(an_entry(tarfile.SYMTYPE, linkname="/etc/passwd")),
    "LINK hard": a_tar(("a", b"1"), an_entry(tarfile.LNKTYPE, linkname="a")),
    "DEVICE": a_tar(an_entry(tarfile.CHRTYPE, devmajor=1, devminor=5)),
    "DEVICE pipe": a_tar(an_entry(tarfile.FIFOTYPE)),
    "DUPLICATE": a_tar(("a", b"1"), ("a", b"2")),
    "TOO_COMPRESSED": gzip.compress(a_tar(("bomb", bytes(64 << 20))), 9),
    "BAD_ARCHIVE cut off": gzip.compress(a_tar(("a", b"1" * 4096)))[:-30],
    "BAD_PATH zip": a_zip("../x"),
    "LINK zip": a_zip("l", "/etc/passwd", 0o120777),
    "DEVICE zip": a_zip("d", "", 0o020666),
    "TOO_COMPRESSED zip": a_zip("bomb", "0" * (64 << 20)),
    "BAD_ARCHIVE zip": a_zip("a")[:-30],
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_archive_ends_its_job_and_leaves_nothing(content: Cluster, name: str):
    made = await uploaded(content, HOSTILE[name])
    output, job = await ended(
        content, command=["echo", "never"], source={"source_id": made["source_id"]}
    )
    assert (output, job_pb2.Job.Status.Name(job.status)) == ("", "FAILED")
    assert job.status_reason == "SOURCE_UNPACK_FAILED"
    assert name.partition(" ")[0] in job.status_message


async def test_an_archive_is_kept_once_and_listed_and_deleted(content: Cluster):
    archive = a_tar(("once", b"1"))
    made, again = await uploaded(content, archive), await uploaded(content, archive)
    assert made["source_id"] == again["source_id"]
    address = f"/v1/sources/{made['source_id']}"
    async with content.rest() as rest:
        found = await rest.get("/v1/sources", params={"sha256": made["sha256"]})
        assert [one["source_id"] for one in found.json()["sources"]] == [made["source_id"]]
        assert (await rest.get(address)).json()["size_bytes"] == str(len(archive))
        assert (await rest.delete(address)).status_code == 200
        assert (await rest.get(address)).status_code == 404
        assert (await rest.delete(address)).status_code == 404
        lost = await rest.post(
            "/v1/jobs", json={"command": ["true"], "source": {"source_id": made["source_id"]}}
        )
    assert (lost.status_code, "SOURCE_NOT_FOUND" in lost.text) == (404, True)
    assert (await uploaded(content, archive))["source_id"] != made["source_id"]


async def test_an_archive_that_a_job_needs_stays(content: Cluster):
    made = await uploaded(content, a_tar(("needed", b"1")))
    job = await submitted(
        content,
        command=["true"],
        source={"source_id": made["source_id"]},
        start_after="2100-01-01T00:00:00Z",
    )
    address = f"/v1/sources/{made['source_id']}"
    async with content.rest() as rest:
        refused = await rest.delete(address)
        assert (refused.status_code, "SOURCE_IN_USE" in refused.text) == (400, True)
        await rest.post(f"/v1/jobs/{job['job_id']}:cancel", json={})
        assert (await rest.delete(address)).status_code == 200


async def test_an_archive_of_another_project_is_not_there(content: Cluster):
    key = await content.key_for("eve", "elsewhere", "DEVELOPER")
    made = await uploaded(content, a_tar(("secret", b"1")))
    async with content.rest(key) as rest:
        address = f"/v1/sources/{made['source_id']}"
        foreign, absent = await rest.get(address), await rest.get("/v1/sources/source-nothing")
        assert foreign.text == absent.text.replace("source-nothing", made["source_id"])
        assert (await rest.delete(address)).status_code == 404
        job = {"command": ["true"], "source": {"source_id": made["source_id"]}}
        answer = await rest.post("/v1/jobs", json=job | {"project": "elsewhere"})
        assert (answer.status_code, "SOURCE_NOT_FOUND" in answer.text) == (404, True)
        answer = await rest.post("/v1/sources", params={"project": "default"}, content=b"x" * 600)
        assert answer.status_code in (403, 404)


@pytest.mark.parametrize(
    ("body", "parameters", "reason"),
    [
        (b"no archive at all", {}, "SOURCE_FORMAT_UNKNOWN"),
        (b"", {}, "SOURCE_FORMAT_UNKNOWN"),
        (a_tar(("a", b"1")), {"sha256": "0" * 64}, "SOURCE_DIGEST_DIFFERS"),
    ],
)
async def test_an_upload_that_is_none_leaves_nothing(
    content: Cluster, body: bytes, parameters: dict[str, str], reason: str
):
    async with content.rest() as rest:
        before = (await rest.get("/v1/sources")).json()["sources"]
        answer = await rest.post("/v1/sources", content=body, params=parameters)
        assert (answer.status_code, reason in answer.text) == (400, True), answer.text
        assert (await rest.get("/v1/sources")).json()["sources"] == before


async def test_packages_are_there_and_what_is_done_is_told(content: Cluster):
    output, job = await ended(
        content, command=["greeting-says"], python={"requirements": ["greeting"]}
    )
    assert output.endswith("hello from a package\n")
    async with content.rest() as rest:
        events = (await rest.get(f"/v1/jobs/{job.job_id}/events")).json()["events"]
    told = [one["message"] for one in events if one["reason"] == "PREPARING"]
    assert "preparing: installing 1 requirement" in told


async def test_packages_that_cannot_be_installed_end_the_job(content: Cluster):
    output, job = await ended(
        content, command=["true"], python={"requirements": ["nowhere-to-be-found"]}
    )
    assert job.status_reason == "ENVIRONMENT_BUILD_FAILED"
    assert "nowhere-to-be-found" in output
    assert not job.HasField("exit_code")


async def test_a_commit_is_fetched_and_one_that_is_not_there_ends_the_job(
    content: Cluster, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.mktemp("git")
    commit = a_repository(folder / "repository.git", **{"hello.txt": "hello"})
    with served(folder) as url:
        git = {"repository": f"{url}/repository.git", "commit": commit}
        output, _ = await ended(content, command=["cat", "hello.txt"], source={"git": git})
        assert output == "hello"
        git["commit"] = "0" * 40
        _, job = await ended(content, command=["cat", "hello.txt"], source={"git": git})
    assert job.status_reason == "SOURCE_FETCH_FAILED"


async def test_a_job_goes_on_to_be_prepared_when_its_agent_was_killed(tmp_path: Path):
    commit = a_repository(tmp_path / "served" / "repository.git", file="content")
    with served(tmp_path / "served") as url:
        async with gate_to(url) as gate, running_cluster(tmp_path) as cluster:
            git = {"repository": f"{gate.url}/repository.git", "commit": commit}
            job_id = (await submitted(cluster, script="cat file", source={"git": git}))["job_id"]
            await gate.asked.wait()
            assert cluster.agent is not None
            await cluster.agent.kill()
            await cluster.start_agent()
            gate.open.set()
            output, _ = await cluster.follow(job_id)
            job = await cluster.get(job_id)
    assert (output, job.attempt) == ("content", 1)
    assert job.status == job_pb2.Job.SUCCEEDED


async def test_a_job_is_cancelled_while_it_is_prepared(tmp_path: Path):
    with served(tmp_path) as url:
        async with gate_to(url) as gate, running_cluster(tmp_path) as cluster:
            git = {"repository": f"{gate.url}/x.git", "commit": "0" * 40}
            job_id = (await submitted(cluster, script="true", source={"git": git}))["job_id"]
            await gate.asked.wait()
            async with cluster.rest() as rest:
                await rest.post(f"/v1/jobs/{job_id}:cancel", json={})
            await cluster.follow(job_id)
            job = await cluster.get(job_id)
    assert job.status == job_pb2.Job.CANCELLED
