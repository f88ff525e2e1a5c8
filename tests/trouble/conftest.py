"""The whole system in real processes, as for `tests/integration/whole`, while something breaks."""

from tests.integration.whole.conftest import any_cluster, any_server, cluster, server, shared
from tests.support.databases import database_url, engines

__all__ = ["any_cluster", "any_server", "cluster", "database_url", "engines", "server", "shared"]
