from typing import Any

import pytest

from tests.support.gateway import (
    PLACE_SERVICE,
    PLACES,
    PLANNED,
    SAMPLE,
    SAMPLE_SERVICE,
    STREAM_SERVICES,
    STREAMS,
    compile_protos,
)
from windlass_server.gateway.envoy.bootstrap import Front, bootstrap
from windlass_server.gateway.serving import Address

SERVICES = (SAMPLE_SERVICE, *STREAM_SERVICES, PLACE_SERVICE)
FRONT = Front(
    listen=Address("127.0.0.1", 10000),
    server=Address("127.0.0.1", 50051),
    planned_extension=PLANNED,
    limits_extension="windlass.options.v1.limits",
    domain="sample",
    default_timeout=60,
)


@pytest.fixture(scope="session")
def sample_set(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_protos(tmp_path_factory.mktemp("protos"), SAMPLE, STREAMS, PLACES)


@pytest.fixture(scope="session")
def config(sample_set: bytes) -> dict[str, Any]:
    return bootstrap(sample_set, SERVICES, FRONT)
