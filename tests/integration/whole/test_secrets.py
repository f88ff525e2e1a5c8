"""Secrets from the moment that they are set to the task that has them, and nowhere else."""

import asyncio
import hashlib
import os
import signal
from pathlib import Path

from tests.integration.whole.test_secrets_in_logs import DEBUG
from tests.support.cluster import Cluster, living_shims
from windlass_agent import task_secrets

VALUE = "hunter2-" + "x" * 20
KEY = "-----BEGIN KEY-----\nYWJjZGVm-hush\n-----END KEY-----\n"


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


async def put(cluster: Cluster, name: str, **value: str) -> dict:
    async with cluster.rest() as rest:
        answer = await rest.put(f"/v1/projects/default/secrets/{name}", json=value)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def submit(cluster: Cluster, *command: str, **secrets: dict) -> str:
    async with cluster.rest() as rest:
        body = {"command": command, "environment": {"secrets": secrets}}
        answer = await rest.post("/v1/jobs", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])


def files_with(value: bytes, *folders: Path) -> list[Path]:
    """The files below folders that hold a value."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    there = [path for path in paths if path.is_file() and not path.is_symlink()]
    return [path for path in there if value in path.read_bytes()]


async def test_a_job_is_given_its_secrets_as_variables_and_as_files(cluster: Cluster):
    await put(cluster, "token", value=VALUE)
    await put(cluster, "key", value=KEY)
    script = 'sha256sum < "$KEY"; stat -c %a "$KEY"; printf %s "$TOKEN" | sha256sum; (: > "$KEY") 2>/dev/null || true'
    job_id = await submit(
        cluster, "sh", "-c", script, TOKEN={"name": "token"}, KEY={"name": "key", "file": True}
    )
    text, end = await cluster.follow(job_id)
    assert text.splitlines()[:3] == [f"{digest(KEY)}  -", "400", f"{digest(VALUE)}  -"]
    assert end.exit_code == 0


async def test_nothing_that_is_kept_or_said_holds_a_secret(tmp_path: Path):
    cluster = Cluster(tmp_path, environment=DEBUG)
    try:
        await cluster.start_server()
        await cluster.start_agent()
        await put(cluster, "token", value=VALUE)
        await put(cluster, "key", value=KEY)
        refused = await put_badly(cluster)
        job_id = await submit(
            cluster,
            "sh",
            "-c",
            "echo running; exec sleep 60",
            TOKEN={"name": "token"},
            KEY={"name": "key", "file": True},
        )
        await cluster.wait_for_output(job_id, "running")
        # At the end, too, the databases have what a power cut would leave.
        for _ in ("while it runs", "when it has ended"):
            assert not files_with(VALUE.encode(), tmp_path)
            assert not files_with(b"YWJjZGVm-hush", tmp_path)
            answers = await everything_told(cluster, job_id)
            for word in (VALUE, "YWJjZGVm-hush", VALUE.encode().hex()):
                assert word not in answers + refused
            await cancel(cluster, job_id)
        server, agent = cluster.server, cluster.agent
    finally:
        await cluster.stop()
    assert server is not None
    assert agent is not None
    assert not [line for line in server.lines + agent.lines if "hunter2" in line or "-hush" in line]
    assert not secret_files(tmp_path)


async def put_badly(cluster: Cluster) -> str:
    """What is answered to bad requests with good secrets in them."""
    answers = []
    async with cluster.rest() as rest:
        for url, body in (
            ("/v1/projects/default/secrets/-bad-", {"value": VALUE}),
            ("/v1/projects/default/secrets/both", {"value": VALUE, "data": "aGk="}),
            ("/v1/projects/default/secrets/unknown", {"value": VALUE, "unknown": VALUE}),
            ("/v1/projects/default/secrets/list", {"value": [VALUE]}),
            ("/v1/projects/default/secrets/nul", {"value": VALUE + "\0"}),
            ("/v1/projects/default/secrets/base64", {"data": "!" + VALUE}),
            ("/v1/projects/default/secrets/long", {"value": VALUE * 5000}),
            ("/v1/projects/default/secrets/etag", {"value": VALUE, "etag": "7"}),
            ("/v1/projects/absent/secrets/token", {"value": VALUE}),
        ):
            answer = await rest.put(url, json=body)
            assert answer.status_code >= 400, (url, answer.text)
            answers.append(answer.text)
    return "\n".join(answers)


async def everything_told(cluster: Cluster, job_id: str) -> str:
    """All that the server answers of a job and its secrets."""
    async with cluster.rest() as rest:
        answers = [
            await rest.get(url)
            for url in (
                f"/v1/jobs/{job_id}",
                "/v1/jobs",
                f"/v1/jobs/{job_id}/events",
                f"/v1/jobs/{job_id}/logs",
                "/v1/events",
                "/v1/projects/default/secrets",
                "/v1/projects/default/secrets/token",
                "/v1/resources/nodes",
            )
        ]
    assert all(answer.status_code == 200 for answer in answers)
    return "\n".join(answer.text for answer in answers)


async def cancel(cluster: Cluster, job_id: str) -> None:
    async with cluster.rest() as rest:
        await rest.post(f"/v1/jobs/{job_id}:cancel", json={"force": True})
    await cluster.follow(job_id)


def secret_files(directory: Path) -> list[Path]:
    folder = task_secrets.folder_for((directory / "agent").resolve())
    return list(Path(folder).iterdir())


async def test_a_task_keeps_its_secrets_when_its_agent_is_killed_and_they_go_with_it(
    cluster: Cluster, tmp_path: Path
):
    await put(cluster, "key", value=KEY)
    wait = 'echo running; while ! [ -e "$WINDLASS_CHECKPOINT_DIR/go" ]; do sleep 0.05; done; sha256sum < "$KEY"'
    job_id = await submit(cluster, "sh", "-c", wait, KEY={"name": "key", "file": True})
    await cluster.wait_for_output(job_id, "running")
    assert cluster.agent is not None
    await cluster.agent.kill(signal.SIGKILL)
    await cluster.start_agent()
    (folder,) = (tmp_path / "agent" / "runs").glob("run-*/checkpoint")
    (folder / "go").touch()
    text, end = await cluster.follow(job_id)
    assert (text.splitlines()[1:], end.exit_code) == ([f"{digest(KEY)}  -"], 0)
    assert not secret_files(tmp_path)


async def test_a_task_whose_shim_is_killed_leaves_no_secret_behind(
    cluster: Cluster, tmp_path: Path
):
    await put(cluster, "key", value=KEY)
    job_id = await submit(
        cluster, "sh", "-c", "echo running; exec sleep 60", KEY={"name": "key", "file": True}
    )
    await cluster.wait_for_output(job_id, "running")
    (written,) = secret_files(tmp_path)
    for shim in living_shims(tmp_path / "agent"):
        os.kill(shim, signal.SIGKILL)
    async with asyncio.timeout(30):
        while written.exists():
            await cluster.get(job_id)


async def test_each_run_is_given_the_newest_value_and_a_version_that_is_named_stays(
    cluster: Cluster,
):
    await put(cluster, "token", value="first")
    await put(cluster, "token", value="second")
    script = 'printf %s "$NEW" | sha256sum; printf %s "$OLD" | sha256sum; [ $WINDLASS_ATTEMPT = 2 ] || exit 85'
    async with cluster.rest() as rest:
        body = {
            "command": ["sh", "-c", script],
            "environment": {
                "secrets": {"NEW": {"name": "token"}, "OLD": {"name": "token", "version": 1}}
            },
            "start_after": "2099-01-01T00:00:00Z",
        }
        job_id = (await rest.post("/v1/jobs", json=body)).json()["job_id"]
        await put(cluster, "token", value="third")
        retried = {"action": "CANCEL"}
        await rest.patch(f"/v1/jobs/{job_id}/status", json=retried)
        again = {"action": "RETRY", "overrides": {"start_after": "2020-01-01T00:00:00Z"}}
        job_id = (await rest.patch(f"/v1/jobs/{job_id}/status", json=again)).json()["job_id"]
    text, end = await cluster.follow(job_id)
    assert end.exit_code == 0
    assert text.split()[0::2] == [digest("third"), digest("first")] * 2


async def test_a_job_whose_secret_was_deleted_while_it_waited_fails_and_says_why(
    cluster: Cluster,
):
    await put(cluster, "token", value=VALUE)
    first = await submit(cluster, "sleep", "60", TOKEN={"name": "token"})
    async with cluster.rest() as rest:
        body = {
            "command": ["true"],
            "nodes": 1,
            "environment": {"secrets": {"TOKEN": {"name": "token"}}},
            "dependencies": [{"job_id": first, "type": "AFTER_ANY"}],
        }
        waiting = (await rest.post("/v1/jobs", json=body)).json()["job_id"]
        await rest.delete("/v1/projects/default/secrets/token")
        await cancel(cluster, first)
        await cluster.follow(waiting)
        job = (await rest.get(f"/v1/jobs/{waiting}")).json()
        # Who asks for it again learns that at once.
        again = await rest.patch(f"/v1/jobs/{first}/status", json={"action": "RETRY"})
    assert (job["status"], job["status_reason"]) == ("FAILED", "SECRET_UNAVAILABLE")
    assert job["status_message"] == "secret 'token' is not there any more"
    assert (again.status_code, again.json()["details"][0]["reason"]) == (404, "SECRET_NOT_FOUND")
