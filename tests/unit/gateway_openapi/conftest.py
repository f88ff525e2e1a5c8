from typing import Any

import pytest

from tests.support.gateway import PLANNED, SAMPLE, compile_protos, windlass_descriptors
from tests.support.openapi import CATALOG, compile_commented
from windlass_server.gateway.openapi.document import About, openapi_document
from windlass_server.gateway.transcoder import Transcoder

AUTHZ = "windlass.options.v1.authz"


@pytest.fixture(scope="session")
def catalog_set(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_commented(tmp_path_factory.mktemp("catalog"), CATALOG)


@pytest.fixture(scope="session")
def catalog(catalog_set: bytes) -> dict[str, Any]:
    return openapi_document(
        Transcoder(catalog_set).registry,
        ["sample.v1.CatalogService", "sample.v1.RuledService"],
        About(
            "Catalog",
            "7",
            description="Keeps items.",
            credential="An API key.",
            authz_extension=AUTHZ,
            domain="sample",
        ),
        planned_extension=PLANNED,
    )


@pytest.fixture(scope="session")
def windlass_set() -> bytes:
    return windlass_descriptors()


@pytest.fixture(scope="session")
def sample_set(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_protos(tmp_path_factory.mktemp("sample"), SAMPLE)
