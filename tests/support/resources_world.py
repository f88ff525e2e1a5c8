"""The services of the resources area in this process, on a test's database and a clock of its own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.fake_clock import FakeClock
from tests.support.health import health_service
from tests.support.nodes import add_run, an_inventory, hold_all
from tests.support.scheduled_world import ScheduledWorld
from windlass_server.access.authenticator import Authenticator
from windlass_server.access.join_tokens import JoinTokens
from windlass_server.access.policy import Caller, Role
from windlass_server.access.seals import Seal
from windlass_server.access.service import AccessService
from windlass_server.access.tokens import UserTokens
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.resources.clusters import ClustersService
from windlass_server.resources.membership import Membership
from windlass_server.resources.pools import PoolsService
from windlass_server.resources.registration import Registration
from windlass_server.resources.removal import NodeRemoval
from windlass_server.resources.service import NodeFilter, ResourcesService
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.latest import LatestTelemetry

ADMIN = Caller("ada", organisation_role=Role.ADMIN, default_project="default")
VIEWER = Caller("vi", roles={"default": Role.VIEWER}, default_project="default")


@dataclass
class ResourcesWorld:
    """Nodes that join and say hello as the test says; `scheduled` is what runs on them."""

    database: Database
    clock: FakeClock
    access: AccessService
    scheduled: ScheduledWorld
    membership: Membership
    resources: ResourcesService
    clusters: ClustersService
    pools: PoolsService
    latest: LatestTelemetry
    removal: NodeRemoval
    removed: list[str] = field(default_factory=list)

    @classmethod
    async def start(cls, database: Database, folder: Path) -> Self:
        """One without nodes, with the project `default`."""
        scheduled = await ScheduledWorld.start(database, folder)
        clock, page_tokens = scheduled.clock, PageTokens(b"page")
        tokens = UserTokens(Ed25519PrivateKey.generate())
        authenticator = Authenticator(database, clock, b"keys", tokens)
        join_tokens = JoinTokens(b"join")
        access = AccessService(
            database, clock, authenticator, tokens, join_tokens, b"keys", page_tokens
        )
        removed: list[str] = []
        removal = NodeRemoval(
            database,
            clock,
            lose_runs=scheduled.runs.losing,
            revoke=scheduled.allocations.revoke_in,
            removed=(removed.append,),
            capacity_changed=lambda: None,
        )
        registration = Registration(Seal(b"s" * 32), clock)
        clusters = ClustersService(database, clock, page_tokens, registration)
        await clusters.ensure_default()
        pools = PoolsService(database, scheduled.cluster, clock, page_tokens, lambda: None)
        await pools.ensure_default()
        latest = LatestTelemetry(clock)
        membership = Membership(
            database,
            access,
            latest,
            clock,
            IdSource(clock),
            lambda: None,
            health_service(database, clock),
            scheduled.layouts,
        )
        resources = ResourcesService(database, access, page_tokens)
        return cls(
            database,
            clock,
            access,
            scheduled,
            membership,
            resources,
            clusters,
            pools,
            latest,
            removal,
            removed,
        )

    async def joined(
        self,
        name: str,
        *,
        cluster: str = "default",
        labels: dict[str, str] | None = None,
        gpus: int = 0,
        gpu_type: str = "H100",
        cpu_millis: int = 8000,
        connected: bool = True,
    ) -> str:
        """A node that has joined, and said hello unless told otherwise; returns its id."""
        token = await self.resources.create_join_token(ADMIN, None, cluster=cluster)
        told = an_inventory(cpu_millis=cpu_millis, gpus=gpus, gpu_type=gpu_type)
        told.hostname = name
        told.labels.update(labels or {})
        node_id = await self.membership.join(token.text, name.encode().ljust(32, b"."), told)
        if connected:
            await self.membership.hello(node_id, told)
        return node_id

    async def running(self, node_id: str) -> str:
        """A run that holds a part of a node; returns its id."""

        def store(tx: Transaction) -> str:
            run_id = add_run(tx, node_id)
            hold_all(tx, run_id)
            return run_id

        return await self.database.write(store)

    async def names(self, **wanted: object) -> list[str]:
        """The names of the nodes that a list with these filters has."""
        asked = NodeFilter(**wanted)  # type: ignore[arg-type]
        found, _ = await self.resources.list(ADMIN, asked, size=1000, token="")
        return [view.row.name for view in found]
