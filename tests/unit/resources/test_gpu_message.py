"""What was measured of a GPU, written as bytes, is what a message with those values is."""

import math

from hypothesis import given
from hypothesis import strategies as st

from windlass.agents.v1.agent_pb2 import Series
from windlass.resources.v1 import node_pb2
from windlass.types.v1.gpu_pb2 import Throttle
from windlass_server.resources.gpu_message import measured_part, varint
from windlass_server.resources.inventories import StandingGpu
from windlass_server.telemetry.latest import Values

STANDING = node_pb2.Gpu(uuid="GPU-1", memory_total_bytes=80, power_limit_watts=700.0)
ONE = StandingGpu("GPU-1", STANDING.SerializeToString(), 80, 700.0)
AT = 1_700_000_000_123_456
NUMBERS = {
    "temperature_celsius": Series.GPU_TEMPERATURE_CELSIUS,
    "power_watts": Series.GPU_POWER_WATTS,
    "utilization_percent": Series.GPU_UTILIZATION_PERCENT,
    "sm_clock_mhz": Series.GPU_SM_CLOCK_MHZ,
    "memory_clock_mhz": Series.GPU_MEMORY_CLOCK_MHZ,
    "memory_temperature_celsius": Series.GPU_MEMORY_TEMPERATURE_CELSIUS,
    "energy_joules": Series.GPU_ENERGY_JOULES,
    "power_limit_watts": Series.GPU_POWER_LIMIT_WATTS,
}


def measured(values: dict[int, float]) -> Values:
    made = Values()
    for field, value in values.items():
        made.set(field, value, AT)
    return made


@given(
    st.dictionaries(
        st.sampled_from([int(number) for name, number in Series.Field.items()]),
        st.floats(allow_nan=False, allow_infinity=False),
        min_size=1,
    )
)
def test_bytes_are_the_message(told: dict[int, float]) -> None:
    values = measured(told)
    expected = node_pb2.Gpu()
    expected.CopyFrom(STANDING)
    for name, field in NUMBERS.items():
        if field in told or name != "power_limit_watts":
            setattr(expected, name, told.get(field, 0.0))
    if Series.GPU_MEMORY_TOTAL_BYTES in told:
        expected.memory_total_bytes = values.whole(Series.GPU_MEMORY_TOTAL_BYTES)
    used = values.whole(Series.GPU_MEMORY_USED_BYTES)
    expected.memory_used_bytes = used
    expected.memory_free_bytes = max(expected.memory_total_bytes - used, 0)
    mask = values.whole(Series.GPU_THROTTLE_REASONS)
    expected.throttle_reasons.extend(
        reason for reason in Throttle.Reason.values() if reason and mask & 1 << reason - 1
    )
    expected.sample_time.FromMicroseconds(AT)
    found = node_pb2.Gpu.FromString(ONE.part + measured_part(ONE, values))
    # As bytes: two zeros are equal, also where only one of them is negative.
    assert found.SerializeToString() == expected.SerializeToString()


def test_a_card_that_was_measured_to_have_no_memory_has_none() -> None:
    values = measured({Series.GPU_MEMORY_TOTAL_BYTES: 0.0})
    found = node_pb2.Gpu.FromString(ONE.part + measured_part(ONE, values))
    assert (found.memory_total_bytes, found.memory_free_bytes) == (0, 0)


def test_a_negative_zero_stays_one() -> None:
    found = node_pb2.Gpu.FromString(measured_part(ONE, measured({Series.GPU_POWER_WATTS: -0.0})))
    assert math.copysign(1, found.power_watts) == -1


@given(st.integers(0, 2**63 - 1))
def test_a_number_is_written_as_protobuf_writes_it(number: int) -> None:
    written = node_pb2.Gpu(memory_total_bytes=number).SerializeToString()
    assert written == (b"\x48" + varint(number) if number else b"")
