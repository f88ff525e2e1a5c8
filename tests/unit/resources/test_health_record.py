"""Whatever a node may report of its health is stored, read and shown."""

from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.access import ORG_ADMIN
from tests.support.nodes import an_inventory
from windlass.agents.v1 import agent_pb2, agents_service_pb2
from windlass.agents.v1.health_pb2 import GpuReport, HealthReport, NodeHealth, Xid
from windlass.resources.v1 import node_pb2
from windlass.types.v1.gpu_pb2 import EccErrors, PcieLink, RemappedRows
from windlass_server.resources import gpu_health
from windlass_server.resources.gpu_health import Fault, GpuState, Health
from windlass_server.resources.health_message import fill_faults, shown_health
from windlass_server.resources.health_policy import Action, Policy
from windlass_server.resources.health_record import (
    MAX_FAULTS,
    facts_of,
    is_ailing,
    look_at,
    note_conditions,
    note_faults,
    note_inventory,
    note_report,
    overruled,
    read_state,
    unusable,
    write_state,
)
from windlass_server.resources.node_conditions import causes, conditions
from windlass_server.rpc.validation import Validation

NOW = 1_800_000_000_000_000
POLICY, RULES = Policy(), Validation()
INT32, INT64 = st.integers(0, (1 << 31) - 1), st.integers(0, (1 << 63) - 1)
WORDS = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f"), max_size=255)
XIDS = st.builds(
    Xid, number=st.integers(1, (1 << 63) - 1), time_nanos=INT64, code=st.integers(0, 65535)
)
GPUS = st.builds(
    GpuReport,
    uuid=st.sampled_from(["GPU-0", "GPU-1", "GPU-9"]),
    lost=st.booleans(),
    reset_required=st.booleans(),
    too_hot=st.booleans(),
    ecc_errors=st.none() | st.builds(EccErrors, uncorrected_volatile=INT64, corrected_aggregate=INT64),
    remapped_rows=st.none() | st.builds(RemappedRows, correctable=INT32, failure=st.booleans()),
    pcie_link=st.none() | st.builds(PcieLink, width=INT32, replays=INT64),
    xids=st.lists(XIDS, max_size=64),
    reset_done=INT64,
    reset_error=WORDS,
)  # fmt: skip
REPORTS = st.builds(
    HealthReport,
    agent_start=INT64,
    gpus=st.lists(GPUS, max_size=3, unique_by=lambda gpu: gpu.uuid),
    disk_total_bytes=INT64,
    disk_free_bytes=INT64,
)


def taken(record: NodeHealth, report: HealthReport) -> None:
    """Take a report in, as the service does."""
    told = {gpu.uuid: gpu for gpu in report.gpus}
    for gpu in record.gpus:
        if gpu.uuid in told:
            facts = facts_of(told[gpu.uuid], report.agent_start, NOW)
            state, faults = gpu_health.take(read_state(gpu), facts, POLICY, NOW)
            write_state(gpu, state)
            note_faults(gpu, faults, "run-1", "job-1", "default")
    note_report(record, report)


@settings(deadline=None)
@given(st.lists(REPORTS, min_size=1, max_size=4))
def test_what_keeps_to_the_rules_is_stored_and_shown(reports: list[HealthReport]) -> None:
    inventory, record = an_inventory(gpus=2), NodeHealth()
    note_inventory(record, inventory)
    for report in reports:
        message = agent_pb2.AgentMessage(health=report)
        RULES.check(agents_service_pb2.OpenSessionRequest(message=message))
        taken(record, report)
    found = causes(look_at(record, inventory), POLICY)
    note_conditions(record, conditions(look_at(record, inventory), found), NOW)
    record.causes[:] = [cause.key for cause in found]

    stored = record.SerializeToString()

    shown = shown_health(stored)
    assert set(shown.gpus) == {"GPU-0", "GPU-1"}
    for part in shown.gpus.values():
        gpu = node_pb2.Gpu.FromString(part.part)
        fill_faults(gpu, part, ORG_ADMIN)
        assert json_format.MessageToJson(gpu)
        assert len(gpu.faults) <= MAX_FAULTS
        assert (gpu.health == node_pb2.Gpu.HEALTHY) == part.healthy
    assert unusable(stored) == {uuid for uuid, part in shown.gpus.items() if not part.healthy}
    assert json_format.MessageToJson(node_pb2.Node.FromString(shown.conditions))
    assert is_ailing(record) or not unusable(stored)
    # Neither the XIDs nor the history grow with what is reported.
    assert len(stored) < 40_000


STATES = st.builds(
    GpuState,
    health=st.sampled_from(Health),
    reason=st.sampled_from(["", "XID_79"]),
    message=WORDS,
    changed_at=INT64,
    faulted_at=INT64,
    standing=st.frozensets(st.sampled_from(["GPU_LOST", "GPU_TOO_HOT"])),
    action=st.integers(0, 5),
    agent_start=INT64,
    last_xid=INT64,
    uncorrected=INT64,
    reset_wanted=INT64,
    reset_done=INT64,
    resets=st.lists(INT64, max_size=4).map(tuple),
)


@given(STATES)
def test_a_state_is_read_as_it_was_written(state: GpuState) -> None:
    record = NodeHealth()
    gpu = record.gpus.add(uuid="GPU-0")
    gpu.faults.add(kind="XID_13")
    gpu.report.uuid = "GPU-0"
    write_state(gpu, state)
    assert read_state(gpu) == state
    assert (gpu.uuid, gpu.faults[0].kind, gpu.report.uuid) == ("GPU-0", "XID_13", "GPU-0")


def test_an_operator_who_opens_a_node_has_its_inventory_taken_as_it_is() -> None:
    record = NodeHealth(causes=["GPU_MISSING:GPU-1", "CPU_SHRUNK"])
    note_inventory(record, an_inventory(gpus=2, cpu_millis=8000))
    smaller = an_inventory(gpus=1, cpu_millis=4000)
    after = NodeHealth.FromString(overruled(record.SerializeToString(), smaller, NOW))
    assert [gpu.uuid for gpu in after.gpus] == ["GPU-0"]
    assert (after.cpu_millis, after.memory_bytes) == (4000, smaller.memory_bytes)
    assert list(after.overruled) == ["GPU_MISSING:GPU-1", "CPU_SHRUNK"]
    assert causes(look_at(after, smaller), POLICY) == ()


def test_more_of_the_same_is_counted_and_no_news() -> None:
    gpu = NodeHealth().gpus.add(uuid="GPU-0")
    same = [Fault("XID_31", NOW + number, Action.IGNORE, "", False) for number in range(5)]
    other = Fault("XID_13", NOW + 9, Action.IGNORE, "", False)
    assert note_faults(gpu, same[:3], "run-1", "job-1", "default") == same[:1]
    assert note_faults(gpu, same[3:], "run-1", "job-1", "default") == []
    assert note_faults(gpu, [same[4]], "run-2", "job-2", "default") == [same[4]]
    assert note_faults(gpu, [other, same[4]], "run-2", "job-2", "default") == [other, same[4]]
    assert [(fault.kind, fault.count, fault.run_id) for fault in gpu.faults] == [
        ("XID_31", 5, "run-1"),
        ("XID_31", 1, "run-2"),
        ("XID_13", 1, "run-2"),
        ("XID_31", 1, "run-2"),
    ]
    assert gpu.faults[0].at == NOW + 4
