import pytest

from tests.support.gateway import STREAMS, AsgiClient, compile_protos
from tests.support.sample_services import SampleServer, SampleTypes, sample_server


@pytest.fixture(scope="session")
def streams_set(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_protos(tmp_path_factory.mktemp("protos"), STREAMS)


@pytest.fixture(scope="session")
def types(streams_set: bytes) -> SampleTypes:
    return SampleTypes(streams_set)


@pytest.fixture
def server(streams_set: bytes, types: SampleTypes) -> SampleServer:
    return sample_server(streams_set, types)


@pytest.fixture
def client(server: SampleServer) -> AsgiClient:
    return AsgiClient(server.gateway(max_body_bytes=4096))
