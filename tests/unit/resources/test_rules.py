"""What a node may say of itself."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.resources.rules import GpuShape, NodeShape, free, shape_violations

GOOD = NodeShape(
    cpu_millis=8000,
    memory_bytes=1 << 34,
    gpus=(GpuShape("GPU-0", "H100"), GpuShape("GPU-1", "")),
    texts={"hostname": "n1", "boot_id": ""},
    labels={"rack": "r1"},
)


def test_a_usual_node_is_fine() -> None:
    assert shape_violations(GOOD) == ()
    assert shape_violations(replace(GOOD, cpu_millis=0, memory_bytes=0, gpus=())) == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cpu_millis": -1}, "inventory.cpu_millis"),
        ({"cpu_millis": 10**9 + 1}, "inventory.cpu_millis"),
        ({"memory_bytes": -1}, "inventory.memory_bytes"),
        ({"memory_bytes": (1 << 60) + 1}, "inventory.memory_bytes"),
        ({"gpus": (GpuShape("GPU-0", "H100"),) * 2}, "inventory.gpus"),
        ({"gpus": tuple(GpuShape(str(n), "") for n in range(1025))}, "inventory.gpus"),
        ({"gpus": (GpuShape("", "H100"),)}, "inventory.gpus.uuid"),
        ({"gpus": (GpuShape("a,b", "H100"),)}, "inventory.gpus.uuid"),
        ({"gpus": (GpuShape("a\0", "H100"),)}, "inventory.gpus.uuid"),
        ({"gpus": (GpuShape("a", "H" * 256),)}, "inventory.gpus.gpu_type"),
        ({"texts": {"hostname": "a\0b"}}, "inventory.hostname"),
        ({"texts": {"boot_id": "x" * 256}}, "inventory.boot_id"),
        ({"labels": {str(n): "" for n in range(65)}}, "inventory.labels"),
        ({"labels": {"a": "line\nbreak"}}, "inventory.labels"),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, object], field: str) -> None:
    found = shape_violations(replace(GOOD, **change))  # type: ignore[arg-type]
    assert [violation.field for violation in found] == [field]


def test_all_of_it_is_named_at_once() -> None:
    found = shape_violations(replace(GOOD, cpu_millis=-1, memory_bytes=-1, texts={"a": "\0"}))
    assert len(found) == 3


@given(st.integers(0, 100), st.integers(0, 100))
def test_what_is_free_is_never_negative(has: int, held: int) -> None:
    assert free(has, held) == (has - held if held < has else 0)
