from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.differential.lab import Lab, running_lab
from tests.support.gateway import PLACES, SAMPLE, STREAMS, compile_protos


@pytest.fixture(scope="session")
def sample_set(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_protos(tmp_path_factory.mktemp("protos"), SAMPLE, STREAMS, PLACES)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab(sample_set: bytes, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with running_lab(sample_set, tmp_path_factory.mktemp("envoy")) as lab:
        yield lab
