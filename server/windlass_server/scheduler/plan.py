"""Decides which waiting jobs run where: a pure function of a snapshot."""

from dataclasses import dataclass

from windlass_server.scheduler.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Placement:
    """A job and the place that it gets; `gpu_uuids` are sorted, and empty for none."""

    job_id: str
    node_id: str
    gpu_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that gets no place now: an UPPER_SNAKE `reason` and a sentence for people."""

    job_id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Every job of the snapshot's queue once: placed, or waiting with a reason.

    Both tuples are in the order in which the jobs were considered.
    """

    placements: tuple[Placement, ...]
    waiting: tuple[Waiting, ...]


def plan(snapshot: Snapshot) -> Plan:
    """Places what fits now and explains the rest; the same snapshot gives the same plan."""
    raise NotImplementedError
