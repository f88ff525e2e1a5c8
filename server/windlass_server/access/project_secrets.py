"""Secrets of projects: set, told of, deleted, and opened for the runs of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from windlass_server.access.keyring import Keyring, Place
from windlass_server.access.policy import Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import LostRace, WrongState
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import SecretRow, SecretVersionRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import require_etag

MAX_SECRETS = 1_000
"""Of a project."""
VERSIONS_KEPT = 10
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class SecretView:
    """A secret, and of the values that are kept what may be told; none where that is not asked for."""

    row: SecretRow
    versions: Sequence[SecretVersionRow] = ()


class SecretsService:
    """The secrets of all projects.

    Args:
        keyring: encrypts and decrypts them.
        page_tokens: makes list tokens.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
        keyring: Keyring,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens
        self._keyring = keyring

    async def put(
        self, who: Caller, project: str, name: str, value: bytes, *, etag: str = ""
    ) -> SecretView:
        """Set a secret: its next version; older ones than the last ten are dropped.

        Raises:
            Denied: the caller may not.
            NotFound: there is no such project.
            WrongState: TOO_MANY_SECRETS.
            Conflict: it is not as `etag` says.
        """
        require(who, "secrets.write", project)
        now, secret_id = self._clock.now(), self._ids.new("secret")

        def store(tx: Transaction) -> SecretView:
            if not tx.access.has_project(project):
                raise absent("project", project)
            old = tx.secrets.lock(project, name)
            there = old is not None and not old.deleted
            require_etag("secret", old.version if old is not None and there else 0, etag)
            if not there:
                _require_room(tx, project)
            version = old.version + 1 if old is not None else 1
            values = {
                "version": version,
                "size_bytes": len(value),
                "user": who.user,
                "updated_at": now,
                "deleted": False,
            } | ({} if there else {"created_at": now})
            if old is None:
                made = _made(
                    tx, values | {"project": project, "name": name, "secret_id": secret_id}
                )
            else:
                tx.secrets.change(project, name, **values)
                made = changed(old, **values)
            tx.secrets.add_version(self._version(made, value))
            tx.secrets.drop_versions(project, name, upto=version - VERSIONS_KEPT)
            self._note(tx, who.user, made, "SECRET_UPDATED" if there else "SECRET_CREATED")
            return SecretView(made, tx.secrets.versions(project, name))

        return await self._database.write(store)

    def _version(self, made: SecretRow, value: bytes) -> dict[str, Any]:
        return {
            "project": made.project,
            "name": made.name,
            "version": made.version,
            "key_id": self._keyring.current,
            "sealed": self._keyring.seal(Place(made.project, made.name, made.version), value),
            "size_bytes": len(value),
            "is_text": b"\0" not in value,
            "user": made.user,
            "created_at": made.updated_at,
        }

    async def get(self, who: Caller, project: str, name: str) -> SecretView:
        """What is known of a secret. Raises Denied and NotFound."""
        require(who, "secrets.get", project)

        def load(tx: Transaction) -> SecretView:
            found = _there(tx.secrets.get(project, name), name)
            return SecretView(found, tx.secrets.versions(project, name))

        return await self._database.read(load)

    async def list(
        self, who: Caller, project: str, *, size: int, token: str
    ) -> tuple[Sequence[SecretView], str]:
        """A page of a project's secrets, by name, and the token of the next one.

        Raises:
            Denied: the caller may not.
            NotFound: there is no such project.
        """
        require(who, "secrets.list", project)
        size = page_size(size)
        query = f"secrets {project}"
        after = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> Sequence[SecretRow]:
            if not tx.access.has_project(project):
                raise absent("project", project)
            return tx.secrets.page(project, after=after, size=size + 1)

        found = [SecretView(one) for one in await self._database.read(load)]
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].row.name)

    async def delete(self, who: Caller, project: str, name: str, *, etag: str = "") -> SecretView:
        """Remove a secret with all its values; answers what was known of it.

        Raises:
            Denied: the caller may not.
            NotFound: there is none.
            Conflict: it is not as `etag` says.
        """
        require(who, "secrets.write", project)

        def store(tx: Transaction) -> SecretView:
            old = _there(tx.secrets.lock(project, name), name)
            require_etag("secret", old.version, etag)
            view = SecretView(old, tx.secrets.versions(project, name))
            tx.secrets.change(project, name, deleted=True)
            tx.secrets.drop_versions(project, name, upto=old.version)
            self._note(tx, who.user, old, "SECRET_DELETED")
            return view

        return await self._database.write(store)

    def opened(self, version: SecretVersionRow) -> bytes:
        """The value of a version. Raises WrongState, SECRET_UNREADABLE."""
        place = Place(version.project, version.name, version.version)
        return self._keyring.open(place, version.key_id, version.sealed)

    async def seal_anew(self) -> int:
        """Encrypt under the current key what is encrypted under others; returns how many values that were.

        Those that cannot be opened stay as they are.
        """
        count, after = 0, ("", "", 0)
        while rows := await self._database.read(lambda tx: self._under_others(tx, after)):  # noqa: B023
            after = rows[-1].project, rows[-1].name, rows[-1].version
            count += await self._database.write(lambda tx: self._seal_some(tx, rows))
        return count

    def _under_others(
        self, tx: Transaction, after: tuple[str, str, int]
    ) -> Sequence[SecretVersionRow]:
        return tx.secrets.under_other_keys(self._keyring.current, after=after, size=_AT_ONCE)

    def _seal_some(self, tx: Transaction, rows: Sequence[SecretVersionRow]) -> int:
        count = 0
        for one in rows:
            try:
                value = self.opened(one)
            except WrongState:
                continue
            sealed = self._keyring.seal(Place(one.project, one.name, one.version), value)
            tx.secrets.seal_anew(one, key_id=self._keyring.current, sealed=sealed)
            count += 1
        return count

    def _note(self, tx: Transaction, user: str, secret: SecretRow, reason: str) -> None:
        tx.events.record(
            project=secret.project,
            object_id=secret.secret_id,
            at=self._clock.now(),
            actor=user,
            status=0,
            reason=reason,
            message=f"secret {secret.name}, version {secret.version}",
            run_id="",
        )


def _there(secret: SecretRow | None, name: str) -> SecretRow:
    if secret is None or secret.deleted:
        raise absent("secret", name)
    return secret


def _require_room(tx: Transaction, project: str) -> None:
    if tx.secrets.count(project) >= MAX_SECRETS:
        message = f"the project has {MAX_SECRETS} secrets, which is the most that it can have"
        raise WrongState(message, reason="TOO_MANY_SECRETS", subject=project)


def _made(tx: Transaction, values: dict[str, Any]) -> SecretRow:
    if not tx.secrets.add(values):
        message = f"somebody else has just set {values['name']!r}"
        raise LostRace(message, reason="SECRET_CHANGED")
    return row(SecretRow, values)
