"""Arrays through REST, the Python client and the command line, on a real node."""

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2
from windlass_client import AsyncClient

SCRIPT = (
    'echo "$WINDLASS_ARRAY_INDEX of $WINDLASS_ARRAY_COUNT in $WINDLASS_ARRAY_JOB_ID"; '
    '[ "$WINDLASS_ATTEMPT" = 2 ] || [ "$WINDLASS_ARRAY_INDEX" != 2 ]'
)
SMALL = {"cpu_millis": 50, "memory_bytes": "16777216"}


async def test_an_array_runs_its_command_for_each_index(any_cluster: Cluster):
    async with any_cluster.rest() as rest:

        async def ended(job_id: str) -> dict[str, object]:
            async with AsyncClient(any_cluster.grpc, any_cluster.token) as client:
                await client.jobs.wait(job_id, timeout=60)
            found: dict[str, object] = (await rest.get(f"/v1/jobs/{job_id}")).json()
            return found

        body = {
            "command": ["sh", "-c", SCRIPT],
            "array": {"count": 5, "parallel": 2},
            "resources": SMALL,
            "name": "sweep",
        }
        first = (await rest.post("/v1/jobs", json=body)).json()
        assert first["array_status"]["queued_count"] == 5
        array_id = first["job_id"]
        then = {"command": ["true"], "dependencies": [{"job_id": array_id, "type": "AFTER_NOT_OK"}]}
        after = (await rest.post("/v1/jobs", json=then)).json()["job_id"]

        done = await ended(array_id)
        assert (done["status"], done["status_reason"]) == ("FAILED", "ARRAY_INDICES_FAILED")
        assert done["status_message"] == "1 of 5 indices did not succeed: 2 FAILED"
        assert (await ended(after))["status"] == "SUCCEEDED"

        page = (await rest.get(f"/v1/jobs/{array_id}/array?page_size=3")).json()
        assert [one["index"] for one in page["indices"]] == [0, 1, 2]
        assert page["array_status"]["succeeded_count"] == 4
        token = page["next_page_token"]
        rest_of = await rest.get(f"/v1/jobs/{array_id}/array?page_size=3&page_token={token}")
        assert [one["index"] for one in rest_of.json()["indices"]] == [3, 4]
        failed = (await rest.get(f"/v1/jobs/{array_id}/array?status=FAILED")).json()["indices"]
        assert [(one["index"], one["exit_code"]) for one in failed] == [(2, 1)]
        log = (await rest.get(f"/v1/jobs/{failed[0]['job_id']}/logs")).text
        assert f"2 of 5 in {array_id}" in log
        refused = await rest.get(f"/v1/jobs/{array_id}/logs")
        assert refused.status_code == 400
        assert "JOB_IS_ARRAY" in refused.text

        listed = (await rest.get("/v1/jobs?name=sweep")).json()["jobs"]
        assert [one["job_id"] for one in listed] == [array_id]
        indices = (await rest.get(f"/v1/jobs?array_job_id={array_id}")).json()["jobs"]
        assert sorted(one["array_index"] for one in indices) == [0, 1, 2, 3, 4]

        retry = await rest.patch(f"/v1/jobs/{array_id}/status", json={"action": "RETRY"})
        again = await ended(retry.json()["job_id"])
        assert (again["status"], again["retry_of"]) == ("SUCCEEDED", array_id)
        assert again["array"] == {"count": 5, "parallel": 2, "indices": "2"}


async def test_an_array_of_ten_thousand_is_there_at_once_and_gone_at_once(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        body = {
            "command": ["true"],
            "array": {"count": 10_000},
            "start_after": "2099-01-01T00:00:00Z",
        }
        array_id = (await rest.post("/v1/jobs", json=body)).json()["job_id"]
        page = (await rest.get(f"/v1/jobs/{array_id}/array?index=9999")).json()
        (last,) = page["indices"]
        assert (last["status"], last["status_reason"]) == ("QUEUED", "ARRAY_INDEX_PENDING")
        more = await rest.patch(f"/v1/jobs/{array_id}/array", json={"parallel": 7})
        assert more.json()["array_status"]["parallel"] == 7
        await rest.post(f"/v1/jobs/{array_id}:cancel", json={})
        async with AsyncClient(any_cluster.grpc, any_cluster.token) as client:
            done = await client.jobs.wait(array_id, timeout=60)
            assert done.status == job_pb2.Job.CANCELLED
            assert done.array_status.cancelled_count == 10_000
            indices = [one async for one in client.jobs.array_indices(array_id, index=17)]
            assert [one.status for one in indices] == [job_pb2.Job.CANCELLED]
