import os

from tests.support.tasks import a_run
from windlass_agent import rundir
from windlass_agent.run_types import Isolation, Level
from windlass_agent.rundir import Intent, NodeSetup


def an_intent() -> Intent:
    request = a_run(
        *("train", "\udcff"),
        variables={"A": "ü"},
        gpu_uuids=("GPU-1",),
        time_limit_seconds=1.5,
        min_isolation=Level.NAMESPACES,
        rank=1,
        hosts=("a", "b"),
        master_port=29_500,
    )
    isolation = Isolation(Level.SANDBOX, ("cpu", "memory"), "v2", "no pids")
    return Intent(request, NodeSetup(isolation, {"memory": "/x"}, ("/h",), ("/s",), 7, 1 << 20, 1))


def test_an_intent_is_read_as_it_was_written(tmp_path):
    intent = an_intent()
    rundir.write_intent(tmp_path / "run", intent)
    assert rundir.read_intent(tmp_path / "run") == intent


def test_an_intent_of_an_older_release_is_that_of_a_job_of_one_node(tmp_path):
    rundir.write_intent(tmp_path / "run", an_intent())
    content = rundir.read_json(tmp_path / "run" / rundir.INTENT)
    for name in ("rank", "hosts", "master_port"):
        del content["request"][name]
    del content["request"]["debug_mode"]
    for name in ("log_quota_bytes", "log_rate_bytes", "debug_keep_seconds"):
        del content["setup"][name]
    rundir.write_whole(tmp_path / "run" / rundir.INTENT, content, durable=False)
    intent = rundir.read_intent(tmp_path / "run")
    request, setup = intent.request, intent.setup
    assert (request.rank, request.hosts, request.master_port) == (0, (), 0)
    assert (setup.log_quota_bytes, setup.log_rate_bytes) == (0, 0)


def test_a_cut_or_absent_intent_means_that_nothing_was_started(tmp_path):
    assert rundir.read_intent(tmp_path) is None
    (tmp_path / rundir.INTENT).write_text('{"request": {')
    assert rundir.read_intent(tmp_path) is None


def test_a_run_can_be_claimed_once(tmp_path):
    held = rundir.claim(tmp_path, "group")
    assert rundir.claim(tmp_path) is None
    assert rundir.claim_is_held(tmp_path)
    assert rundir.read_claim(tmp_path).group == "group"
    os.close(held)
    assert not rundir.claim_is_held(tmp_path)
    assert rundir.claim(tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [rundir.SHIM]
