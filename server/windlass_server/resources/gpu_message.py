"""GPUs as the API shows them, as they are on the wire: a list of nodes has thousands of them.

What stays for a while is made of messages. What is measured each second is put behind it as bytes. No field
comes twice but those that are repeated: parsers let the later value hold, and Envoy refuses the answer.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple, cast

from windlass.agents.v1.agent_pb2 import Series
from windlass.resources.v1 import node_pb2
from windlass.types.v1.gpu_pb2 import Throttle
from windlass_server.resources.health_message import ShownGpu, fill_faults
from windlass_server.resources.inventories import StandingGpu
from windlass_server.resources.rules import free
from windlass_server.resources.service import NodeView
from windlass_server.telemetry.latest import Process, Values
from windlass_server.timestamps import set_time

_VARINT, _FIXED_64 = 0, 1
_UNHEALTHY = "its node reports that it must not be given to jobs"
_HEALTHY = node_pb2.Gpu(health=node_pb2.Gpu.HEALTHY).SerializeToString()
# A reason of number n is bit n - 1 of NVML's mask.
_THROTTLE_REASONS = cast("list[Throttle.Reason]", Throttle.Reason.values()[1:])
# What is shown as it was measured. A tag of each stands before its eight bytes.
_DOUBLES = (
    "temperature_celsius",
    "power_watts",
    "utilization_percent",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "memory_temperature_celsius",
    "energy_joules",
    "power_limit_watts",
)
# All that `measured_part` tells, some of which an inventory tells too.
_MEASURED = (
    *_DOUBLES,
    "memory_total_bytes",
    "memory_used_bytes",
    "memory_free_bytes",
    "throttle_reasons",
    "sample_time",
)


class StillGpu(NamedTuple):
    """A GPU without what is measured, serialized.

    Attributes:
        alone: a `Gpu` of which nothing was measured.
        beneath: the same without any field of `measured_part`.
        available: nobody holds it, and it can be given to jobs.
    """

    alone: bytes
    beneath: bytes
    available: bool


def still_part(
    one: StandingGpu, health: ShownGpu | None, view: NodeView, *, reported: bool
) -> StillGpu:
    """What stays of a GPU.

    Args:
        one: what its node's inventory says of it.
        health: what is known of its health.
        view: its node.
        reported: its node says that it cannot be given to jobs.
    """
    uuid, rest = one.uuid, node_pb2.Gpu()
    healthy = health is None or health.healthy
    if health is not None:
        fill_faults(rest, health, view.who)
    if healthy and reported:
        healthy, rest.health = False, node_pb2.Gpu.UNHEALTHY
        rest.health_reason, rest.health_message = "REPORTED_BY_NODE", _UNHEALTHY
    rest.run_id = view.holders.get(uuid, "")
    rest.allocation_id = view.allocated.get(uuid, "")
    shares = view.shares.get(uuid, ())
    for share in shares:
        rest.shares.add(
            run_id=share.run_id, allocation_id=share.allocation_id, gpu_millis=share.gpu_millis
        )
    known = b"" if health is None else health.part
    held = uuid in view.holders or uuid in view.allocated or shares
    shown = node_pb2.Gpu.FromString(b"".join((one.part, _HEALTHY, known, rest.SerializeToString())))
    alone = shown.SerializeToString()
    for field in _MEASURED:
        shown.ClearField(field)
    return StillGpu(alone, shown.SerializeToString(), healthy and not held)


def measured_part(one: StandingGpu, values: Values) -> bytes:
    """What was measured of a GPU, a serialized `Gpu`."""
    number, whole = values.all().get, values.whole
    doubles = _NUMBERS.pack(
        _TAGS[0],
        number(Series.GPU_TEMPERATURE_CELSIUS, 0.0),
        _TAGS[1],
        number(Series.GPU_POWER_WATTS, 0.0),
        _TAGS[2],
        number(Series.GPU_UTILIZATION_PERCENT, 0.0),
        _TAGS[3],
        number(Series.GPU_SM_CLOCK_MHZ, 0.0),
        _TAGS[4],
        number(Series.GPU_MEMORY_CLOCK_MHZ, 0.0),
        _TAGS[5],
        number(Series.GPU_MEMORY_TEMPERATURE_CELSIUS, 0.0),
        _TAGS[6],
        number(Series.GPU_ENERGY_JOULES, 0.0),
        _TAGS[7],
        number(Series.GPU_POWER_LIMIT_WATTS, one.power_limit_watts),
    )
    told = values.has(Series.GPU_MEMORY_TOTAL_BYTES)
    total = whole(Series.GPU_MEMORY_TOTAL_BYTES) if told else one.memory_total_bytes
    memory = _memory(total, whole(Series.GPU_MEMORY_USED_BYTES))
    return doubles + memory + _rest(values.sampled_at, whole(Series.GPU_THROTTLE_REASONS))


def processes_part(view: NodeView, processes: Sequence[Process]) -> bytes:
    """What uses a GPU, a serialized `Gpu`."""
    message = node_pb2.Gpu()
    for process in processes:
        shown = message.processes.add(memory_used_bytes=process.memory_used_bytes)
        # What nobody's run is, only those may know whom the whole machine concerns.
        if view.who.organisation_role is not None or process.run_id in view.run_ids:
            shown.pid, shown.run_id, shown.name = process.pid, process.run_id, process.name
    return message.SerializeToString()


def varint(number: int) -> bytes:
    """A number that is not negative, as it is on the wire."""
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _tag(field: str, wire_type: int) -> bytes:
    return varint(node_pb2.Gpu.DESCRIPTOR.fields_by_name[field].number << 3 | wire_type)


_TOTAL = _tag("memory_total_bytes", _VARINT)
_TAGS = tuple(_tag(field, _FIXED_64) for field in _DOUBLES)
_NUMBERS = Struct("<" + "".join(f"{len(tag)}sd" for tag in _TAGS))


# Cards of one kind that do nothing have the same in use; those that work seldom take more or give back.
@lru_cache(8192)
def _memory(total: int, used: int) -> bytes:
    """What a GPU's memory is, a serialized `Gpu`."""
    rest = node_pb2.Gpu(memory_used_bytes=used, memory_free_bytes=free(total, used))
    # A message leaves out 0, which then would not count.
    return _TOTAL + varint(total) + rest.SerializeToString()


# GPUs of one node are measured together, and what slows them down seldom changes.
@lru_cache(4096)
def _rest(sampled_at: int, mask: int) -> bytes:
    """When a GPU was measured and what slowed it down, a serialized `Gpu`."""
    message = node_pb2.Gpu()
    message.throttle_reasons.extend(
        reason for reason in _THROTTLE_REASONS if mask >> (reason - 1) & 1
    )
    set_time(message.sample_time, sampled_at)
    return message.SerializeToString()
