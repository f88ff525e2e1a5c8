"""Webhooks over REST, in real processes: from a job's end to the receiver of the guide."""

import re
import socket
from pathlib import Path
from typing import Any

import httpx

from tests.support.cluster import Cluster, Process, running_cluster
from tests.support.webhook_receiver import answer, receiving

_GUIDE = Path(__file__).parents[3] / "docs/webhooks.md"
_NETWORKS = '["127.0.0.0/8"]'


def reason(refused: httpx.Response) -> str:
    return str(refused.json()["details"][0]["reason"])


async def test_a_job_that_ends_is_told_to_the_receiver_of_the_guide(tmp_path: Path):
    (program,) = re.findall(r"```python\n(.*?)```", _GUIDE.read_text(), re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/hook"
    async with (
        running_cluster(tmp_path, WINDLASS_WEBHOOK_NETWORKS=_NETWORKS) as on,
        on.rest() as rest,
    ):
        said = {"url": url, "project": "default", "notifications_only": True}
        made = (await rest.post("/v1/webhooks", json=said)).json()
        receiver = await Process.start("-c", program, WEBHOOK_SECRET=made["secret"], PORT=str(port))
        try:
            told = {"webhook_id": made["webhook"]["webhook_id"], "on": ["SUCCEEDED"]}
            wanted = {"project": "default", "command": ["true"], "notifications": [told]}
            job = (await rest.post("/v1/jobs", json=wanted)).json()
            assert job["notifications"] == [told]
            await receiver.says(f"^job.succeeded {job['job_id']}$")
        finally:
            await receiver.kill()


async def test_a_webhook_lives_over_rest(tmp_path: Path):
    async with (
        receiving() as receiver,
        running_cluster(tmp_path, agent=False, WINDLASS_WEBHOOK_NETWORKS=_NETWORKS) as on,
        on.rest() as rest,
    ):
        said = {"url": receiver.url(), "types": ["job.*"], "labels": {"team": "a"}}
        made = await rest.post("/v1/webhooks", json=said | {"project": "default"})
        assert made.status_code == 200, made.text
        webhook = made.json()["webhook"]
        assert webhook | said == webhook
        assert made.json()["secret"].startswith("whsec_")
        path = f"/v1/webhooks/{webhook['webhook_id']}"
        assert (await rest.get(path)).json() == webhook
        assert (await rest.get("/v1/webhooks")).json()["webhooks"] == [webhook]
        changed = await rest.patch(path, json={"enabled": False, "etag": webhook["etag"]})
        assert changed.json()["enabled"] is False
        stale = await rest.patch(path, json={"enabled": True, "etag": webhook["etag"]})
        assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")
        rotated = (await rest.post(f"{path}:rotateSecret", json={"overlap": "60s"})).json()
        assert "previous_secret_expire_time" in rotated["webhook"]

        receiver.respond = lambda _request: answer(503)
        tested = (await rest.post(f"{path}:test", json={})).json()
        await receiver.has(1)
        delivery = await _ended(rest, f"{path}/deliveries/{tested['delivery_id']}")
        assert (delivery["status"], delivery["attempts"][0]["http_status"]) == ("FAILED", 503)
        receiver.respond = lambda _request: answer(200)
        again = await rest.post(f"{path}/deliveries/{tested['delivery_id']}:redeliver", json={})
        assert again.json()["status"] == "PENDING"
        assert (await _ended(rest, f"{path}/deliveries/{tested['delivery_id']}"))[
            "status"
        ] == "SUCCEEDED"
        listed = await rest.get(f"{path}/deliveries", params={"status": "SUCCEEDED"})
        assert [one["type"] for one in listed.json()["deliveries"]] == ["webhook.tested"]
        metrics = (await rest.get("/metrics")).text
        assert 'windlass_webhook_attempts_total{error="HTTP_STATUS"} 1.0' in metrics
        assert (await rest.delete(path)).json()["webhook_id"] == webhook["webhook_id"]
        assert (await rest.get(path)).status_code == 404
        wanted = {"command": ["true"], "notifications": [{"webhook_id": webhook["webhook_id"]}]}
        gone = await rest.post("/v1/jobs", json=wanted | {"project": "default"})
        assert (gone.status_code, reason(gone)) == (404, "WEBHOOK_NOT_FOUND")


async def test_without_leave_a_server_sends_nothing_inside(shared: Cluster):
    async with shared.rest() as rest:
        for url, why in (
            ("https://127.0.0.1/x", "ADDRESS_NOT_ALLOWED"),
            ("https://localhost/x", "ADDRESS_NOT_ALLOWED"),
            ("https://169.254.169.254/latest/meta-data", "ADDRESS_NOT_ALLOWED"),
            ("https://[::ffff:10.0.0.1]/x", "ADDRESS_NOT_ALLOWED"),
            ("https://2130706433/x", "ADDRESS_NOT_ALLOWED"),
            ("gopher://1.1.1.1/x", "URL_INVALID"),
        ):
            refused = await rest.post("/v1/webhooks", json={"project": "default", "url": url})
            assert (refused.status_code, reason(refused)) == (400, why), refused.text


async def _ended(rest: Any, path: str) -> dict[str, Any]:
    while True:
        delivery: dict[str, Any] = (await rest.get(path)).json()
        if delivery["status"] != "PENDING":
            return delivery
