"""Builders of nodes and of the runs on them."""

from typing import Any

from tests.support.fake_clock import START, FakeClock
from tests.support.jobs import job_columns
from windlass.agents.v1 import agent_pb2
from windlass_server.ids import IdSource
from windlass_server.resources.states import Status
from windlass_server.storage.gpu_shares import Share
from windlass_server.storage.transaction import Transaction

GIB = 1 << 30
_ids = IdSource(FakeClock())


def an_inventory(
    *, cpu_millis: int = 8000, memory_bytes: int = 16 * GIB, gpus: int = 0, gpu_type: str = "H100"
) -> agent_pb2.Inventory:
    """What a node has; its GPUs are called GPU-0, GPU-1 and so on."""
    return agent_pb2.Inventory(
        hostname="rack1-n1",
        boot_id="boot-1",
        agent_version="0.1.0",
        cpu_millis=cpu_millis,
        memory_bytes=memory_bytes,
        address="10.0.0.1",
        gpus=[
            agent_pb2.GpuDevice(
                uuid=f"GPU-{number}",
                index=number,
                model=f"NVIDIA {gpu_type}",
                gpu_type=gpu_type,
                memory_total_bytes=80 * GIB,
                power_limit_watts=700,
            )
            for number in range(gpus)
        ],
    )


def node_columns(**values: Any) -> dict[str, Any]:
    """Every column of an empty READY node, with these values instead."""
    inventory = an_inventory()
    node_id = _ids.new("node")
    return {
        "node_id": node_id,
        "name": "rack1-n1",
        "public_key": node_id.encode()[-32:],
        "status": int(Status.READY),
        "status_reason": "AGENT_CONNECTED",
        "status_message": "its agent is connected",
        "inventory": inventory.SerializeToString(),
        "cpu_millis": inventory.cpu_millis,
        "memory_bytes": inventory.memory_bytes,
        "cpu_held": 0,
        "memory_held": 0,
        "shrunk": False,
        "exclusive": False,
        "created_at": START,
        "connected_at": START,
        "maintenance": 1,
        "maintenance_reason": "",
        "maintenance_actor": "",
        "maintenance_at": START,
        "drain_mode": 0,
        "drain_deadline": None,
        "drain_runs": 0,
        "health": b"",
        "ailing": False,
        "cluster": "default",
        "pool": "default",
        "removed_at": None,
        "last_seen_at": START,
    } | values


def add_node(tx: Transaction, **values: Any) -> str:
    """Store a node; returns its id."""
    columns = node_columns(**values)
    tx.nodes.add(columns)
    return str(columns["node_id"])


def add_run(tx: Transaction, node_id: str, **values: Any) -> str:
    """Store an active run of a job of its own on a node, holding nothing yet; returns its id."""
    job = job_columns(project=values.pop("project", "default"))
    tx.jobs.add(job, {})
    columns = {
        "run_id": _ids.new("run"),
        "job_id": job["job_id"],
        "attempt": 1,
        "epoch": 1,
        "node_id": node_id,
        "want": 1,
        "generation": 1,
        "state": 0,
        "active": True,
        "forgotten": False,
        "cpu_millis": 1000,
        "memory_bytes": GIB,
        "gpu_uuids": "",
        "gpu_millis": 0,
        "time_limit": None,
        "grace": 10_000_000,
        "stopping_since": None,
        "log_end": None,
        "log_lost": "",
        "device_fault": "",
        "end_cause": 0,
        "created_at": START,
        "ended_at": None,
        "end_noted_at": None,
    } | values
    tx.runs.add(columns)
    return str(columns["run_id"])


def hold_all(tx: Transaction, run_id: str, *, most: int = 1000) -> None:
    """Hold for a run what its row says; of a GPU that at most so many share."""
    run = tx.runs.get(run_id)
    assert run is not None
    tx.nodes.hold(
        run.node_id,
        run_id,
        cpu_millis=run.cpu_millis,
        memory_bytes=run.memory_bytes,
        gpu_uuids=run.gpu_uuids.split(",") if run.gpu_uuids else (),
        share=Share(run.gpu_millis, most) if run.gpu_millis else None,
    )
