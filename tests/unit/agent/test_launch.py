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
