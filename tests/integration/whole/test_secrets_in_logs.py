"""What server and agent write to their logs, at their most talkative, holds no credential."""

from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.webhook_receiver import answer, receiving

DEBUG = {
    "WINDLASS_LOG_LEVEL": "debug",
    "WINDLASS_AGENT_LOG_LEVEL": "debug",
    "WINDLASS_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
}


class Remembering(Cluster):
    """Keeps the join token that it gave to its agent."""

    given: str = ""

    async def join_token(self) -> str:
        self.given = await super().join_token()
        return self.given


async def test_no_log_holds_a_credential(tmp_path: Path):
    cluster = Remembering(tmp_path, environment=DEBUG)
    try:
        await cluster.start_server()
        await cluster.start_agent()
        user_token = await use_the_credentials(cluster)
        webhook_secret = await use_a_webhook(cluster)
        data = tmp_path / "data"
        secrets = {
            "admin key": cluster.token,
            "join token": cluster.given,
            "user token": user_token,
            "signature of the user token": user_token.rpartition(".")[2],
            "master secret": (data / "secret.key").read_text().strip(),
            "environment of a job": "hush-hush",
            "secret of a webhook": webhook_secret,
            "URL of a webhook": "only-for-the-receiver",
        }
        server, agent = cluster.server, cluster.agent
    finally:
        await cluster.stop()
    assert any("debug" in line for line in server.lines + agent.lines)
    for name, secret in secrets.items():
        assert secret
        told = [line for line in server.lines + agent.lines if secret in line]
        assert not told, f"the {name} is in the logs"


async def use_a_webhook(cluster: Cluster) -> str:
    """Have a webhook told, well and badly; returns its secret."""
    async with receiving() as receiver, cluster.rest() as rest:
        for respond in (answer(200), answer(500, b"only-for-the-receiver"), b"no HTTP\r\n\r\n"):
            receiver.respond = lambda _request, respond=respond: respond
            count = len(receiver.received)
            url = receiver.url("/only-for-the-receiver?and=only-for-the-receiver")
            made = (await rest.post("/v1/webhooks", json={"url": url})).json()
            path = f"/v1/webhooks/{made['webhook']['webhook_id']}"
            tested = (await rest.post(f"{path}:test", json={})).json()
            await receiver.has(count + 1)
            delivery = f"{path}/deliveries/{tested['delivery_id']}"
            while (await rest.get(delivery)).json()["status"] == "PENDING":
                pass
            await rest.delete(path)
    return str(made["secret"])


async def use_the_credentials(cluster: Cluster) -> str:
    """Use each credential well and badly, over both front ends; returns a user token."""
    job = await cluster.submit("true", environment={"variables": {"SECRET": "hush-hush"}})
    await cluster.follow(job.job_id)
    async with cluster.rest() as rest:
        made = (await rest.post("/v1/auth/token", json={})).json()
        await rest.post("/v1/jobs", json={"command": ["true", cluster.given, cluster.token]})
        await rest.post("/v1/jobs", content=b"\xff" + cluster.token.encode())
        await rest.get("/v1/jobs", params={"page_token": cluster.token})
    token = str(made["access_token"])
    for used in (token, token + "x", cluster.token + "x", cluster.given):
        async with cluster.rest(used) as rest:
            await rest.get("/v1/jobs")
    return token
