"""Secrets of projects in tests: the service, under a key of the tests."""

from collections.abc import Callable, Sequence

from windlass_server.access.keyring import Keyring
from windlass_server.access.project_secrets import SecretsService
from windlass_server.clock import Clock
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import SecretVersionRow

KEY = b"k" * 32


def secrets_service(
    database: Database, clock: Clock, keys: Sequence[bytes] = (KEY,)
) -> SecretsService:
    """The secrets of a database."""
    return SecretsService(database, clock, IdSource(clock), PageTokens(b"key"), Keyring(keys))


def opening(database: Database, clock: Clock) -> Callable[[SecretVersionRow], bytes]:
    """What opens the secrets of a database."""
    return secrets_service(database, clock).opened
