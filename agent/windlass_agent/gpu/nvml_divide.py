"""Divides a real card: its profiles, the instances that it has, and how they are made and undone.

A GPU instance has slices of the compute and of the memory; only with a compute instance in it, which here
is always one that takes all of it, is it a device that a program can use.
"""

import ctypes
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from windlass_agent.gpu.device import GpuDevice
from windlass_agent.gpu.mig import (
    GpuLayoutError,
    MigPlacement,
    MigProfile,
    check_layout,
    profiles_of,
)
from windlass_agent.gpu.nvml_query import NvmlQuery, text_of

# What may be asked for. Profiles with extensions, such as `1g.10gb+me`, are limited by more than slices.
_PLAIN = re.compile(r"[0-9]g\.[0-9]+gb")


@dataclass(frozen=True, slots=True)
class _Known:
    """A profile as NVML names it; `most` is how many of it a card can have."""

    number: int
    most: int
    profile: MigProfile


@dataclass(frozen=True, slots=True)
class GpuInstance:
    """A GPU instance: NVML's handle and number of it, and its compute instances."""

    handle: Any
    number: int
    placement: MigPlacement
    compute: tuple[Any, ...]
    # It has one compute instance, and that takes all of it.
    complete: bool


def destroy(nvml: Any, instance: GpuInstance) -> None:
    """Takes an instance away. NVMLError, such as that it is in use, when it cannot be."""
    for compute in instance.compute:
        nvml.nvmlComputeInstanceDestroy(compute)
    nvml.nvmlGpuInstanceDestroy(instance.handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What makes a card what it shall be: what goes, its MIG mode before and after, what is made."""

    was: bool
    mode: bool
    gone: tuple[GpuInstance, ...] = ()
    new: tuple[MigPlacement, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return self.was is not self.mode or bool(self.gone or self.new)


class NvmlCard:
    """A card whose MIG mode is on.

    Args:
        query: Asks the library.
        handle: The card.
        device: The same as a whole.
    """

    def __init__(self, query: NvmlQuery, handle: Any, device: GpuDevice) -> None:
        self._query = query
        self._nvml = query.library
        self._handle = handle
        self._known = {known.profile.name: known for known in self._profiles(device)}

    @property
    def profiles(self) -> tuple[MigProfile, ...]:
        """What may be asked for."""
        return tuple(known.profile for name, known in self._known.items() if _PLAIN.fullmatch(name))

    def instances(self) -> tuple[GpuInstance, ...]:
        """What it is divided into, also what no program can use yet.

        Raises:
            NVMLError: NVML does not tell.
        """
        return tuple(
            self._instance(handle, known.profile)
            for known in self._known.values()
            for handle in self._handles(known)
        )

    def change(self, placements: Sequence[MigPlacement]) -> Change:
        """What is to be done so that it has these instances and no others.

        Raises:
            GpuLayoutError: It cannot have them.
            NVMLError: NVML does not tell what it has.
        """
        wanted = set(placements)
        found = self.instances()
        stay = {one.placement for one in found if one.complete} & wanted
        self.check(placements, stay)
        gone = tuple(one for one in found if not one.complete or one.placement not in stay)
        new = tuple(placement for placement in placements if placement not in stay)
        return Change(was=True, mode=bool(placements), gone=gone, new=new)

    def check(
        self, placements: Sequence[MigPlacement], staying: Collection[MigPlacement] = ()
    ) -> None:
        """Sees whether it can have these instances, those that stay among them.

        Raises:
            GpuLayoutError: It cannot.
        """
        offered = {profile.name for profile in self.profiles}
        names = offered | {placement.profile for placement in staying}
        check_layout({name: self._known[name].profile for name in names}, placements)

    def create(self, placement: MigPlacement) -> None:
        """Makes an instance that programs can use, or none at all. NVMLError when it cannot be."""
        known = self._known[placement.profile]
        place = self._nvml.c_nvmlGpuInstancePlacement_t(
            placement.start, known.profile.memory_slices
        )
        made = self._nvml.nvmlDeviceCreateGpuInstanceWithPlacement(
            self._handle, known.number, ctypes.byref(place)
        )
        try:
            self._fill(made, known.profile)
        except BaseException:
            self._nvml.nvmlGpuInstanceDestroy(made)
            raise

    def _fill(self, instance: Any, profile: MigProfile) -> None:
        whole = [
            number
            for number, _, slices in self._compute_profiles(instance)
            if slices == profile.compute_slices
        ]
        if not whole:
            raise GpuLayoutError(f"no compute instance takes all of a {profile.name}")
        self._nvml.nvmlGpuInstanceCreateComputeInstance(instance, whole[0])

    def _profiles(self, device: GpuDevice) -> Iterator[_Known]:
        nvml, likely = self._nvml, profiles_of(device.gpu_type, device.memory_total_bytes)
        for index in range(nvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
            info = self._query.ask(nvml.nvmlDeviceGetGpuInstanceProfileInfo, self._handle, index)
            if info is None:
                continue
            # It may say `MIG 1g.10gb`.
            name = (text_of(info.name).split() or [""])[-1]
            places = self._places(int(info.id))
            starts = tuple(start for start, _ in places)
            size = places[0][1] if places else 0
            if not places and name in likely:  # only root is told
                starts, size = likely[name].starts, likely[name].memory_slices
            if starts:
                memory = int(info.memorySizeMB) << 20
                profile = MigProfile(name, int(info.sliceCount), size, starts, memory)
                yield _Known(int(info.id), int(info.instanceCount), profile)

    def _places(self, number: int) -> list[tuple[int, int]]:
        """Where instances of a profile may be: first slice of the memory, and how many."""
        ask, count = self._nvml.nvmlDeviceGetGpuInstancePossiblePlacements, ctypes.c_uint()
        if self._query.ask(ask, self._handle, number, None, ctypes.byref(count)) is None:
            return []
        places = (self._nvml.c_nvmlGpuInstancePlacement_t * count.value)()
        if self._query.ask(ask, self._handle, number, places, ctypes.byref(count)) is None:
            return []
        return [(int(place.start), int(place.size)) for place in places[: count.value]]

    def _handles(self, known: _Known) -> list[Any]:
        found, count = (self._nvml.c_nvmlGpuInstance_t * known.most)(), ctypes.c_uint(known.most)
        ask = self._nvml.nvmlDeviceGetGpuInstances
        ask(self._handle, known.number, found, ctypes.byref(count))
        return list(found[: count.value])

    def _instance(self, handle: Any, profile: MigProfile) -> GpuInstance:
        info = self._nvml.nvmlGpuInstanceGetInfo(handle)
        compute = [
            (slices, found)
            for number, most, slices in self._compute_profiles(handle)
            for found in self._compute_instances(handle, number, most)
        ]
        return GpuInstance(
            handle=handle,
            number=int(info.id),
            placement=MigPlacement(profile.name, int(info.placement.start)),
            compute=tuple(found for _, found in compute),
            complete=[slices for slices, _ in compute] == [profile.compute_slices],
        )

    def _compute_profiles(self, instance: Any) -> Iterator[tuple[int, int, int]]:
        """Number, most of it in the instance, and slices of each profile of compute instances."""
        nvml = self._nvml
        shared = nvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED
        for index in range(nvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
            ask = nvml.nvmlGpuInstanceGetComputeInstanceProfileInfo
            info = self._query.ask(ask, instance, index, shared)
            if info is not None:
                yield int(info.id), int(info.instanceCount), int(info.sliceCount)

    def _compute_instances(self, instance: Any, number: int, most: int) -> list[Any]:
        found, count = (self._nvml.c_nvmlComputeInstance_t * most)(), ctypes.c_uint(most)
        self._nvml.nvmlGpuInstanceGetComputeInstances(instance, number, found, ctypes.byref(count))
        return list(found[: count.value])
