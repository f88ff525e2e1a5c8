"""Several servers of one installation: one works with a remote cluster, and another takes over."""

from dataclasses import replace

from tests.support.cluster import Cluster
from tests.support.federated import Pair
from windlass.jobs.v1 import job_pb2
from windlass.types.v1 import types_pb2

TWO = types_pb2.ResourceRequest(gpu_count=2)


async def test_another_server_takes_over_with_the_whole_log(postgresql_pair: Pair):
    pair = postgresql_pair
    first = pair.here
    await pair.register()
    waiting = f"echo before; while ! [ -e {pair.gate} ]; do sleep 0.1; done; echo after"
    job = await first.submit("sh", "-c", waiting, resources=TWO)
    await first.wait_for_output(job.job_id, "before")

    second = Cluster(first.directory.parent / "second", first.database_url)
    own = second.directory / "data"
    own.mkdir(parents=True)
    for name in ("secret.key", "admin.token"):
        (own / name).touch(mode=0o600)
        (own / name).write_text((first.directory / "data" / name).read_text())
    try:
        await second.start_server()
        assert first.server is not None
        await first.server.kill()
        pair.gate.touch()
        # Its lease runs out. What the first had of the log is on its disk alone.
        taken_over = replace(pair, here=second)
        ended = await taken_over.ended(job.job_id)
        assert job_pb2.Job.Status.Name(ended.status) == "SUCCEEDED"
        text, end = await second.follow(job.job_id)
        assert (text, end.exit_code, list(end.incomplete)) == ("before\nafter\n", 0, [])
        assert len(await pair.jobs_at_west()) == 1
    finally:
        await second.stop()
