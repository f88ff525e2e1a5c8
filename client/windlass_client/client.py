"""`Client` and `AsyncClient`: one channel, and the groups of calls over it."""

from dataclasses import replace
from types import TracebackType
from typing import Self

from windlass_client.access import Access, AsyncAccess
from windlass_client.allocations import Allocations, AsyncAllocations
from windlass_client.artifacts import Artifacts, AsyncArtifacts
from windlass_client.clusters import AsyncClusters, Clusters
from windlass_client.connect import DEFAULT_TIMEOUT, AioTransport, BlockingTransport, Manner
from windlass_client.drains import AsyncDrains, Drains
from windlass_client.events import AsyncEvents, Events
from windlass_client.jobs import AsyncJobs, Jobs
from windlass_client.nodes import AsyncNodes, Nodes
from windlass_client.policies import AsyncPolicies, Policies
from windlass_client.pools import AsyncPools, Pools
from windlass_client.prices import AsyncPrices, Prices
from windlass_client.queues import AsyncQueues, Queues
from windlass_client.quotas import AsyncQuotas, Quotas
from windlass_client.reservations import AsyncReservations, Reservations
from windlass_client.retries import RetryPolicy
from windlass_client.secrets import AsyncSecrets, Secrets
from windlass_client.settings import Settings
from windlass_client.shares import AsyncShares, Shares
from windlass_client.simulations import AsyncSimulations, Simulations
from windlass_client.sources import AsyncSources, Sources
from windlass_client.system import AsyncSystem, System
from windlass_client.templates import AsyncTemplates, Templates
from windlass_client.usage import AsyncUsageReports, UsageReports
from windlass_client.webhooks import AsyncWebhooks, Webhooks


class Client:
    """A blocking client; may be used from several threads. Close it, or use it in `with`.

    Args:
        server: `host:port`, `https://…`, `http://…` or `unix:/path`; see `settings`.
        token: API key or access token.
        project: the project of requests that name none.
        timeout: seconds that a unary call may take, all its tries together.
        retries: when idempotent calls are tried again.
        settings: instead of the first three and the environment.

    Raises:
        InvalidArgument: an address that is none, or a token file that cannot be read.
    """

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        *,
        project: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retries: RetryPolicy | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings.load(server=server, token=token, project=project)
        manner = Manner(timeout=timeout, retries=retries or RetryPolicy())
        self._use(BlockingTransport.open(self.settings, manner))

    def _use(self, transport: BlockingTransport) -> None:
        project = self.settings.project
        self._transport = transport
        self.jobs = Jobs(transport, project)
        self.artifacts = Artifacts(transport, project)
        self.sources = Sources(transport, project)
        self.nodes = Nodes(transport, project)
        self.allocations = Allocations(transport, project)
        self.clusters = Clusters(transport, project)
        self.drains = Drains(transport, project)
        self.reservations = Reservations(transport, project)
        self.usage = UsageReports(transport, project)
        self.prices = Prices(transport, project)
        self.templates = Templates(transport, project)
        self.queues = Queues(transport, project)
        self.quotas = Quotas(transport, project)
        self.secrets = Secrets(transport, project)
        self.webhooks = Webhooks(transport, project)
        self.events = Events(transport, project)
        self.pools = Pools(transport, project)
        self.policies = Policies(transport, project)
        self.simulations = Simulations(transport, project)
        self.shares = Shares(transport, project)
        self.access = Access(transport, project)
        self.system = System(transport, project)

    def with_timeout(self, seconds: float) -> "Client":
        """A view of this client, on the same channel, with another deadline."""
        view = object.__new__(Client)
        view.settings = self.settings
        manner = replace(self._transport.manner, timeout=seconds)
        view._use(self._transport.with_manner(manner))
        return view

    def close(self) -> None:
        """Close the channel."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient:
    """The client for asyncio, of one event loop. Close it, or use it in `async with`.

    The arguments are those of `Client`.
    """

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        *,
        project: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retries: RetryPolicy | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings.load(server=server, token=token, project=project)
        manner = Manner(timeout=timeout, retries=retries or RetryPolicy())
        self._use(AioTransport.open(self.settings, manner))

    def _use(self, transport: AioTransport) -> None:
        project = self.settings.project
        self._transport = transport
        self.jobs = AsyncJobs(transport, project)
        self.artifacts = AsyncArtifacts(transport, project)
        self.sources = AsyncSources(transport, project)
        self.nodes = AsyncNodes(transport, project)
        self.allocations = AsyncAllocations(transport, project)
        self.clusters = AsyncClusters(transport, project)
        self.drains = AsyncDrains(transport, project)
        self.reservations = AsyncReservations(transport, project)
        self.usage = AsyncUsageReports(transport, project)
        self.prices = AsyncPrices(transport, project)
        self.templates = AsyncTemplates(transport, project)
        self.queues = AsyncQueues(transport, project)
        self.quotas = AsyncQuotas(transport, project)
        self.secrets = AsyncSecrets(transport, project)
        self.webhooks = AsyncWebhooks(transport, project)
        self.events = AsyncEvents(transport, project)
        self.pools = AsyncPools(transport, project)
        self.policies = AsyncPolicies(transport, project)
        self.simulations = AsyncSimulations(transport, project)
        self.shares = AsyncShares(transport, project)
        self.access = AsyncAccess(transport, project)
        self.system = AsyncSystem(transport, project)

    def with_timeout(self, seconds: float) -> "AsyncClient":
        """A view of this client, on the same channel, with another deadline."""
        view = object.__new__(AsyncClient)
        view.settings = self.settings
        manner = replace(self._transport.manner, timeout=seconds)
        view._use(self._transport.with_manner(manner))
        return view

    async def close(self) -> None:
        """Close the channel."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
