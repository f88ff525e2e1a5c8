import pytest

from tests.support.gateway import PLACES, SAMPLE, STREAMS, compile_protos


@pytest.fixture(scope="session")
def sample_set(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_protos(tmp_path_factory.mktemp("protos"), SAMPLE, STREAMS, PLACES)
