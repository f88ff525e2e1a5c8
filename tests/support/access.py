"""A whole access area on a test's database."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.fake_clock import FakeClock
from windlass_server.access import bootstrap
from windlass_server.access.authenticator import Authenticator
from windlass_server.access.join_tokens import JoinTokens
from windlass_server.access.policy import Caller, Role
from windlass_server.access.secrets import Secrets, derive
from windlass_server.access.service import AccessService
from windlass_server.access.tokens import UserTokens
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database

ORG_ADMIN = Caller("admin", default_project="default", organisation_role=Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Access:
    """The parts, and the administrator's first key."""

    service: AccessService
    authenticator: Authenticator
    tokens: UserTokens
    clock: FakeClock
    secrets: Secrets
    admin_key: str


async def start_access(database: Database, folder: Path) -> Access:
    """Set the database up and build what serves it."""
    clock = FakeClock()
    secrets = derive(b"m" * 32)
    pepper = secrets.api_key_pepper
    made = await bootstrap.bootstrap(database, clock, pepper, folder)
    tokens = UserTokens(secrets.signing_key)
    authenticator = Authenticator(database, clock, pepper, tokens)
    service = AccessService(
        database,
        clock,
        authenticator,
        tokens,
        JoinTokens(secrets.join_token_pepper),
        pepper,
        PageTokens(secrets.page_token_key),
    )
    return Access(service, authenticator, tokens, clock, secrets, made.path.read_text().strip())
