"""The health of nodes, without sessions."""

from tests.support.fake_clock import FakeClock
from windlass_server.resources.health import NodeHealthService, TellRun
from windlass_server.resources.health_policy import Policy
from windlass_server.resources.upkeep import NodeUpkeep
from windlass_server.storage.engine import Database


async def _tell_nobody(run_id: str, *, why: str, stop: bool) -> None:
    """Where nothing runs."""


async def _evict_nothing(run_id: str, *, kill: bool, why: str) -> None:
    """Where nothing runs."""


async def _revoke_nothing(allocation_id: str) -> None:
    """Where nothing is held."""


def health_service(
    database: Database,
    clock: FakeClock,
    upkeep: NodeUpkeep | None = None,
    *,
    tell_run: TellRun = _tell_nobody,
    woken: list[str] | None = None,
    policy: Policy | None = None,
) -> NodeHealthService:
    """The service.

    Args:
        database: where it stores.
        clock: its time.
        upkeep: closes and opens nodes; one for nodes that nothing runs on by default.
        tell_run: tells the jobs of runs.
        woken: the ids of nodes that have something to reset are put here.
        policy: other rules.
    """
    if upkeep is None:
        upkeep = NodeUpkeep(
            database,
            clock,
            evict=_evict_nothing,
            revoke=_revoke_nothing,
            capacity_changed=lambda: None,
            drain_began=lambda: None,
        )
    return NodeHealthService(
        database,
        upkeep,
        clock,
        policy or Policy(),
        tell_run=tell_run,
        capacity_changed=lambda: None,
        resets_changed=(woken if woken is not None else []).append,
        ailing=lambda: None,
    )
