"""Two gateways behind real HTTP servers: over the sample contract, and a whole windlass."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from tests.integration.policies.site import Failing, Site
from tests.support.cluster import running_cluster
from tests.support.echo_dispatcher import Echo
from tests.support.gateway import (
    PLACE_SERVICE,
    PLACES,
    SAMPLE,
    SAMPLE_SERVICE,
    STREAM_SERVICES,
    STREAMS,
    compile_protos,
    windlass_descriptors,
)
from tests.support.json_peer import Peers
from tests.support.served_routes import LIMITS, served_routes
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.dispatch import Dispatcher
from windlass_server.gateway.granian_server import GranianServer
from windlass_server.gateway.serving import Address
from windlass_server.wiring.calls import PUBLIC_SERVICES

SERVICES = (SAMPLE_SERVICE, *STREAM_SERVICES, PLACE_SERVICE)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sample", "windlass"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """Each of them in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    async with AsyncExitStack() as stack:
        if request.param == "sample":
            descriptors, services = compile_protos(folder, SAMPLE, STREAMS, PLACES), SERVICES
            peers = Peers(descriptors)
            echo = Echo(peers, services)
            base = await stack.enter_async_context(_serving(descriptors, services, echo))
            token = ""
        else:
            descriptors, services = windlass_descriptors(), PUBLIC_SERVICES
            peers = Peers(descriptors)
            cluster = await stack.enter_async_context(running_cluster(folder, agent=False))
            base, token = f"http://{cluster.http}", cluster.token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        other = await stack.enter_async_context(_serving(descriptors, services, Failing()))
        http, failing = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            for url in (base, other)
        ]
        http.headers.update(headers)
        yield Site(http, failing, served_routes(descriptors, services, peers.pool), peers)


@asynccontextmanager
async def _serving(
    descriptors: bytes, services: Sequence[str], dispatcher: Dispatcher
) -> AsyncIterator[str]:
    """A gateway behind a server in this process; its base URL."""
    gateway = Gateway(
        descriptor_set=descriptors,
        services=services,
        dispatcher=dispatcher,
        limits_extension=LIMITS,
    )
    server = GranianServer(gateway, Address("127.0.0.1", 0))
    await server.start()
    yield f"http://127.0.0.1:{server.address.port}"
    await server.stop(1)
