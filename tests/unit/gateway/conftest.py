from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.support.gateway import (
    SAMPLE,
    AsgiClient,
    FakeDispatcher,
    compile_protos,
    sample_gateway,
)
from windlass_server.gateway.transcoder import Transcoder


@pytest.fixture(scope="session")
def sample_set(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_protos(tmp_path_factory.mktemp("protos"), SAMPLE)


@pytest.fixture(scope="session")
def sample_type(sample_set: bytes) -> Callable[[str], Any]:
    """Message classes of google.protobuf, the peer that the gateway is compared to."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(sample_set).file:
        pool.Add(file)

    def message_type(name: str) -> Any:
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"sample.v1.{name}"))

    return message_type


@pytest.fixture(scope="session")
def sample_transcoder(sample_set: bytes) -> Transcoder:
    return Transcoder(sample_set)


@pytest.fixture
def dispatcher() -> FakeDispatcher:
    return FakeDispatcher()


@pytest.fixture
def client(sample_set: bytes, dispatcher: FakeDispatcher) -> AsgiClient:
    return AsgiClient(sample_gateway(sample_set, dispatcher, max_body_bytes=4096))
