"""Runs the pure planner beside the event loop."""

import asyncio

from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.snapshot import Snapshot

# Jobs and nodes of which a plan takes a few milliseconds at most, less than it is worth to hand it over.
_PLANNED_AT_ONCE = 256


async def planned(snapshot: Snapshot) -> Plan:
    """The plan; a large one is made in a thread, so that the event loop answers others meanwhile.

    A thread takes turns with the loop, but numpy lets go of the interpreter within its steps: measured
    (tests/benchmarks/scheduler_plan.py), the loop waits for its turn a tenth of a millisecond mostly and
    ten at worst, less than between slices of a plan on the loop itself.
    """
    if len(snapshot.queue) + len(snapshot.nodes) <= _PLANNED_AT_ONCE:
        return plan(snapshot)
    return await asyncio.to_thread(plan, snapshot)
