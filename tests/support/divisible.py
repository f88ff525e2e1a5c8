"""Inventories of nodes whose H100s the server may divide."""

from collections.abc import Mapping

from tests.support.nodes import GIB, an_inventory
from windlass.agents.v1 import agent_pb2, mig_pb2
from windlass.types.v1 import gpu_pb2

# Name, slices of compute and of memory, where the memory may begin, GiB.
_PROFILES = (
    ("1g.10gb", 1, 1, (0, 1, 2, 3, 4, 5, 6), 10),
    ("3g.40gb", 3, 4, (0, 4), 40),
    ("7g.80gb", 7, 8, (0,), 80),
)


def divisible(
    *layouts: str | None,
    generations: Mapping[int, int] | None = None,
    problems: Mapping[int, str] | None = None,
    may_be_divided: bool = True,
) -> agent_pb2.Inventory:
    """A node with cards GPU-0, GPU-1 and so on.

    Args:
        layouts: of each card what it is divided into, such as `1g.10gb@6 3g.40gb@0`; None: it is whole.
        generations: of some cards the last layout that they were told.
        problems: of some cards why that could not be.
        may_be_divided: the server may divide them.
    """
    inventory = an_inventory(gpus=len(layouts))
    whole = [*inventory.gpus]
    del inventory.gpus[:]
    for index, layout in enumerate(layouts):
        inventory.gpus.extend([whole[index]] if layout is None else _instances(index, layout))
        inventory.mig_cards.append(
            mig_pb2.MigCard(
                uuid=f"GPU-{index}",
                gpu_type="H100",
                divided=layout is not None,
                may_be_divided=may_be_divided,
                profiles=[_profile(*each) for each in _PROFILES],
                generation=(generations or {}).get(index, 0),
                problem=(problems or {}).get(index, ""),
            )
        )
    return inventory


def _instances(index: int, layout: str) -> list[agent_pb2.GpuDevice]:
    shapes = {name: (compute, memory, gib) for name, compute, memory, _, gib in _PROFILES}
    made = []
    for text in layout.split():
        name, start = text.split("@")
        compute, memory, gib = shapes.get(name, (1, 1, 5))
        made.append(
            agent_pb2.GpuDevice(
                uuid=f"MIG-{index}-{start}",
                index=index,
                model=f"NVIDIA H100 MIG {name}",
                gpu_type=f"H100-{name}",
                memory_total_bytes=gib * GIB,
                mig_instance=gpu_pb2.MigInstance(
                    parent_uuid=f"GPU-{index}",
                    profile=name,
                    compute_slices=compute,
                    memory_slices=memory,
                    memory_start=int(start),
                ),
            )
        )
    return made


def _profile(
    name: str, compute: int, memory: int, starts: tuple[int, ...], gib: int
) -> mig_pb2.MigProfile:
    return mig_pb2.MigProfile(
        name=name,
        compute_slices=compute,
        memory_slices=memory,
        memory_starts=starts,
        memory_bytes=gib * GIB,
    )
