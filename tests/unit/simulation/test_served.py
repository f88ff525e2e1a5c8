"""What `Simulate` plays in a process of its own."""

import subprocess
import sys

from google.protobuf.json_format import ParseDict

from windlass.resources.v1 import resources_service_pb2
from windlass_server.simulation.served import answer

NODES = [
    {"count": 2, "cpu_millis": 64000, "memory_bytes": 1 << 40, "gpu_count": 8, "gpu_type": "H100"}
]
JOBS = [
    {"submit_time": "20s", "run_time": "50s", "gpu_count": 8, "nodes": 2, "project": "speech"},
    {"run_time": "100s", "time_limit": "60s", "gpu_count": 8},
    {"submit_time": "10s", "run_time": "5s", "gpu_count": 9},
    {"submit_time": "30s", "run_time": "10s", "gpu_type": "H100", "gpu_count": 1},
]


def a_request(**fields: object) -> resources_service_pb2.SimulateRequest:
    request = resources_service_pb2.SimulateRequest()
    return ParseDict({"nodes": NODES, "jobs": JOBS} | fields, request)


def test_jobs_are_played_under_each_policy():
    fifo, greedy = answer(a_request(policies=["fifo", "greedy"])).results
    assert (fifo.policy, greedy.policy) == ("fifo", "greedy")
    assert list(fifo.start_seconds) == [60, 0, -1, 110]
    assert list(greedy.start_seconds) == [60, 0, -1, 30]
    assert (fifo.finished, fifo.timed_out) == (2, 1)
    assert [(left.index, left.reason) for left in fifo.unplaced] == [(2, "INSUFFICIENT_GPUS")]
    assert (fifo.wait_seconds.max, fifo.makespan_seconds) == (80, 120)
    assert 0 < fifo.jain_projects <= 1


def test_of_several_types_the_best_of_which_enough_are_free_is_given():
    nodes = [NODES[0] | {"count": 1, "gpu_type": name} for name in ("A100", "H100")]
    job = {"run_time": "10s", "gpu_count": 8}
    jobs = [job | {"gpu_types": ["H100", "A100"]} for _ in range(3)]
    (result,) = answer(a_request(nodes=nodes, jobs=[*jobs, job | {"gpu_type": "H100"}])).results
    assert list(result.start_seconds) == [0, 0, 10, 20]
    never = answer(a_request(nodes=nodes, jobs=[job | {"gpu_types": ["L4", "V100"]}])).results
    assert [left.reason for left in never[0].unplaced] == ["GPU_TYPE_UNAVAILABLE"]


def test_a_policy_may_be_the_callers_own():
    mine = {"policy_id": "queue.mine", "backfill": {"depth": 1}}
    assert [one.policy for one in answer(a_request()).results] == ["built-in"]
    assert [one.policy for one in answer(a_request(policy=mine)).results] == ["queue.mine"]
    both = answer(a_request(policy=mine, policies=["fifo"])).results
    assert [one.policy for one in both] == ["fifo", "queue.mine"]


def test_a_process_answers_as_it_is_asked():
    request = a_request(policies=["greedy"])
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "windlass_server.simulation.served"],
        input=request.SerializeToString(),
        capture_output=True,
        check=True,
    )
    got = resources_service_pb2.SimulateResponse.FromString(ran.stdout)
    assert got == answer(request)
