"""How much projects and users may have: authorise, load, decide, store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from windlass.access.v1 import quota_pb2
from windlass_server.access.policy import ORGANISATION, Caller, absent, may, require, require_object
from windlass_server.access.quota_fields import CHANGEABLE, KEPT, columns_of, require_sound, spec_of
from windlass_server.access.quota_use import counted, is_exceeded, quota_of
from windlass_server.clock import Clock
from windlass_server.errors import AlreadyExists, WrongState
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens, page_size
from windlass_server.scheduler.quota import Dimension, Quota, Use
from windlass_server.scheduler.quota_words import said_text
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import EventRow, QuotaRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import merged, require_etag, require_same

MAX_QUOTAS = 5_000
"""The scheduler reads all of them in each cycle."""

# How their ids begin, and no others.
_ID = "quota-"


@dataclass(frozen=True, slots=True)
class QuotaFilter:
    """Which quotas a list asks for; empty values ask for all."""

    project: str = ""
    user: str = ""
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class QuotaView:
    """A quota, and what all have of what is lent."""

    row: QuotaRow
    quota: Quota
    use: Use


class QuotasService:
    """The quotas of all projects.

    Args:
        page_tokens: makes list tokens.
        quotas_changed: called when somebody may have more, or less.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
        quotas_changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens
        self._quotas_changed = quotas_changed

    async def list(
        self, who: Caller, wanted: QuotaFilter, *, size: int, token: str
    ) -> tuple[Sequence[QuotaView], str]:
        """A page of quotas, oldest first, and the token of the next one.

        Without a project those of every project that the caller has a role in.

        Raises:
            NotFound: there is no such project.
            Denied: the caller has no role in it.
        """
        if wanted.project:
            require(who, "quotas.list", wanted.project)
        size = page_size(size)
        query = f"quotas {wanted}"
        after = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> list[QuotaView]:
            if wanted.project and not tx.access.has_project(wanted.project):
                raise absent("project", wanted.project)
            rows = tx.quotas.all()
            use = Use(map(quota_of, rows))
            found = [one for one in rows if one.quota_id > after and _is_asked(who, wanted, one)]
            return [QuotaView(one, quota_of(one), use) for one in found[: size + 1]]

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].row.quota_id)

    async def get(self, who: Caller, quota_id: str) -> QuotaView:
        """A quota; NotFound also when it is foreign."""

        def load(tx: Transaction) -> QuotaView:
            found = _found(tx.quotas.get(quota_id), quota_id)
            require_object(who, "quotas.get", found.project, kind="quota", object_id=quota_id)
            return _view(tx, found)

        return await self._database.read(load)

    async def create(self, who: Caller, wanted: quota_pb2.Quota) -> QuotaView:
        """Make a quota, which counts what its owner has already.

        Raises:
            NotFound: there is no such project.
            AlreadyExists: QUOTA_EXISTS, its owner has one.
            InvalidInput: it makes no sense, with everything that does not.
            WrongState: there are too many.
        """
        require(who, "quotas.create", ORGANISATION)
        spec = quota_pb2.Quota()
        spec.CopyFrom(wanted)
        spec.project = spec.project or who.default_project
        require_sound(spec)
        now = self._clock.now()
        columns = columns_of(spec) | {
            "quota_id": self._ids.new("quota"),
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }

        def store(tx: Transaction) -> QuotaView:
            if not tx.access.has_project(spec.project):
                raise absent("project", spec.project)
            if len(tx.quotas.all()) >= MAX_QUOTAS:
                message = f"there are {MAX_QUOTAS} quotas, which is the most that there can be"
                raise WrongState(message, reason="TOO_MANY_QUOTAS", subject="quotas")
            values = columns | _used(tx, row(QuotaRow, columns | _UNUSED))
            if not tx.quotas.add(values):
                raise _exists(tx, spec)
            made = row(QuotaRow, values)
            self._note(tx, who, made, "QUOTA_CREATED")
            return _view(tx, made)

        return await self._database.write(store)

    async def update(self, who: Caller, wanted: quota_pb2.Quota, mask: Sequence[str]) -> QuotaView:
        """Change what a quota allows, also to less than is held; as it was: nothing is.

        Raises:
            NotFound: there is none of that id.
            InvalidInput: it makes no sense, or the mask names a field that cannot be changed.
            Conflict: it is not as `wanted.etag` says.
        """
        require(who, "quotas.update", ORGANISATION)

        def store(tx: Transaction) -> QuotaView:
            old = _found(tx.quotas.lock(wanted.quota_id), wanted.quota_id)
            require_etag("quota", old.version, wanted.etag)
            before = spec_of(old)
            require_same(before, wanted, mask, KEPT, "quota")
            spec = merged(before, wanted, mask, CHANGEABLE)
            if spec == before:
                return _view(tx, old)
            require_sound(spec)
            now = changed(old, **columns_of(spec))
            values = columns_of(spec) | {
                "lowered": is_exceeded(quota_of(now)),
                "version": old.version + 1,
                "updated_at": self._clock.now(),
            }
            tx.quotas.change(old.quota_id, **values)
            now = changed(old, **values)
            self._note(tx, who, now, "QUOTA_UPDATED")
            return _view(tx, now)

        return await self._database.write(store)

    async def delete(self, who: Caller, quota_id: str, etag: str) -> QuotaView:
        """Remove a quota; returns it as it was.

        Raises:
            NotFound: there is none of that id.
            Conflict: it is not as `etag` says.
        """
        require(who, "quotas.delete", ORGANISATION)

        def store(tx: Transaction) -> QuotaView:
            old = _found(tx.quotas.lock(quota_id), quota_id)
            require_etag("quota", old.version, etag)
            view = _view(tx, old)
            tx.quotas.remove(quota_id)
            self._note(tx, who, old, "QUOTA_DELETED")
            return view

        return await self._database.write(store)

    async def events(
        self, who: Caller, quota_id: str, *, size: int, token: str
    ) -> tuple[Sequence[EventRow], str]:
        """A page of what happened to a quota, oldest first, and the token of the next one.

        Raises:
            NotFound: there never was such a quota, or it is foreign.
        """
        size = page_size(size)
        query = f"quota events {quota_id}"
        after = int(self._page_tokens.read(query, token)) if token else 0

        def load(tx: Transaction) -> Sequence[EventRow]:
            # Of which project it was, an event says also when it is gone.
            first = tx.events.page(quota_id, after=0, size=1)
            if not quota_id.startswith(_ID) or not first:
                raise absent("quota", quota_id)
            require_object(who, "quotas.get", first[0].project, kind="quota", object_id=quota_id)
            return tx.events.page(quota_id, after=after, size=size + 1)

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, str(found[size - 1].sequence))

    def _note(self, tx: Transaction, who: Caller, quota: QuotaRow, reason: str) -> None:
        tx.events.record(
            project=quota.project,
            object_id=quota.quota_id,
            at=self._clock.now(),
            actor=who.user,
            status=0,
            reason=reason,
            message=said_text(quota_of(quota)),
            run_id="",
        )
        tx.after_commit(self._quotas_changed)


_UNUSED: dict[str, Any] = {f"used_{one}": 0 for one in Dimension} | {"lowered": False}


def _used(tx: Transaction, made: QuotaRow) -> dict[str, Any]:
    """What its owner has already, while nobody can change that."""
    quota = quota_of(made)
    now = replace(quota, used=counted(tx, quota))
    return {f"used_{one}": amount for one, amount in now.used.items()} | {
        "lowered": is_exceeded(now)
    }


def _view(tx: Transaction, found: QuotaRow) -> QuotaView:
    others = [
        quota_of(one) for one in tx.quotas.of(found.project) if one.quota_id != found.quota_id
    ]
    quota = quota_of(found)
    return QuotaView(found, quota, Use([*others, quota]))


def _is_asked(who: Caller, wanted: QuotaFilter, found: QuotaRow) -> bool:
    return (
        wanted.project in ("", found.project)
        and wanted.user in ("", found.user)
        and wanted.gpu_type.casefold() in ("", found.gpu_key)
        and may(who, "quotas.list", found.project)
    )


def _found(quota: QuotaRow | None, quota_id: str) -> QuotaRow:
    if quota is None:
        raise absent("quota", quota_id)
    return quota


def _exists(tx: Transaction, spec: quota_pb2.Quota) -> AlreadyExists:
    there = tx.quotas.of_owner(spec.project, spec.user, spec.gpu_type.casefold())
    assert there is not None
    message = f"there is a quota of that project, user and GPU type already: {there.quota_id}"
    return AlreadyExists(message, reason="QUOTA_EXISTS", quota_id=there.quota_id)
