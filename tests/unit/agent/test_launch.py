"""What a task is told in its environment."""

import pytest

from windlass.agents.v1 import agent_pb2 as pb
from windlass.types.v1 import types_pb2
from windlass_agent.launch import environment
from windlass_agent.wire import request_of

GIB = 1 << 30
SHARE = {
    "WINDLASS_GPU_MILLIS",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
    "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT",
}


def told(millis: int, *uuids: str, memory: int = 80 * GIB, **variables: str) -> dict[str, str]:
    """The variables of a task with these GPUs, all of so much memory, and this share of them."""
    spec = pb.RunSpec(
        command=["true"],
        gpu_uuids=uuids,
        variables=variables,
        resources=types_pb2.ResourceRequest(gpu_count=len(uuids), gpu_millis=millis),
    )
    directive = pb.RunDirective(run_id="run-" + "0" * 26, epoch=1, spec=spec)
    return environment(request_of(directive, lambda _: (), lambda _: memory), "/work")


@pytest.mark.parametrize(
    ("millis", "percent", "limit"),
    [
        (250, "25", "0=20480M"),
        (500, "50", "0=40960M"),
        # Nobody gets less than its share of the threads, and nobody more of the memory.
        (1, "1", "0=81M"),
        (333, "34", "0=27279M"),
        (999, "100", "0=81838M"),
    ],
)
def test_a_task_that_shares_a_gpu_is_told_how_much_of_it_is_its_own(
    millis: int, percent: str, limit: str
) -> None:
    variables = told(millis, "GPU-0", CUDA_MPS_ACTIVE_THREAD_PERCENTAGE="100")
    assert {name: variables[name] for name in SHARE} == {
        "WINDLASS_GPU_MILLIS": str(millis),
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": percent,
        "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": limit,
    }
    assert variables["CUDA_VISIBLE_DEVICES"] == "GPU-0"


def test_of_a_gpu_whose_memory_is_not_known_no_limit_is_told() -> None:
    assert SHARE - told(250, "GPU-0", memory=0).keys() == {"CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"}


def test_a_task_whose_gpus_are_its_own_is_told_of_no_share() -> None:
    assert not SHARE & told(0, "GPU-0", "GPU-1").keys()
    assert not SHARE & told(0).keys()


RANK = {"WINDLASS_RANK", "WINDLASS_NODE_RANK"}
COUNT = {"WINDLASS_WORLD_SIZE", "WINDLASS_NODES"}
GATHERING = {
    "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE",
    "NODE_RANK",
}  # fmt: skip


def of_several(rank: int, *hosts: str, **variables: str) -> dict[str, str]:
    gang = pb.Gang(rank=rank, hosts=hosts, master_port=29_501)
    spec = pb.RunSpec(command=["true"], variables=variables, gang=gang)
    directive = pb.RunDirective(run_id="run-" + "0" * 26, epoch=1, spec=spec)
    return environment(request_of(directive, lambda _: (), lambda _: 0), "/work")


def test_a_part_of_a_job_of_several_nodes_is_told_which_it_is_and_where_the_others_are() -> None:
    told_of = of_several(1, "10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert {told_of[name] for name in RANK} == {"1"}
    assert {told_of[name] for name in COUNT} == {"3"}
    assert told_of["WINDLASS_HOSTS"] == "10.0.0.1,10.0.0.2,10.0.0.3"
    assert {name: told_of[name] for name in GATHERING} == {
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29501",
        "RANK": "1",
        "WORLD_SIZE": "3",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "NODE_RANK": "1",
    }


def test_a_task_of_an_array_is_told_its_index_and_others_of_none() -> None:
    array = pb.ArrayElement(array_job_id="job-1", index=7, count=10)
    spec = pb.RunSpec(command=["true"], variables={"WINDLASS_ARRAY_INDEX": "3"}, array=array)
    directive = pb.RunDirective(run_id="run-" + "0" * 26, epoch=1, spec=spec)
    given = environment(request_of(directive, lambda _: (), lambda _: 0), "/work")
    assert {name: value for name, value in given.items() if "ARRAY" in name} == {
        "WINDLASS_ARRAY_JOB_ID": "job-1",
        "WINDLASS_ARRAY_INDEX": "7",
        "WINDLASS_ARRAY_COUNT": "10",
    }
    assert not [name for name in told(0) if "ARRAY" in name]


def test_a_job_may_say_itself_how_its_parts_gather_but_not_which_they_are() -> None:
    told_of = of_several(1, "a", "b", MASTER_PORT="7", WINDLASS_RANK="0")
    assert (told_of["MASTER_PORT"], told_of["WINDLASS_RANK"]) == ("7", "1")


def test_a_job_of_one_node_is_one_part_that_gathers_nobody() -> None:
    told_of = told(0)
    assert {told_of[name] for name in RANK} == {"0"}
    assert {told_of[name] for name in COUNT} == {"1"}
    assert not (GATHERING | {"WINDLASS_HOSTS"}) & told_of.keys()
