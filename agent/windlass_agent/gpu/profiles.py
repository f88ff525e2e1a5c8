"""What real cards look like at rest and at work, for the simulated ones.

Sources: NVIDIA's data sheets for memory, power limits and clocks; `nvidia-smi` readings for idle
power. Loaded power and temperature are those of a training job in an air-cooled server.
"""

from dataclasses import dataclass

from windlass_agent.gpu.mig import MigProfile


@dataclass(frozen=True, slots=True)
class GpuProfile:
    """A model of card. `idle` and `busy` pairs are the two ends between which a card moves."""

    model: str
    memory_mib: int
    power_limit_watts: float
    power_watts: tuple[float, float]
    temperature_celsius: tuple[float, float]
    sm_clock_mhz: tuple[float, float]
    memory_clock_mhz: tuple[float, float]
    compute_capability: str
    slowdown_celsius: int
    # High bandwidth memory tells its temperature; such cards can be divided and have NVLink.
    data_center: bool = True
    # How many neighbours of its kind one NVLink switch joins.
    nvlink_island: int = 8
    # The instances that it is divided into, each with its place; none for a whole card.
    layout: tuple[tuple[MigProfile, int], ...] = ()


PROFILES: dict[str, GpuProfile] = {
    "A100": GpuProfile(
        "NVIDIA A100-SXM4-80GB", 81920, 400, (56, 368), (31, 62), (210, 1410), (1593, 1593),
        "8.0", 89,
    ),
    "B200": GpuProfile(
        "NVIDIA B200", 183359, 1000, (140, 905), (32, 66), (120, 1965), (3996, 3996),
        "10.0", 90,
    ),
    "H100": GpuProfile(
        "NVIDIA H100 80GB HBM3", 81559, 700, (71, 642), (30, 64), (345, 1980), (2619, 2619),
        "9.0", 87,
    ),
    "H200": GpuProfile(
        "NVIDIA H200", 143771, 700, (77, 651), (29, 63), (345, 1980), (3201, 3201),
        "9.0", 87,
    ),
    "L40S": GpuProfile(
        "NVIDIA L40S", 46068, 350, (34, 318), (33, 68), (210, 2520), (405, 9001),
        "8.9", 92, data_center=False,
    ),
    "T4": GpuProfile(
        "Tesla T4", 15360, 70, (9, 66), (34, 72), (300, 1590), (405, 5001),
        "7.5", 93, data_center=False,
    ),
}  # fmt: skip
