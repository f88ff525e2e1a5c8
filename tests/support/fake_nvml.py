"""NVIDIA's management library as the agent uses it, scripted."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any


class FakeNvml:
    """The names of `pynvml` that the agent uses, for two cards; `broken` queries raise.

    Attributes:
        answers: what each query without its `nvml` answers, whatever the card.
        broken: the error that a query raises instead.
        handle_lookups: how often a card was looked up.
        shut_down: how often the library was let go.
    """

    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM, NVML_CLOCK_MEM = 0, 1, 2
    NVML_SUCCESS, NVML_P2P_STATUS_OK, NVML_P2P_CAPS_INDEX_NVLINK = 0, 0, 2
    NVML_TEMPERATURE_THRESHOLD_SLOWDOWN, NVML_FI_DEV_MEMORY_TEMP = 1, 82
    NVML_ERROR_NOT_SUPPORTED, NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED = 3, 15, 16

    class NVMLError(Exception):
        def __init__(self, value: int) -> None:
            super().__init__(f"error {value}")
            self.value = value

    def __init__(self, broken: Mapping[str, int] | None = None, *, present: bool = True) -> None:
        self.broken = dict(broken or {})
        self.present = present
        self.handle_lookups = 0
        self.shut_down = 0
        memory_temperature = SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=55))
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
            "DeviceGetFieldValues": [memory_temperature],
            "DeviceGetPowerUsage": 123_456,
            "DeviceGetTotalEnergyConsumption": 1_234_567,
            "DeviceGetUtilizationRates": SimpleNamespace(gpu=17),
            "DeviceGetClockInfo": 1980,
            "DeviceGetCurrentClocksEventReasons": 0x24,
            "DeviceGetCurrentClocksThrottleReasons": 0x1,
            "DeviceGetRemappedRows": (0, 0, 0, 0),
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
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:  # noqa: N802
        return f"GPU-{handle}".encode()

    def nvmlDeviceGetMinorNumber(self, handle: int) -> int:  # noqa: N802
        return 1 - handle

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def query(*_: object) -> Any:
            short = name.removeprefix("nvml")
            if short in self.broken:
                raise self.NVMLError(self.broken[short])
            return self.answers[short]

        return query
