"""NVIDIA's management library as the agent uses it, scripted."""

import queue
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any


class FakeNvml:
    """The names of `pynvml` that the agent uses, for two cards; `broken` queries raise.

    Attributes:
        answers: what each query without its `nvml` answers, whatever the card.
        broken: the error that a query raises instead.
        too_new: queries that the driver does not know yet.
        lost: indexes of cards that cannot be found.
        fields: the numbered fields that cards have.
        ecc: counts of errors by type and counter; empty for cards without error correction.
        handle_lookups: how often a card was looked up.
        shut_down: how often the library was let go.
    """

    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM, NVML_CLOCK_MEM = 0, 1, 2
    NVML_SUCCESS, NVML_P2P_STATUS_OK, NVML_P2P_CAPS_INDEX_NVLINK = 0, 0, 2
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN, NVML_FI_DEV_MEMORY_TEMP = 1, 82
    NVML_FI_DEV_GET_GPU_RECOVERY_ACTION = 230
    NVML_GPU_RECOVERY_ACTION_GPU_RESET, NVML_GPU_RECOVERY_ACTION_DRAIN_AND_RESET = 1, 4
    NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 0, 1
    NVML_VOLATILE_ECC, NVML_AGGREGATE_ECC = 0, 1
    NVML_ERROR_NOT_SUPPORTED, NVML_ERROR_NOT_FOUND, NVML_ERROR_TIMEOUT = 3, 6, 10
    NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED = 15, 16
    NVML_GPU_INSTANCE_PROFILE_COUNT = 0
    nvmlEventTypeXidCriticalError = 8  # noqa: N815

    class NVMLError(Exception):
        def __init__(self, value: int) -> None:
            super().__init__(f"error {value}")
            self.value = value

    class NVMLLibraryMismatchError(Exception):
        pass

    def __init__(self, broken: Mapping[str, int] | None = None, *, present: bool = True) -> None:
        self.broken = dict(broken or {})
        self.present = present
        self.too_new: set[str] = set()
        self.handle_lookups = 0
        self.shut_down = 0
        self.lost: set[int] = set()
        self.fields = {self.NVML_FI_DEV_MEMORY_TEMP: 55}
        self.events: queue.Queue[SimpleNamespace] = queue.Queue()
        self.ecc = {(0, 0): 3, (0, 1): 40, (1, 0): 1, (1, 1): 2}
        self.answers: dict[str, Any] = {
            "SystemGetDriverVersion": "570.1",
            "SystemGetCudaDriverVersion": 12080,
            "DeviceGetCount": 2,
            "DeviceGetName": "NVIDIA H200",
            "DeviceGetPciInfo": SimpleNamespace(busId=b"00000000:1B:00.0"),
            "DeviceGetCudaComputeCapability": (9, 0),
            "DeviceGetMigMode": [0, 0],
            "DeviceGetP2PStatus": 0,
            "DeviceGetTemperatureThreshold": 87,
            "DeviceGetMemoryInfo": SimpleNamespace(total=100, used=25),
            "DeviceGetEnforcedPowerLimit": 700_000,
            "DeviceGetTemperature": 41,
            "DeviceGetPowerUsage": 123_456,
            "DeviceGetTotalEnergyConsumption": 1_234_567,
            "DeviceGetUtilizationRates": SimpleNamespace(gpu=17),
            "DeviceGetClockInfo": 1980,
            "DeviceGetCurrentClocksEventReasons": 0x24,
            "DeviceGetCurrentClocksThrottleReasons": 0x1,
            "DeviceGetRemappedRows": (0, 0, 0, 0),
            "DeviceGetCurrPcieLinkGeneration": 1,
            "DeviceGetCurrPcieLinkWidth": 8,
            "DeviceGetMaxPcieLinkGeneration": 5,
            "DeviceGetMaxPcieLinkWidth": 16,
            "DeviceGetPcieReplayCounter": 7,
            "DeviceRegisterEvents": None,
            "EventSetCreate": "events",
            "EventSetFree": None,
            "DeviceGetComputeRunningProcesses": [SimpleNamespace(pid=7, usedGpuMemory=2**64 - 1)],
            "DeviceGetGraphicsRunningProcesses": [SimpleNamespace(pid=7, usedGpuMemory=5)],
        }

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.present:
            raise self.NVMLError(12)

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.shut_down += 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self.handle_lookups += 1
        if index in self.lost:
            raise self.NVMLError(self.NVML_ERROR_GPU_IS_LOST)
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes) -> int:  # noqa: N802
        index = int(uuid.removeprefix(b"GPU-"))
        if index in self.lost:
            raise self.NVMLError(self.NVML_ERROR_NOT_FOUND)
        return index

    def nvmlDeviceGetFieldValues(self, _: int, numbers: list[int]) -> list[SimpleNamespace]:  # noqa: N802
        found = self.fields.get(numbers[0])
        status = self.NVML_SUCCESS if found is not None else self.NVML_ERROR_NOT_SUPPORTED
        return [SimpleNamespace(nvmlReturn=status, value=SimpleNamespace(uiVal=found))]

    def nvmlDeviceGetTotalEccErrors(self, _: int, kind: int, counter: int) -> int:  # noqa: N802
        if not self.ecc:
            raise self.NVMLError(self.NVML_ERROR_NOT_SUPPORTED)
        return self.ecc[kind, counter]

    def nvmlEventSetWait_v2(self, _: object, millis: int) -> SimpleNamespace:  # noqa: N802
        try:  # a short wait ends as soon as a test does
            return self.events.get(timeout=min(millis, 10) / 1000)
        except queue.Empty:
            raise self.NVMLError(self.NVML_ERROR_TIMEOUT) from None

    def xid(self, handle: int, code: int, instance: int = 2**32 - 1) -> None:
        """Let the driver report an XID of a card, or of an instance of it."""
        self.events.put(
            SimpleNamespace(device=handle, eventType=8, eventData=code, gpuInstanceId=instance)
        )

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:  # noqa: N802
        return f"GPU-{handle}".encode()

    def nvmlDeviceGetMinorNumber(self, handle: int) -> int:  # noqa: N802
        return 1 - handle

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def query(*_: object) -> Any:
            short = name.removeprefix("nvml")
            if short in self.too_new:
                raise self.NVMLLibraryMismatchError
            if short in self.broken:
                raise self.NVMLError(self.broken[short])
            return self.answers[short]

        return query


class FakeMigNvml(FakeNvml):
    """The same with its first card divided into a `3g.40gb` and a `1g.10gb`, with a gap in between."""

    _PARTS = {  # noqa: RUF012 - read only
        0: ("MIG-a", "NVIDIA H200 MIG 3g.40gb", 1, 3, 40_000, (4, 4)),
        2: ("MIG-b", "NVIDIA H200 MIG 1g.10gb", 9, 1, 10_000, (0, 1)),
    }

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:  # noqa: N802
        return [1, 1] if handle == 0 else [0, 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:  # noqa: N802
        return 7 if handle == 0 else 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, index: int) -> Any:  # noqa: N802
        if handle or index not in self._PARTS:
            raise self.NVMLError(self.NVML_ERROR_NOT_FOUND)
        return f"part-{index}"

    def _part(self, handle: Any) -> tuple[str, str, int, int, int, tuple[int, int]] | None:
        return self._PARTS[int(handle[-1])] if isinstance(handle, str) else None

    def nvmlDeviceGetUUID(self, handle: Any) -> bytes:  # noqa: N802
        part = self._part(handle)
        return part[0].encode() if part else super().nvmlDeviceGetUUID(handle)

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes) -> Any:  # noqa: N802
        found = [f"part-{index}" for index, part in self._PARTS.items() if part[0].encode() == uuid]
        return found[0] if found else super().nvmlDeviceGetHandleByUUID(uuid)

    def nvmlDeviceGetName(self, handle: Any) -> str:  # noqa: N802
        part = self._part(handle)
        return part[1] if part else "NVIDIA H200"

    def nvmlDeviceGetGpuInstanceId(self, handle: Any) -> int:  # noqa: N802
        part = self._part(handle)
        assert part is not None
        return part[2]

    def nvmlDeviceGetComputeInstanceId(self, _: Any) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetAttributes(self, handle: Any) -> SimpleNamespace:  # noqa: N802
        part = self._part(handle)
        assert part is not None
        return SimpleNamespace(gpuInstanceSliceCount=part[3], memorySizeMB=part[4])

    def nvmlDeviceGetGpuInstanceById(self, _: int, number: int) -> int:  # noqa: N802
        return number

    def nvmlGpuInstanceGetInfo(self, number: int) -> SimpleNamespace:  # noqa: N802
        (place,) = [part[5] for part in self._PARTS.values() if part[2] == number]
        return SimpleNamespace(placement=SimpleNamespace(start=place[0], size=place[1]))
