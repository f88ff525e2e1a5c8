"""What server and agent write to their logs, at their most talkative, holds no credential."""

from pathlib import Path

from tests.support.cluster import Cluster

DEBUG = {"WINDLASS_LOG_LEVEL": "debug", "WINDLASS_AGENT_LOG_LEVEL": "debug"}


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
        data = tmp_path / "data"
        secrets = {
            "admin key": cluster.token,
            "join token": cluster.given,
            "user token": user_token,
            "signature of the user token": user_token.rpartition(".")[2],
            "master secret": (data / "secret.key").read_text().strip(),
            "environment of a job": "hush-hush",
        }
        server, agent = cluster.server, cluster.agent
    finally:
        await cluster.stop()
    assert any("debug" in line for line in server.lines + agent.lines)
    for name, secret in secrets.items():
        assert secret
        told = [line for line in server.lines + agent.lines if secret in line]
        assert not told, f"the {name} is in the logs"


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
