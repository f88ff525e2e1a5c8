"""Secrets from the moment that they are set to the task that has them, and nowhere else."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

from tests.support.cluster import Cluster

VALUE = "hunter2-" + "x" * 20
KEY = "-----BEGIN KEY-----\nYWJjZGVm-hush\n-----END KEY-----\n"
DIGEST = "import hashlib, os, sys; print(hashlib.sha256(os.environb[b'TOKEN']).hexdigest())"


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
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and value in path.read_bytes():
                found.append(path)
    return found


async def test_a_job_is_given_its_secrets_as_variables_and_as_files(cluster: Cluster):
    await put(cluster, "token", value=VALUE)
    await put(cluster, "key", value=KEY)
    script = 'sha256sum < "$KEY"; stat -c %a "$KEY"; printf %s "$TOKEN" | sha256sum; : > "$KEY" || true'
    job_id = await submit(
        cluster, "sh", "-c", script, TOKEN={"name": "token"}, KEY={"name": "key", "file": True}
    )
    text, end = await cluster.follow(job_id)
    assert text.splitlines()[:3] == [f"{digest(KEY)}  -", "400", f"{digest(VALUE)}  -"]
    assert end.exit_code == 0
