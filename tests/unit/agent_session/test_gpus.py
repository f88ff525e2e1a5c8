import math

import pytest

from tests.support.fake_agent_clock import FakeAgentClock
from tests.support.fake_nvml import FakeNvml
from windlass_agent.gpu import nvml as nvml_module
from windlass_agent.gpu.facts import GpuResetError
from windlass_agent.gpu.models import gpu_type_of
from windlass_agent.gpu.profiles import PROFILES
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.option_values import simulated_gpus


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


async def test_those_who_share_a_card_work_on_it_together_and_leave_it_one_by_one():
    clock = FakeAgentClock()
    gpus = simulated(clock=clock)
    uuid = gpus.devices()[1].uuid
    gpus.set_busy(uuid, "run-1", 41, 0.25)
    gpus.set_busy(uuid, "run-2", 42, 0.5)
    first, second = gpus.processes()
    assert [(one.uuid, one.pid) for one in (first, second)] == [(uuid, 41), (uuid, 42)]
    assert second.memory_used_bytes == pytest.approx(2 * first.memory_used_bytes, abs=2 << 20)
    await clock.advance(60)
    both = gpus.sample()[1]
    assert 60 < both.utilization_percent < 80
    assert both.memory_used_bytes > first.memory_used_bytes + second.memory_used_bytes
    with pytest.raises(GpuResetError, match="run-1, run-2 uses it"):
        gpus.reset(uuid)
    gpus.set_idle("run-1")
    assert [one.pid for one in gpus.processes()] == [42]
    assert gpus.sample()[1].utilization_percent < both.utilization_percent
    gpus.set_idle("run-2")
    assert gpus.processes() == ()
    gpus.reset(uuid)


def test_simulated_cards_of_a_switch_reach_each_other_and_those_without_one_do_not():
    names = [device.uuid for device in simulated(["H100"] * 10).devices()]
    peers = [device.nvlink_peers for device in simulated(["H100"] * 10).devices()]
    assert peers[0] == tuple(names[1:8])
    assert peers[9] == (names[8],)
    mixed = simulated(("H100", "T4", "H100")).devices()
    assert [len(device.nvlink_peers) for device in mixed] == [1, 0, 1]
    assert [device.mig.name for device in mixed] == ["DISABLED", "NOT_CAPABLE", "DISABLED"]


@pytest.mark.parametrize(
    ("spec", "peers"),
    [
        ("8xH100:nvlink=4", [3] * 8),
        ("6xH100:nvlink=4", [3, 3, 3, 3, 1, 1]),
        ("2xH100:nvlink=1,2xA100", [0, 0, 1, 1]),
        ("1xH100:nvlink=2/1g.10gb+1g.10gb", [0, 0]),
    ],
)
def test_how_many_simulated_cards_a_switch_joins_can_be_said(spec: str, peers: list[int]):
    gpus = SimulatedGpus(simulated_gpus(spec), b"node", FakeAgentClock().monotonic)
    assert [len(device.nvlink_peers) for device in gpus.devices()] == peers


async def test_energy_is_power_times_time():
    clock = FakeAgentClock()
    gpus = simulated(("H100",), clock)
    await clock.advance(100)
    rest = gpus.sample()[0]
    assert rest.energy_joules == pytest.approx(71 * 100)
    gpus.set_busy(rest.uuid, "run-1", 0)
    for _ in range(50):  # however often it is looked at
        await clock.advance(2)
        busy = gpus.sample()[0]
    lag = (642 - 71) * 2  # what the power's first-order lag of 2 s keeps it short of
    assert busy.energy_joules - rest.energy_joules == pytest.approx(642 * 100 - lag, rel=1e-3)


async def test_a_card_that_gets_too_hot_says_so_and_slows_down():
    clock = FakeAgentClock()
    gpus = simulated(("H100",), clock)
    uuid = gpus.devices()[0].uuid
    assert gpus.sample()[0].throttle_reasons == 0x1
    gpus.set_busy(uuid, "run-1", 0)
    assert gpus.sample()[0].throttle_reasons == 0
    fast = gpus.sample()[0].sm_clock_mhz
    gpus.set_fault(uuid, hot=True)
    await clock.advance(200)
    slow = gpus.sample()[0]
    assert slow.throttle_reasons == 0x8 | 0x20 | 0x40
    assert slow.sm_clock_mhz == fast / 2
    assert slow.memory_temperature_celsius == slow.temperature_celsius + 6


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


def test_a_machine_without_a_driver_has_no_gpus(open_nvml):
    gpus = open_nvml(FakeNvml(present=False))
    assert (gpus.devices(), gpus.sample(), gpus.driver_version) == ((), (), "")


def test_a_real_library_that_is_absent_is_no_error():
    nvml_module.open_nvml(lambda: 0).close()


def test_real_cards_are_read_by_handles_that_are_looked_up_once(open_nvml):
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


def test_a_real_card_tells_where_it_is_and_what_it_can(open_nvml):
    gpus = open_nvml(FakeNvml())
    device = gpus.devices()[0]
    assert (device.pci_bus_id, device.compute_capability) == ("00000000:1B:00.0", "9.0")
    assert (device.nvlink_peers, device.mig.name) == (("GPU-1",), "DISABLED")
    assert (device.slowdown_celsius, gpus.cuda_version) == (87, "12.8")
    sample = gpus.sample()[0]
    assert (sample.memory_temperature_celsius, sample.energy_joules) == (55, 1234.567)
    assert sample.throttle_reasons == 0x24


def test_a_card_that_can_do_little_is_no_less_a_card(open_nvml):
    queries = ("GetMigMode", "GetP2PStatus", "GetPciInfo", "GetTemperatureThreshold")
    queries = (*queries, "GetCudaComputeCapability")
    nvml = FakeNvml({f"Device{query}": FakeNvml.NVML_ERROR_NOT_SUPPORTED for query in queries})
    gpus = open_nvml(nvml)
    device = gpus.devices()[0]
    assert (device.pci_bus_id, device.nvlink_peers, device.mig.name) == ("", (), "NOT_CAPABLE")
    assert (device.slowdown_celsius, device.compute_capability) == (0, "")
    nvml.fields.clear()
    assert math.isnan(gpus.sample()[0].memory_temperature_celsius)
    nvml.broken["DeviceGetCurrentClocksEventReasons"] = FakeNvml.NVML_ERROR_NOT_SUPPORTED
    assert gpus.sample()[0].throttle_reasons == 0x1  # by its older name


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("DeviceGetTotalEnergyConsumption", "energy_joules"),
        ("DeviceGetPowerUsage", "power_watts"),
        ("DeviceGetUtilizationRates", "utilization_percent"),
        ("DeviceGetTemperature", "temperature_celsius"),
        ("DeviceGetMemoryInfo", "memory_used_bytes"),
        ("DeviceGetClockInfo", "sm_clock_mhz"),
        ("DeviceGetEnforcedPowerLimit", "power_limit_watts"),
    ],
)
def test_a_field_that_a_card_does_not_support_is_nan_and_takes_nothing_with_it(
    query, field, open_nvml
):
    gpus = open_nvml(FakeNvml({query: FakeNvml.NVML_ERROR_NOT_SUPPORTED}))
    sample = gpus.sample()[0]
    assert math.isnan(getattr(sample, field))
    assert sample.healthy
    told = ("power_watts", "utilization_percent", "temperature_celsius", "memory_used_bytes")
    assert all(not math.isnan(getattr(sample, name)) for name in told if name != field)


def test_a_driver_that_is_too_old_to_name_processes_takes_nothing_else_with_it(open_nvml):
    nvml = FakeNvml()
    nvml.too_new = {"DeviceGetComputeRunningProcesses", "DeviceGetGraphicsRunningProcesses"}
    gpus = open_nvml(nvml)
    assert gpus.processes() == ()
    assert gpus.sample()[0].healthy


@pytest.mark.parametrize("error", [15, 16])
def test_a_lost_card_is_unhealthy_until_it_answers_again(error, open_nvml):
    nvml = FakeNvml()
    gpus = open_nvml(nvml)
    nvml.broken["DeviceGetTemperature"] = error
    assert not gpus.sample()[0].healthy
    nvml.broken.clear()
    assert gpus.sample()[0].healthy


def test_a_card_that_can_remap_no_more_rows_is_unhealthy(open_nvml):
    nvml = FakeNvml()
    nvml.answers["DeviceGetRemappedRows"] = (0, 1, 0, 1)
    assert not open_nvml(nvml).sample()[0].healthy


def test_a_process_counts_once_and_its_device_files_are_named_by_minor_number(open_nvml):
    gpus = open_nvml(FakeNvml())
    assert [(p.uuid, p.pid, p.memory_used_bytes) for p in gpus.processes()] == [
        ("GPU-0", 7, 5),
        ("GPU-1", 7, 5),
    ]
    assert gpus.device_paths(["GPU-0"])[:2] == ("/dev/nvidia1", "/dev/nvidiactl")
    assert gpus.device_paths([]) == ()
