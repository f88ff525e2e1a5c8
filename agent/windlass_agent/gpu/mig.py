"""Instances of a divided card: which there can be, and where.

A profile takes slices of the compute, of which a card has seven, and of the memory, of which it has
eight; the memory's must begin at certain places. The places are those that NVML tells of A100, H100 and
their successors (nvmlDeviceGetGpuInstancePossiblePlacements_v2, memory slices).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

COMPUTE_SLICES = 7
MEMORY_SLICES = 8


@dataclass(frozen=True, slots=True)
class MigProfile:
    """A size of instance: its slices, and where its memory may begin."""

    name: str
    compute_slices: int
    memory_slices: int
    starts: tuple[int, ...]
    # Of an instance; 0 when it is not known.
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MigInstance:
    """An instance: of which card, of which profile, and which slices of the memory it has."""

    parent_uuid: str
    profile: str
    compute_slices: int
    memory_slices: int
    memory_start: int


@dataclass(frozen=True, slots=True, order=True)
class MigPlacement:
    """An instance that a card shall have: its profile, and the slice at which its memory begins."""

    profile: str
    start: int

    def __str__(self) -> str:
        return f"{self.profile} at {self.start}"


@dataclass(frozen=True, slots=True)
class MigCard:
    """A card that can be divided, whether it is or not."""

    uuid: str
    gpu_type: str
    # Perhaps into nothing yet.
    divided: bool
    profiles: tuple[MigProfile, ...]


class GpuLayoutError(Exception):
    """A card could not be divided as it should be; the text is one line for people."""


# Slices of compute and of memory, and the places.
_SHAPES = (
    (1, 1, (6, 5, 4, 3, 2, 1, 0)),
    (1, 2, (6, 4, 2, 0)),
    (2, 2, (4, 2, 0)),
    (3, 4, (4, 0)),
    (4, 4, (0,)),
    (7, 8, (0,)),
)
# The memory in the names of a card's profiles, in gigabytes, in the order of the shapes.
_GIGABYTES: Mapping[str, tuple[tuple[int, ...], ...]] = MappingProxyType(
    {
        "A100": ((10, 20, 20, 40, 40, 80), (5, 10, 10, 20, 20, 40)),
        "H100": ((10, 20, 20, 40, 40, 80), (12, 24, 24, 47, 47, 94), (12, 24, 24, 48, 48, 96)),
        "H200": ((18, 35, 35, 71, 71, 141),),
        "B200": ((23, 45, 45, 90, 90, 180),),
    }
)
_COUNTED = re.compile(r"(?:([1-7])x)?([0-9]g\.[0-9]{1,3}gb)")


def profiles_of(gpu_type: str, memory_bytes: int = 0) -> dict[str, MigProfile]:
    """The profiles that a type of card can be divided into, by their names; none for most types.

    Args:
        gpu_type: Short type of the card.
        memory_bytes: Memory of the card as a whole; 0 when it is not known. Cards of one type come
            with different memories, after which their profiles are named.
    """
    variants = _GIGABYTES.get(gpu_type, ((),))
    sizes = min(variants, key=lambda sizes: abs((sizes or (0,))[-1] - memory_bytes / 2**30))
    sizes = sizes if memory_bytes else variants[0]
    return {
        f"{compute}g.{size}gb": MigProfile(
            f"{compute}g.{size}gb", compute, memory, starts, memory_bytes * memory // MEMORY_SLICES
        )
        for (compute, memory, starts), size in zip(_SHAPES, sizes, strict=False)
    }


def check_layout(known: Mapping[str, MigProfile], placements: Sequence[MigPlacement]) -> None:
    """Sees whether a card can have these instances, all at once.

    Raises:
        GpuLayoutError: It cannot.
    """
    taken: dict[int, MigPlacement] = {}
    compute = 0
    for placement in placements:
        profile = known.get(placement.profile)
        if profile is None:
            raise GpuLayoutError(f"it has no profile {placement.profile}")
        if placement.start not in profile.starts:
            raise GpuLayoutError(f"no {placement} can be")
        for each in range(placement.start, placement.start + profile.memory_slices):
            if each in taken:
                raise GpuLayoutError(f"{placement} and {taken[each]} overlap")
            taken[each] = placement
        compute += profile.compute_slices
    if compute > COMPUTE_SLICES:
        raise GpuLayoutError(f"it has {COMPUTE_SLICES} slices of compute, not {compute}")


def place(profiles: Sequence[MigProfile]) -> tuple[int, ...] | None:
    """Where the memory of each begins on an empty card; None when they do not fit on one.

    Large instances are placed first, and small ones from the end on, so that what is left is whole.
    """
    if sum(profile.compute_slices for profile in profiles) > COMPUTE_SLICES:
        return None
    order = sorted(range(len(profiles)), key=lambda each: -profiles[each].memory_slices)
    found = next(_placements([profiles[each] for each in order], frozenset()), None)
    if found is None:
        return None
    starts = dict(zip(order, found, strict=True))
    return tuple(starts[each] for each in range(len(profiles)))


def _placements(profiles: Sequence[MigProfile], taken: frozenset[int]) -> Iterator[tuple[int, ...]]:
    if not profiles:
        yield ()
        return
    first, *others = profiles
    for start in first.starts:
        slices = frozenset(range(start, start + first.memory_slices))
        if not slices & taken:
            for rest in _placements(others, taken | slices):
                yield (start, *rest)


def parse_layout(gpu_type: str, text: str) -> tuple[tuple[MigProfile, int], ...]:
    """The instances that `7x1g.10gb` or `3g.40gb+2x2g.20gb` stands for, each with its place.

    ValueError when the card has no such profile, or when they do not fit on one.
    """
    known = profiles_of(gpu_type)
    wanted: list[MigProfile] = []
    for part in text.lower().split("+"):
        found = _COUNTED.fullmatch(part.strip())
        if found is None or found[2] not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"{part!r} is no profile of {gpu_type} (there are: {names})")
        wanted += [known[found[2]]] * int(found[1] or 1)
    starts = place(wanted)
    if starts is None:
        raise ValueError(f"{text!r} does not fit on one {gpu_type}")
    return tuple(zip(wanted, starts, strict=True))
