"""Cards that can be divided, as NVIDIA's management library shows them, scripted.

What it hands out are the structures and handles of `pynvml` itself.
"""

import ctypes
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

from tests.support.fake_nvml import FakeNvml

# Index, number, name, slices of compute and of memory, how many there can be, and the places.
_PROFILES = (
    (0, 19, "1g.10gb", 1, 1, 7, (0, 1, 2, 3, 4, 5, 6)),
    (1, 14, "2g.20gb", 2, 2, 3, (0, 2, 4)),
    (2, 9, "3g.40gb", 3, 4, 2, (0, 4)),
    (3, 5, "4g.40gb", 4, 4, 1, (0,)),
    (4, 0, "7g.80gb", 7, 8, 1, (0,)),
    (7, 20, "1g.10gb+me", 1, 1, 1, (0, 1, 2, 3, 4, 5, 6)),
    (9, 15, "1g.20gb", 1, 2, 4, (0, 2, 4, 6)),
)
_BY_NUMBER = {profile[1]: profile for profile in _PROFILES}
_COMPUTE = {0: 1, 1: 2, 2: 3, 3: 4, 4: 7}  # slices, by the index of a profile


def _number(handle: Any) -> int:
    """What a handle stands for."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _instance(number: int) -> Any:
    return ctypes.cast(number, pynvml.c_nvmlGpuInstance_t)


def _compute(number: int) -> Any:
    return ctypes.cast(number, pynvml.c_nvmlComputeInstance_t)


@dataclass
class Instance:
    """A GPU instance, and the slices of the compute instances in it."""

    card: int
    profile: int
    start: int
    compute: list[int] = field(default_factory=list)


class DividableNvml(FakeNvml):
    """Two H100s whose MIG mode is off.

    Attributes:
        modes: the MIG mode of each card, now and after a reset.
        needs_reset: whether a mode changes with a reset alone.
        resets: whether a reset changes the mode.
        instances: what there is, by numbers.
        used: numbers of instances that a process uses, and "card" for the cards as a whole.
        failing: names of calls without their `nvml` and the errors they fail by, once each; by 0 not.
        calls: what was changed, in order.
        privileged: whether places are told.
        unknown: profiles that these cards have not, though their like has.
    """

    NVML_GPU_INSTANCE_PROFILE_COUNT, NVML_COMPUTE_INSTANCE_PROFILE_COUNT = 18, 9
    NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED = 0
    NVML_ERROR_NO_PERMISSION, NVML_ERROR_IN_USE, NVML_ERROR_INSUFFICIENT_RESOURCES = 4, 19, 23
    c_nvmlGpuInstance_t = pynvml.c_nvmlGpuInstance_t  # noqa: N815
    c_nvmlComputeInstance_t = pynvml.c_nvmlComputeInstance_t  # noqa: N815
    c_nvmlGpuInstancePlacement_t = pynvml.c_nvmlGpuInstancePlacement_t  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.answers |= {
            "DeviceGetName": "NVIDIA H100 80GB HBM3",
            "DeviceGetMemoryInfo": SimpleNamespace(total=81559 << 20, used=25),
            "DeviceGetGraphicsRunningProcesses": [],
        }
        self.modes = {0: [0, 0], 1: [0, 0]}
        self.needs_reset, self.resets = False, True
        self.instances: dict[int, Instance] = {}
        self.used: set[int | str] = set()
        self.failing: list[tuple[str, int]] = []
        self.calls: list[str] = []
        self.privileged = True
        self.unknown: set[str] = set()

    def have(self, profile: str, start: int, compute: list[int] | None = None) -> int:
        """Let the first card have an instance that an operator has made."""
        self.modes[0] = [1, 1]
        (found,) = [one for one in _PROFILES if one[2] == profile]
        slices = [found[3]] if compute is None else compute
        return self._add(Instance(0, found[1], start, slices))

    def layout(self, card: int = 0) -> list[tuple[str, int]]:
        """The instances of a card, and where they are."""
        return sorted(
            (_BY_NUMBER[one.profile][2], one.start)
            for one in self.instances.values()
            if one.card == card
        )

    def _add(self, instance: Instance) -> int:
        number = next(number for number in range(1, 99) if number not in self.instances)
        self.instances[number] = instance
        return number

    def _may_fail(self, call: str) -> None:
        for failure in self.failing:
            if failure[0] == call:
                self.failing.remove(failure)
                if failure[1]:
                    raise self.NVMLError(failure[1])
                return

    def nvmlInit(self) -> None:  # noqa: N802
        super().nvmlInit()
        if self.shut_down and self.resets:  # while the library was let go
            self.modes = {card: [mode[1], mode[1]] for card, mode in self.modes.items()}

    def nvmlDeviceGetMigMode(self, card: int) -> list[int]:  # noqa: N802
        return list(self.modes[card])

    def nvmlDeviceSetMigMode(self, card: int, mode: int) -> int:  # noqa: N802
        self._may_fail("DeviceSetMigMode")
        self.calls.append(f"mode {mode}")
        if self.needs_reset:
            self.modes[card][1] = mode
            return self.NVML_ERROR_RESET_REQUIRED
        self.modes[card] = [mode, mode]
        return 0

    def nvmlDeviceGetGpuInstanceProfileInfo(self, card: int, index: int) -> Any:  # noqa: N802
        found = [one for one in _PROFILES if one[0] == index and one[2] not in self.unknown]
        if not self.modes[card][0] or not found:
            raise self.NVMLError(self.NVML_ERROR_NOT_SUPPORTED)
        _, number, name, compute, memory, most, _ = found[0]
        info = pynvml.c_nvmlGpuInstanceProfileInfo_v2_t()
        info.id, info.name = number, f"MIG {name}".encode()
        info.sliceCount, info.instanceCount, info.memorySizeMB = compute, most, 9984 * memory
        return info

    def nvmlDeviceGetGpuInstancePossiblePlacements(  # noqa: N802
        self, _: int, number: int, places: Any, count: Any
    ) -> int:
        if not self.privileged:
            raise self.NVMLError(self.NVML_ERROR_NO_PERMISSION)
        size, starts = _BY_NUMBER[number][4], _BY_NUMBER[number][6]
        for index, start in enumerate(starts if places is not None else ()):
            places[index] = pynvml.c_nvmlGpuInstancePlacement_t(start, size)
        count._obj.value = len(starts)
        return self.NVML_SUCCESS

    def nvmlDeviceGetGpuInstances(self, card: int, number: int, found: Any, count: Any) -> None:  # noqa: N802
        self._may_fail("DeviceGetGpuInstances")
        there = [
            _instance(each)
            for each, one in self.instances.items()
            if (one.card, one.profile) == (card, number)
        ]
        found[: len(there)] = there
        count._obj.value = len(there)

    def nvmlDeviceGetGpuInstanceById(self, _: int, number: int) -> Any:  # noqa: N802
        return _instance(number)

    def nvmlGpuInstanceGetInfo(self, handle: Any) -> Any:  # noqa: N802
        one = self.instances[_number(handle)]
        place = pynvml.c_nvmlGpuInstancePlacement_t(one.start, _BY_NUMBER[one.profile][4])
        return pynvml.c_nvmlGpuInstanceInfo_t(None, _number(handle), one.profile, place)

    def nvmlDeviceCreateGpuInstanceWithPlacement(  # noqa: N802
        self, card: int, number: int, placement: Any
    ) -> Any:
        self._may_fail("DeviceCreateGpuInstanceWithPlacement")
        start, size = placement._obj.start, placement._obj.size
        taken = {
            each
            for one in self.instances.values()
            if one.card == card
            for each in range(one.start, one.start + _BY_NUMBER[one.profile][4])
        }
        assert size == _BY_NUMBER[number][4]
        if not self.modes[card][0] or taken & set(range(start, start + size)):
            raise self.NVMLError(self.NVML_ERROR_INSUFFICIENT_RESOURCES)
        self.calls.append(f"create {_BY_NUMBER[number][2]} at {start}")
        return _instance(self._add(Instance(card, number, start)))

    def nvmlGpuInstanceDestroy(self, handle: Any) -> None:  # noqa: N802
        self._may_fail("GpuInstanceDestroy")
        number = _number(handle)
        if number in self.used or self.instances[number].compute:
            raise self.NVMLError(self.NVML_ERROR_IN_USE)
        one = self.instances.pop(number)
        self.calls.append(f"destroy {_BY_NUMBER[one.profile][2]} at {one.start}")

    def nvmlGpuInstanceGetComputeInstanceProfileInfo(  # noqa: N802
        self, handle: Any, index: int, _: int
    ) -> Any:
        slices = _COMPUTE.get(index, 99)
        whole = _BY_NUMBER[self.instances[_number(handle)].profile][3]
        if slices > whole:
            raise self.NVMLError(self.NVML_ERROR_NOT_SUPPORTED)
        info = pynvml.c_nvmlComputeInstanceProfileInfo_v2_t()
        info.id, info.sliceCount, info.instanceCount = index, slices, whole // slices
        return info

    def nvmlGpuInstanceGetComputeInstances(  # noqa: N802
        self, handle: Any, profile: int, found: Any, count: Any
    ) -> None:
        number = _number(handle)
        there = [
            _compute(100 * number + index)
            for index, slices in enumerate(self.instances[number].compute)
            if slices == _COMPUTE[profile]
        ]
        found[: len(there)] = there
        count._obj.value = len(there)

    def nvmlGpuInstanceCreateComputeInstance(self, handle: Any, profile: int) -> Any:  # noqa: N802
        self._may_fail("GpuInstanceCreateComputeInstance")
        self.instances[_number(handle)].compute.append(_COMPUTE[profile])
        return _compute(100 * _number(handle))

    def nvmlComputeInstanceDestroy(self, handle: Any) -> None:  # noqa: N802
        number = _number(handle) // 100
        if number in self.used:
            raise self.NVMLError(self.NVML_ERROR_IN_USE)
        self.instances[number].compute.pop()

    # --- the instances that programs can use, as devices ---------------------------------------------

    def nvmlDeviceGetMaxMigDeviceCount(self, _: int) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: int, index: int) -> str:  # noqa: N802
        there = [n for n, one in self.instances.items() if one.card == card for _ in one.compute]
        if not self.modes[card][0] or index >= len(there):
            raise self.NVMLError(self.NVML_ERROR_NOT_FOUND)
        number = there[index]
        return f"{number}.{there[:index].count(number)}"

    def nvmlDeviceGetUUID(self, handle: Any) -> bytes:  # noqa: N802
        return f"MIG-{handle}".encode() if isinstance(handle, str) else f"GPU-{handle}".encode()

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes) -> Any:  # noqa: N802
        self._may_fail("DeviceGetHandleByUUID")
        kind, part = uuid.decode().split("-")
        if kind == "GPU":
            return super().nvmlDeviceGetHandleByUUID(uuid)
        if int(part.split(".")[0]) not in self.instances:
            raise self.NVMLError(self.NVML_ERROR_NOT_FOUND)
        return part

    def nvmlDeviceGetName(self, handle: Any) -> str:  # noqa: N802
        model: str = self.answers["DeviceGetName"]
        if not isinstance(handle, str):
            return model
        return f"{model} MIG {_BY_NUMBER[self.instances[int(handle.split('.')[0])].profile][2]}"

    def nvmlDeviceGetGpuInstanceId(self, handle: str) -> int:  # noqa: N802
        return int(handle.split(".")[0])

    def nvmlDeviceGetComputeInstanceId(self, _: str) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetAttributes(self, handle: str) -> SimpleNamespace:  # noqa: N802
        profile = _BY_NUMBER[self.instances[int(handle.split(".")[0])].profile]
        return SimpleNamespace(gpuInstanceSliceCount=profile[3], memorySizeMB=9984 * profile[4])

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[SimpleNamespace]:  # noqa: N802
        user = int(handle.split(".")[0]) if isinstance(handle, str) else "card"
        return [SimpleNamespace(pid=7, usedGpuMemory=5)] if user in self.used else []

    def nvmlDeviceGetP2PStatus(self, one: int, other: int, _: int) -> int:  # noqa: N802
        return int(self.modes[one][0] or self.modes[other][0])
