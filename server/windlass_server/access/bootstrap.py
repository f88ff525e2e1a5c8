"""The first organisation, project, principal and key, so that a fresh installation can be used."""

from dataclasses import dataclass
from pathlib import Path

from windlass_server.access import api_keys, private_files
from windlass_server.access.policy import ORGANISATION, Role
from windlass_server.clock import Clock
from windlass_server.errors import BadConfiguration, WrongState
from windlass_server.storage.access import Credential
from windlass_server.storage.engine import Database
from windlass_server.storage.guard import acting_as
from windlass_server.storage.tables import ApiKeyRow
from windlass_server.storage.transaction import Transaction

FILE_NAME = "admin.token"
ORGANISATION_ID = "windlass"
DEFAULT_PROJECT = "default"
ADMINISTRATOR = "admin"
NEW_KEY_COMMAND = "windlass server --new-admin-key"


@dataclass(frozen=True, slots=True)
class AdminKey:
    """How the administrator's key stands, for the start's log.

    Attributes:
        path: the file that it is, or was, written to.
        made: this call made it.
        problem: why the file is of no use and what to do; empty when it is good.
    """

    path: Path
    made: bool = False
    problem: str = ""


async def bootstrap(database: Database, clock: Clock, pepper: bytes, data_dir: Path) -> AdminKey:
    """Set a fresh installation up; leave one that is set up alone.

    Of several servers that start at once on an empty database, one does it. The key is on disk, out
    of sight, before the database knows it: a full disk leaves no installation without a key.

    Raises:
        BadConfiguration: the key cannot be written.
    """
    path = data_dir / FILE_NAME
    with acting_as("bootstrap"):
        if await database.read(lambda tx: tx.access.has_organisation()):
            return await _check(database, pepper, path)
        secret = api_keys.make(api_keys.API_KEY)
        staged = _stage(path, secret)
        try:
            if await database.write(lambda tx: _found(tx, secret, pepper, clock.now())):
                _publish(staged, path)
                return AdminKey(path, made=True)
        finally:
            staged.unlink(missing_ok=True)
        return await _check(database, pepper, path)


async def rotate_admin_key(
    database: Database, clock: Clock, pepper: bytes, data_dir: Path
) -> AdminKey:
    """Give the administrator a new key and revoke every earlier one for the whole organisation.

    A server that is running refuses the earlier ones after 5 seconds at most.

    Raises:
        WrongState: there is no installation yet.
        BadConfiguration: the key cannot be written.
    """
    path = data_dir / FILE_NAME
    secret = api_keys.make(api_keys.API_KEY)
    staged = _stage(path, secret)

    def rotate(tx: Transaction) -> None:
        if not tx.access.has_organisation():
            message = "there is no installation yet; its first start makes the key"
            raise WrongState(message, reason="NOT_INSTALLED", subject="installation")
        for key_id in tx.access.organisation_keys(ADMINISTRATOR):
            tx.access.revoke_key(key_id, clock.now())
        _add_key(tx, secret, pepper, clock.now())

    try:
        with acting_as("bootstrap"):
            await database.write(rotate)
        _publish(staged, path)
    finally:
        staged.unlink(missing_ok=True)
    return AdminKey(path, made=True)


def _found(tx: Transaction, secret: api_keys.Secret, pepper: bytes, now: int) -> bool:
    if not tx.access.found_organisation(ORGANISATION_ID, ORGANISATION_ID, now):
        return False
    tx.access.add_project(DEFAULT_PROJECT, ORGANISATION_ID, "Default project", now)
    tx.access.add_principal(ADMINISTRATOR, DEFAULT_PROJECT, now)
    tx.access.give_role(ADMINISTRATOR, ORGANISATION, Role.ADMIN)
    _add_key(tx, secret, pepper, now)
    return True


def _add_key(tx: Transaction, secret: api_keys.Secret, pepper: bytes, now: int) -> None:
    key = ApiKeyRow(
        key_id=secret.public_id,
        user=ADMINISTRATOR,
        project=ORGANISATION,
        role=Role.ADMIN,
        display_name="administrator's key",
        secret_digest=api_keys.digest(pepper, secret),
        created_at=now,
        expires_at=None,
        revoked_at=None,
    )
    tx.access.add_key(key)


def _stage(path: Path, secret: api_keys.Secret) -> Path:
    try:
        return private_files.stage(path, secret.text() + "\n")
    except OSError as error:
        raise _unwritable(path, error) from None


def _publish(staged: Path, path: Path) -> None:
    try:
        private_files.publish(staged, path)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> BadConfiguration:
    return BadConfiguration(f"cannot write the administrator's key to {path}: {error.strerror}")


async def _check(database: Database, pepper: bytes, path: Path) -> AdminKey:
    """Whether the file's key is one of this installation's that still works."""
    if not path.exists():  # noqa: ASYNC240 - once, at start
        problem = f"{path} is not there; where no other key is left, run: {NEW_KEY_COMMAND}"
        return AdminKey(path, problem=problem)
    secret = _read(path)
    if secret is not None:
        found = await database.read(lambda tx: tx.access.credential(secret.public_id))
        if found is not None and _works(found, secret, pepper):
            return AdminKey(path)
    problem = f"the key in {path} is not good for this database; for a new one: {NEW_KEY_COMMAND}"
    return AdminKey(path, problem=problem)


def _works(found: Credential, secret: api_keys.Secret, pepper: bytes) -> bool:
    return found.revoked_at is None and api_keys.matches(pepper, secret, found.secret_digest)


def _read(path: Path) -> api_keys.Secret | None:
    try:
        return api_keys.parse(api_keys.API_KEY, path.read_text("utf-8", "replace").strip())
    except OSError:
        return None
