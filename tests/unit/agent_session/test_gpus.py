import math
from types import SimpleNamespace

import pytest

from tests.support.fake_agent_clock import FakeAgentClock
from windlass_agent.gpu.models import gpu_type_of
from windlass_agent.gpu.nvml import open_nvml
from windlass_agent.gpu.profiles import PROFILES
from windlass_agent.gpu.simulated import SimulatedGpus


@pytest.mark.parametrize(
    ("model", "gpu_type"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100"),
        ("NVIDIA H100 NVL", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H200 NVL", "H200"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA GB200", "GB200"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-SXM4-40GB", "A100"),
        ("NVIDIA A100 80GB PCIe", "A100"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A30", "A30"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-32GB", "V100"),
        ("Tesla P100-PCIE-16GB", "P100"),
        ("NVIDIA GeForce RTX 4090", "RTX4090"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX4070TiSUPER"),
        ("NVIDIA RTX A6000", "A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX6000Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTXPRO6000"),
        ("Quadro RTX 8000", "RTX8000"),
        ("NVIDIA TITAN RTX", "TITANRTX"),
        ("NVIDIA", "GPU"),
        ("NVIDIA _.X1", "X1"),
        ("NVIDIA __", "GPU"),
    ],
)
def test_the_type_that_jobs_ask_for(model, gpu_type):
    assert gpu_type_of(model) == gpu_type


def simulated(spec=("H100", "H100"), clock=None, seed=b"node"):
    clock = clock or FakeAgentClock()
    return SimulatedGpus(
        [PROFILES[name] for name in spec], seed, clock.monotonic, lambda pid: f"program-{pid}"
    )


def test_simulated_cards_keep_their_uuids_and_do_not_share_them():
    first, again = simulated(), simulated()
    assert [d.uuid for d in first.devices()] == [d.uuid for d in again.devices()]
    other = simulated(seed=b"another node")
    assert len({d.uuid for d in (*first.devices(), *other.devices())}) == 4


def test_simulated_cards_look_real_but_say_that_they_are_not():
    gpus = simulated()
    device = gpus.devices()[0]
    assert (device.model, device.gpu_type) == ("NVIDIA H100 80GB HBM3", "H100")
    assert device.memory_total_bytes == 81559 << 20
    assert gpus.driver_version == "simulated"
    assert device.uuid.startswith("SIM-")


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_is_that_of_its_own_type_and_within_its_limits(name):
    profile = PROFILES[name]
    assert gpu_type_of(profile.model) == name
    assert profile.power_watts[0] < profile.power_watts[1] <= profile.power_limit_watts
    assert profile.temperature_celsius[0] < profile.temperature_celsius[1] < 90


async def test_a_card_that_is_set_to_work_heats_up_with_a_lag_and_cools_down_again():
    clock = FakeAgentClock()
    gpus = simulated(clock=clock)
    busy, idle = (device.uuid for device in gpus.devices())
    rest = gpus.sample()[0]
    gpus.set_busy(busy, "run-1", 4242)
    readings = []
    for _ in range(6):
        await clock.advance(20)
        readings.append(gpus.sample())
    heats = [reading[0].temperature_celsius for reading in readings]
    assert heats == sorted(heats)
    assert rest.temperature_celsius + 10 < heats[0] < heats[-1] - 5
    assert readings[-1][0].power_watts == pytest.approx(642, rel=0.06)
    assert readings[-1][0].utilization_percent > 85
    assert readings[-1][0].memory_used_bytes > 50 << 30
    assert readings[-1][1].power_watts == gpus.sample()[1].power_watts < 80
    assert readings[-1][1].utilization_percent == 0
    gpus.set_idle("run-1")
    await clock.advance(300)
    cold = gpus.sample()[0]
    assert cold.temperature_celsius == rest.temperature_celsius
    assert cold.memory_used_bytes == rest.memory_used_bytes
    assert idle


def test_the_process_of_a_run_is_seen_on_its_card_alone():
    gpus = simulated()
    uuid = gpus.devices()[1].uuid
    gpus.set_busy(uuid, "run-1", 4242)
    (process,) = gpus.processes()
    assert (process.uuid, process.pid, process.name) == (uuid, 4242, "program-4242")
    gpus.set_idle("run-1")
    assert gpus.processes() == ()


async def test_faults_can_be_made_and_healed():
    clock = FakeAgentClock()
    gpus = simulated(clock=clock)
    uuid = gpus.devices()[0].uuid
    gpus.set_fault(uuid, unhealthy=True, hot=True)
    await clock.advance(200)
    assert not gpus.sample()[0].healthy
    assert gpus.sample()[0].temperature_celsius > 90
    gpus.set_fault(uuid, lost=True)
    assert math.isnan(gpus.sample()[0].power_watts)
    gpus.set_fault(uuid)
    await clock.advance(300)
    assert gpus.sample()[0].healthy
    assert gpus.sample()[0].temperature_celsius < 40


class FakeNvml:
    """The names of `pynvml` that the agent uses, for two cards; `broken` queries raise."""

    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM, NVML_CLOCK_MEM = 0, 1, 2
    NVML_ERROR_NOT_SUPPORTED, NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED = 3, 15, 16

    class NVMLError(Exception):
        def __init__(self, value):
            super().__init__(f"error {value}")
            self.value = value

    def __init__(self, broken=None, present=True):
        self.broken = broken or {}
        self.present = present
        self.handle_lookups = 0
        self.shut_down = 0
        self.answers = {
            "SystemGetDriverVersion": "570.1",
            "DeviceGetCount": 2,
            "DeviceGetName": "NVIDIA H200",
            "DeviceGetMemoryInfo": SimpleNamespace(total=100, used=25),
            "DeviceGetEnforcedPowerLimit": 700_000,
            "DeviceGetTemperature": 41,
            "DeviceGetPowerUsage": 123_456,
            "DeviceGetUtilizationRates": SimpleNamespace(gpu=17),
            "DeviceGetClockInfo": 1980,
            "DeviceGetRemappedRows": (0, 0, 0, 0),
            "DeviceGetComputeRunningProcesses": [SimpleNamespace(pid=7, usedGpuMemory=2**64 - 1)],
            "DeviceGetGraphicsRunningProcesses": [SimpleNamespace(pid=7, usedGpuMemory=5)],
        }

    def nvmlInit(self):  # noqa: N802
        if not self.present:
            raise self.NVMLError(12)

    def nvmlShutdown(self):  # noqa: N802
        self.shut_down += 1

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        self.handle_lookups += 1
        return index

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return f"GPU-{handle}".encode()

    def nvmlDeviceGetMinorNumber(self, handle):  # noqa: N802
        return 1 - handle

    def __getattr__(self, name):
        def query(*_):
            short = name.removeprefix("nvml")
            if short in self.broken:
                raise self.NVMLError(self.broken[short])
            return self.answers[short]

        return query


def test_a_machine_without_a_driver_has_no_gpus():
    gpus = open_nvml(FakeNvml(present=False))
    assert (gpus.devices(), gpus.sample(), gpus.driver_version) == ((), (), "")


def test_a_real_library_that_is_absent_is_no_error():
    open_nvml().close()


def test_real_cards_are_read_by_handles_that_are_looked_up_once():
    nvml = FakeNvml()
    gpus = open_nvml(nvml)
    for _ in range(3):
        sample = gpus.sample()[1]
    assert nvml.handle_lookups == 2
    assert (sample.uuid, sample.power_watts, sample.utilization_percent) == ("GPU-1", 123.456, 17)
    assert (sample.memory_used_bytes, sample.healthy) == (25, True)
    assert gpus.devices()[0].gpu_type == "H200"
    gpus.close()
    gpus.close()
    assert nvml.shut_down == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("DeviceGetPowerUsage", "power_watts"),
        ("DeviceGetUtilizationRates", "utilization_percent"),
        ("DeviceGetTemperature", "temperature_celsius"),
        ("DeviceGetMemoryInfo", "memory_used_bytes"),
        ("DeviceGetClockInfo", "sm_clock_mhz"),
        ("DeviceGetEnforcedPowerLimit", "power_limit_watts"),
    ],
)
def test_a_field_that_a_card_does_not_support_is_nan_and_takes_nothing_with_it(query, field):
    gpus = open_nvml(FakeNvml({query: FakeNvml.NVML_ERROR_NOT_SUPPORTED}))
    sample = gpus.sample()[0]
    assert math.isnan(getattr(sample, field))
    assert sample.healthy
    told = ("power_watts", "utilization_percent", "temperature_celsius", "memory_used_bytes")
    assert all(not math.isnan(getattr(sample, name)) for name in told if name != field)


@pytest.mark.parametrize("error", [15, 16])
def test_a_lost_card_is_unhealthy_until_it_answers_again(error):
    nvml = FakeNvml()
    gpus = open_nvml(nvml)
    nvml.broken["DeviceGetTemperature"] = error
    assert not gpus.sample()[0].healthy
    nvml.broken.clear()
    assert gpus.sample()[0].healthy


def test_a_card_that_can_remap_no_more_rows_is_unhealthy():
    nvml = FakeNvml()
    nvml.answers["DeviceGetRemappedRows"] = (0, 1, 0, 1)
    assert not open_nvml(nvml).sample()[0].healthy


def test_a_process_counts_once_and_its_device_files_are_named_by_minor_number():
    gpus = open_nvml(FakeNvml())
    assert [(p.uuid, p.pid, p.memory_used_bytes) for p in gpus.processes()] == [
        ("GPU-0", 7, 5),
        ("GPU-1", 7, 5),
    ]
    assert gpus.device_paths(["GPU-0"])[:2] == ("/dev/nvidia1", "/dev/nvidiactl")
    assert gpus.device_paths([]) == ()
