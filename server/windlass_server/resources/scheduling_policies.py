"""How the scheduler decides: authorise, load, decide, store."""

from collections.abc import Callable, Iterator, Sequence

from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.access.policy import ORGANISATION, Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import FieldViolation, InvalidInput, WrongState
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.scheduling_policy_message import policy_of
from windlass_server.scheduler.policies import NO_POLICIES, Policies, Policy
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import EventRow, SchedulingPolicyRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import difference, merged, require_etag

CHANGEABLE = (
    "description", "priority_classes", "aging", "fair_share", "backfill", "preemption", "packing",
)  # fmt: skip
"""What an update may change."""

DEFAULT_POLICY = "default"
MAX_POLICIES = 1000
"""Each is read in every cycle of the scheduler."""

_QUERY = "scheduling policies"

Spec = scheduling_policy_pb2.SchedulingPolicy


class SchedulingPoliciesService:
    """The policies that somebody has set.

    Args:
        page_tokens: makes list tokens.
        changed: called when the scheduler has to decide otherwise.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        page_tokens: PageTokens,
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._page_tokens = page_tokens
        self._changed = changed

    async def list(
        self, who: Caller, *, size: int, token: str
    ) -> tuple[Sequence[SchedulingPolicyRow], str]:
        """A page of policies by id, and the token of the next one."""
        require(who, "policies.list", ORGANISATION)
        size = page_size(size)
        behind = self._page_tokens.read(_QUERY, token) if token else ""
        every = await self._database.read(lambda tx: tx.scheduling_policies.all())
        # Ids are ordered here, as an engine might order their points otherwise.
        found = sorted((one for one in every if one.policy_id > behind), key=_id)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(_QUERY, found[size - 1].policy_id)

    async def get(self, who: Caller, policy_id: str) -> SchedulingPolicyRow | None:
        """A policy; None for `default` while nobody has set it, NotFound for any other."""
        require(who, "policies.get", ORGANISATION)
        found = await self._database.read(lambda tx: tx.scheduling_policies.get(policy_id))
        if found is None and policy_id != DEFAULT_POLICY:
            raise absent("policy", policy_id)
        return found

    async def update(self, who: Caller, wanted: Spec, mask: Sequence[str]) -> SchedulingPolicyRow:
        """Set parts of a policy, which is made if need be. As it was: nothing is changed.

        Raises:
            InvalidInput: what is said makes no sense, or the mask names what cannot be changed.
            Conflict: it is not as `wanted.etag` says.
            WrongState: there are too many.
        """
        require(who, "policies.update", ORGANISATION)

        def store(tx: Transaction) -> SchedulingPolicyRow:
            tx.scheduling_policies.lock()
            old = tx.scheduling_policies.get(wanted.policy_id)
            require_etag("policy", old.version if old else 0, wanted.etag)
            before = Spec.FromString(old.spec if old else b"")
            spec = merged(before, wanted, mask, CHANGEABLE)
            _require_sound(tx, wanted.policy_id, spec)
            if old is not None and spec == before:
                return old
            stored = self._stored(tx, who, wanted.policy_id, old, spec)
            self._record(
                tx, who, "POLICY_SET", wanted.policy_id, difference(before, spec, CHANGEABLE)
            )
            return stored

        return await self._database.write(store)

    async def delete(self, who: Caller, policy_id: str, etag: str) -> SchedulingPolicyRow:
        """Remove a policy; returns it as it was.

        Raises:
            NotFound: nobody has set it.
            Conflict: it is not as `etag` says.
        """
        require(who, "policies.update", ORGANISATION)

        def store(tx: Transaction) -> SchedulingPolicyRow:
            tx.scheduling_policies.lock()
            old = tx.scheduling_policies.get(policy_id)
            if old is None:
                raise absent("policy", policy_id)
            require_etag("policy", old.version, etag)
            tx.scheduling_policies.remove(policy_id)
            said = difference(Spec.FromString(old.spec), Spec(), CHANGEABLE)
            self._record(tx, who, "POLICY_DELETED", policy_id, said)
            return old

        return await self._database.write(store)

    async def events(
        self, who: Caller, policy_id: str, *, size: int, token: str
    ) -> tuple[Sequence[EventRow], str]:
        """A page of what happened to a policy, oldest first, and the token of the next one."""
        require(who, "policies.update", ORGANISATION)
        size = page_size(size)
        query = f"scheduling policy events {policy_id}"
        after = int(self._page_tokens.read(query, token)) if token else 0
        found = await self._database.read(
            lambda tx: tx.events.page(_object_id(policy_id), after=after, size=size + 1)
        )
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, str(found[size - 1].sequence))

    def _stored(
        self,
        tx: Transaction,
        who: Caller,
        policy_id: str,
        old: SchedulingPolicyRow | None,
        spec: Spec,
    ) -> SchedulingPolicyRow:
        now = self._clock.now()
        values = {
            "spec": spec.SerializeToString(deterministic=True),
            # Begins with the time, so that no etag from before it was removed is good again.
            "version": old.version + 1 if old else now,
            "user": who.user,
            "updated_at": now,
        }
        if old is not None:
            tx.scheduling_policies.change(policy_id, **values)
            return changed(old, **values)
        if len(tx.scheduling_policies.all()) >= MAX_POLICIES:
            message = f"there are {MAX_POLICIES} policies, which is the most that there can be"
            raise WrongState(message, reason="TOO_MANY_POLICIES", subject="policies")
        values |= {"policy_id": policy_id, "created_at": now}
        tx.scheduling_policies.add(values)
        return row(SchedulingPolicyRow, values)

    def _record(self, tx: Transaction, who: Caller, reason: str, policy_id: str, said: str) -> None:
        tx.events.record(
            project=ORGANISATION,
            object_id=_object_id(policy_id),
            at=self._clock.now(),
            actor=who.user,
            status=0,
            reason=reason,
            message=said,
            run_id="",
        )
        tx.after_commit(self._changed)


class SchedulingPolicies:
    """The policies as the scheduler goes by them; made anew only when one was changed."""

    def __init__(self) -> None:
        self._rows: Sequence[SchedulingPolicyRow] = ()
        self._policies = NO_POLICIES

    def load(self, tx: Transaction) -> Policies:
        """All policies, within a transaction."""
        rows = tx.scheduling_policies.all()
        if rows != self._rows:
            self._policies, self._rows = _policies(rows), rows
        return self._policies


def _policies(rows: Sequence[SchedulingPolicyRow]) -> Policies:
    by_kind: dict[str, dict[str, Policy]] = {DEFAULT_POLICY: {}, "queue": {}, "pool": {}}
    for one in rows:
        kind, _, name = one.policy_id.partition(".")
        by_kind[kind][name] = policy_of(Spec.FromString(one.spec))
    return Policies(by_kind[DEFAULT_POLICY].get("", Policy()), by_kind["queue"], by_kind["pool"])


def _id(policy: SchedulingPolicyRow) -> str:
    return policy.policy_id


def _object_id(policy_id: str) -> str:
    """As events name it: no id of another kind begins like this."""
    return f"policy {policy_id}"


def _require_sound(tx: Transaction, policy_id: str, spec: Spec) -> None:
    """Refuse what the rules of single fields cannot say. Raises InvalidInput."""
    violations = tuple(_violations(tx, policy_id, spec))
    if violations:
        first = violations[0]
        message = f"{first.field} {first.description}"
        raise InvalidInput(message, reason=first.reason, violations=violations)


def _violations(tx: Transaction, policy_id: str, spec: Spec) -> Iterator[FieldViolation]:
    kind, _, name = policy_id.partition(".")
    if kind == "pool" and tx.pools.get(name) is None:
        yield FieldViolation("policy.policy_id", f"there is no pool {name!r}", "POOL_NOT_FOUND")
    yield from _in_classes(spec.priority_classes)
    yield from _in_weights(tx, spec.fair_share)


def _in_classes(said: scheduling_policy_pb2.PriorityClasses) -> Iterator[FieldViolation]:
    names, priorities = set[str](), set[int]()
    for index, one in enumerate(said.classes):
        field = f"policy.priority_classes.classes[{index}]"
        if one.name in names:
            yield FieldViolation(f"{field}.name", "is that of another one", "DUPLICATE_CLASS")
        if one.priority in priorities:
            text = "is that of another class"
            yield FieldViolation(f"{field}.priority", text, "DUPLICATE_PRIORITY")
        names.add(one.name)
        priorities.add(one.priority)


def _in_weights(tx: Transaction, said: scheduling_policy_pb2.FairShare) -> Iterator[FieldViolation]:
    owners = {("", "")}
    for index, weight in enumerate(said.weights):
        field = f"policy.fair_share.weights[{index}]"
        owner = weight.project, weight.user
        if owner in owners:
            yield (
                FieldViolation(field, "is of the same as another one", "DUPLICATE_WEIGHT")
                if any(owner)
                else FieldViolation(field, "names no project and no user", "WEIGHT_OF_NOBODY")
            )
        owners.add(owner)
        if weight.project and not tx.access.has_project(weight.project):
            text = f"there is no project {weight.project!r}"
            yield FieldViolation(f"{field}.project", text, "PROJECT_NOT_FOUND")
