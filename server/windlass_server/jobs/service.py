"""Submits jobs and acts on them: authorise, load, decide, store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server.access import quota_use
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock
from windlass_server.errors import Conflict, InvalidInput, WindlassError
from windlass_server.idempotency import remember_all
from windlass_server.ids import IdSource
from windlass_server.jobs import array_spec, queue_use, rules
from windlass_server.jobs.dependency_rules import Edge, Held
from windlass_server.jobs.elsewhere import Elsewhere
from windlass_server.jobs.holding import edges_of, end_by_of, hold_of, require_time, start_after_of
from windlass_server.jobs.inside import require_inside
from windlass_server.jobs.lineage import First, Lineage
from windlass_server.jobs.moves import move
from windlass_server.jobs.notifying import told_of
from windlass_server.jobs.places import place_columns, rules_in, spread_in
from windlass_server.jobs.queue_rules import (
    Queue,
    in_queue,
    require_allowed,
    require_open,
    require_within,
    said_of,
)
from windlass_server.jobs.singletons import Turns, key_of
from windlass_server.jobs.source_rules import requirement_violations
from windlass_server.jobs.sources import use_sources
from windlass_server.jobs.states import Event, Status, leave
from windlass_server.jobs.wanted import Seen, Wanted, earlier_jobs, look
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.gpu_asks import gpu_count_of
from windlass_server.resources.gpu_sharing import require_sharing
from windlass_server.resources.pooling import require_usable
from windlass_server.scheduler.quota import AMOUNTS, Dimension
from windlass_server.scheduler.snapshot import Demand, Topology
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import row as new_row
from windlass_server.storage.tables import EventRow, JobRow
from windlass_server.storage.transaction import Transaction

_FIRST = First()
# Which field asks for what a quota counts.
_FIELDS = {
    Dimension.GPU: "job.resources.gpu_count",
    Dimension.CPU: "job.resources.cpu_millis",
    Dimension.MEMORY: "job.resources.memory_bytes",
    Dimension.RUNNING: "job.project",
}


@dataclass(frozen=True, slots=True)
class JobHints:
    """Whom to wake when something changed; correctness never depends on it."""

    job_queued: Callable[[str], None]
    runs_changed: Callable[[str], None]
    job_held: Callable[[], None] = lambda: None
    array_changed: Callable[[str], None] = lambda _job_id: None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that may be added.

    Attributes:
        wanted: as its caller asks for it.
        columns: of its row, but for what keeps it out of the queue.
        cluster_id: the other cluster that is to have it; empty for none.
    """

    wanted: Wanted
    columns: dict[str, Any]
    cluster_id: str


@dataclass(frozen=True, slots=True)
class _Added:
    """A job as it is added, and whom it waits for."""

    new: NewJob
    job: JobRow
    edges: Sequence[Edge]

    @classmethod
    def of(cls, tx: Transaction, new: NewJob, turns: Turns) -> "_Added":
        held, edges = _held(tx, new.wanted.full, new.columns, turns)
        new.wanted.lineage.require_waits(tx, new.wanted.full, edges)
        columns = new.columns | held | new.wanted.lineage.columns(tx)
        return cls(new, new_row(JobRow, columns), edges)

    def array(self) -> dict[str, Any]:
        """The row of an array beside its job's."""
        return {
            "array_job_id": self.job.job_id,
            "total": self.job.array_count,
            "parallel": self.new.wanted.full.array.parallel,
            "resumes": self.new.wanted.lineage.resumes,
        }


class JobsService:
    """The jobs of all projects.

    Args:
        database: where jobs live.
        cluster: what nodes there are, to refuse jobs that can never run.
        hints: whom to wake.
        page_tokens: makes list tokens.
        elsewhere: the other clusters.
    """

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
        hints: JobHints,
        elsewhere: Elsewhere,
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._elsewhere = elsewhere
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens
        self._hints = hints

    async def submit(
        self,
        who: Caller,
        spec: job_pb2.Job,
        *,
        request_id: str = "",
        validate_only: bool = False,
        lineage: Lineage = _FIRST,
    ) -> JobRow:
        """Accept a job whose project the caller may submit to.

        Args:
            who: the caller; it has been authorised for the spec's project.
            spec: the caller's fields of a job, valid by the rules in the protos; not changed.
            request_id: makes the call idempotent.
            validate_only: check everything, write nothing, answer the job as it would be.
            lineage: the job that it retries, if it does.

        Raises:
            InvalidInput: too large, also for its queue, UNSATISFIABLE_RESOURCES, EXCEEDS_QUOTA, or there is no
                such pool.
            Exhausted: as many jobs wait as may.
            Denied: its project may not use the pool, or any; the queue or the reservation is for others.
            NotFound: there is no such project, queue, reservation or archive, or no such job as one that it
                waits for.
            WrongState: its queue is closed, or its reservation over.
            Conflict: `request_id` was used for another job.
        """
        wanted = wanted_of(who, spec, lineage, request_id)
        (seen,) = await self._database.read(lambda tx: look(tx, who, [wanted]))
        if isinstance(seen, WindlassError):
            raise seen
        # An answer that was given stays it, whatever has become of the cluster meanwhile.
        if seen.earlier is not None:
            return seen.earlier
        new = await self.admit(who, wanted, seen)
        if validate_only:
            waiting = quota_use.one_job(wanted.full.project, who.user, Dimension.QUEUED)
            quota_use.require_allowed(seen.use, waiting)
            queue = wanted.full.queue
            await self._database.read(lambda tx: queue_use.require_waiting(tx, queue, who.user))
            held, _ = await self._database.read(
                lambda tx: _held(tx, wanted.full, new.columns, Turns(tx))
            )
            return new_row(JobRow, new.columns | held | {"job_id": ""})
        (job,) = await self._database.write(lambda tx: self.add_all(tx, [new]))
        return job

    async def admit(self, who: Caller, wanted: Wanted, seen: Seen) -> NewJob:
        """Find that a job that is wanted may be added. Raises as `submit`."""
        wanted = _in_its_queue(who, wanted, seen)
        full, pools = wanted.full, seen.pools
        quota_use.require_priority(seen.use, full.project, who.user, full.priority)
        require_time(full, self._clock.now())
        if full.reservation_id:
            now = self._clock.now()
            await self._database.read(lambda tx: require_inside(tx, who.user, full, now))
        usable = require_usable(full.project, full.pool, pools, "job.pool")
        array = full.HasField("array")
        # An array stays here.
        if array or not self._elsewhere.could_hold(full):
            require_sharing(full.resources.gpu_millis, usable, pools, "job.resources.gpu_millis")
            demand = _demand(full, usable, who.user)
            await self._cluster.require_satisfiable(demand)
            least = await self._cluster.least_asks(demand)
            quota_use.require_ever_allowed(seen.use, least, _fields(demand))
        cluster_id = "" if array or _is_paused(seen) else self._elsewhere.preferred(full)
        return NewJob(wanted, self._columns(who, full), cluster_id)

    def add_all(self, tx: Transaction, news: Sequence[NewJob]) -> list[JobRow]:
        """Add jobs, all or none; those whose request has come twice at once are there already.

        Raises:
            Conflict: a request id was used for another job.
            Exhausted: as many jobs wait as may.
            WrongState: the queue was closed meanwhile.
            NotFound: it was removed meanwhile.
        """
        before: list[JobRow | None] = []
        for new, was in zip(
            news, earlier_jobs(tx, [one.wanted.asked for one in news]), strict=True
        ):
            if isinstance(was, Conflict):
                raise was
            before.append(was or new.wanted.live(tx))
        fresh = [new for new, was in zip(news, before, strict=True) if was is None]
        turns = Turns.held(tx, [key_of(one.columns, one.wanted.full) for one in fresh])
        added = [_Added.of(tx, new, turns) for new in fresh]
        self._add(tx, added)
        specs = [(one.job.job_id, one.new.wanted.full) for one in added]
        use_sources(tx, specs, self._clock.now())
        jobs = iter([self._begun(tx, one) for one in added])
        return [next(jobs) if was is None else was for was in before]

    def _add(self, tx: Transaction, added: Sequence[_Added]) -> None:
        queue_use.take_waiting(tx, [(one.job.queue, one.job.user) for one in added])
        tx.jobs.add_all([(vars(one.job), one.new.wanted.full.labels) for one in added])
        tx.arrays.add_all([one.array() for one in added if one.job.array_count])
        for one in added:
            tx.dependencies.add(one.job.job_id, one.edges)
            if one.new.wanted.lineage.follow(tx, one.job):
                tx.after_commit(self._hints.job_held)
            waiting = quota_use.one_job(one.job.project, one.job.user, Dimension.QUEUED)
            quota_use.take(tx, waiting)
        tx.webhooks.name(
            [
                (one.job.job_id, *told)
                for one in added
                for told in told_of(one.new.wanted.full.notifications)
            ]
        )
        tx.events.record_all([event for one in added for event in _first_events(one)])
        remember_all(
            tx, [(one.new.wanted.asked, one.job.job_id, one.job.created_at) for one in added]
        )

    def _begun(self, tx: Transaction, one: _Added) -> JobRow:
        """Have a job that was added waited for, or give it to another cluster; as it is then."""
        if one.job.held == Held.INDICES:
            tx.after_commit(partial(self._hints.array_changed, one.job.job_id))
            return one.job
        if one.job.held:
            tx.after_commit(self._hints.job_held)
            return one.job
        tx.after_commit(partial(self._hints.job_queued, one.job.job_id))
        cluster_id = one.new.cluster_id
        return self._elsewhere.place(tx, one.job, cluster_id) if cluster_id else one.job

    async def cancel(self, who: Caller, job_id: str, *, reason: str, force: bool = False) -> JobRow:
        """Stop a job; a job that is being stopped or was cancelled stays as it is.

        Args:
            who: the caller.
            job_id: the job.
            reason: why, in the caller's words; empty for none.
            force: without the grace period; also what is being stopped already.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it has ended otherwise.
        """

        def decide(tx: Transaction) -> JobRow:
            job = tx.jobs.lock(job_id)
            if job is None:
                raise absent("job", job_id)
            require_object(who, "jobs.cancel", job.project, kind="job", object_id=job_id)
            array = bool(job.array_count)
            status, stops = leave(job.status, Event.CANCEL, job_id, frozen=job.frozen, array=array)
            kills = force and status is Status.CANCELLING
            if status == job.status and not kills:
                return job
            at_once = " at once" if kills else ""
            message = f"cancelled{at_once} by {who.user}" + (f": {reason}" if reason else "")
            if array:
                tx.arrays.change(job_id, forced=force)
                tx.after_commit(partial(self._hints.array_changed, job_id))
            elif (stops or kills) and not self._stop_runs(tx, job, force=force):
                return job
            return move(
                tx,
                job,
                status,
                reason="CANCEL_REQUESTED",
                message=message,
                actor=who.user,
                at=self._clock.now(),
            )

        return await self._database.write(decide)

    def _stop_runs(self, tx: Transaction, job: JobRow, *, force: bool) -> bool:
        """Ask for the end of a job's runs; whether that is new to any of them."""
        ask = tx.runs.want_all_killed if force else tx.runs.want_all_stopped
        node_ids = ask(job.job_id, job.attempt, self._clock.now())
        for node_id in node_ids:
            tx.after_commit(partial(self._hints.runs_changed, node_id))
        if job.status == Status.CANCELLING:
            return bool(node_ids)
        self._elsewhere.stop(tx, job)
        return True

    async def events(
        self, who: Caller, job_id: str, *, size: int, token: str
    ) -> tuple[Sequence[EventRow], str]:
        """A page of what happened to a job, oldest first, and the token of the next one."""
        size = page_size(size)
        query = f"job events {job_id}"
        after_sequence = int(self._page_tokens.read(query, token)) if token else 0

        def load(tx: Transaction) -> Sequence[EventRow]:
            job = tx.jobs.get(job_id)
            if job is None:
                raise absent("job", job_id)
            require_object(who, "jobs.get", job.project, kind="job", object_id=job_id)
            return tx.events.page(job_id, after=after_sequence, size=size + 1)

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, str(found[size - 1].sequence))

    def _columns(self, who: Caller, full: job_pb2.Job) -> dict[str, Any]:
        reason, message = self._cluster.first_reason()
        resources = full.resources
        return {
            "job_id": self._ids.new("job"),
            "project": full.project,
            "name": full.name,
            "user": who.user,
            "queue": full.queue,
            "priority": full.priority,
            "status": int(Status.QUEUED),
            "status_reason": reason,
            "status_message": message,
            "version": 1,
            "spec": full.SerializeToString(),
            "cpu_millis": resources.cpu_millis,
            "memory_bytes": resources.memory_bytes,
            "gpu_count": resources.gpu_count,
            "gpu_type": resources.gpu_type,
            "mig_profile": resources.mig_profile,
            "gpu_memory_bytes": resources.gpu_memory_bytes,
            "gpu_millis": resources.gpu_millis,
            "min_isolation": full.min_isolation,
            "preemptible": full.preemptible,
            "pool": full.pool,
            "longest_run": _longest_run(full),
            "asked_priority": None,
            "start_after": start_after_of(full),
            "end_by": end_by_of(full),
            "frozen": False,
            "held": int(Held.NOTHING),
            "eligible_at": None,
            **place_columns(full),
            "nodes": max(full.nodes, 1),
            "min_nodes": full.min_nodes or max(full.nodes, 1),
            "topology_required": full.topology.required,
            "topology_preferred": full.topology.preferred,
            "ranks": None,
            "verdict": None,
            "retry_of": None,
            "root_job_id": None,
            "checkpoint_of": None,
            "array_job_id": None,
            "array_index": None,
            "array_count": array_spec.array_count(full),
            "retries": 0,
            "attempt": 0,
            "run_id": "",
            "node_id": "",
            "gpu_uuids": "",
            "cluster": "",
            "remote_job_id": "",
            "isolation": b"",
            "checkpoint": None,
            "exit_code": None,
            "exit_signal": None,
            "created_at": self._clock.now(),
            "started_at": None,
            "ended_at": None,
        }


_COPIED = (
    "template",
    "spread",
    "start_after",
    "deadline",
    "topology",
    "retry",
    "environment",
    "time_limit",
    "source",
    "python",
    "array",
)
"""Messages of a job that stay what they are, and unset where they are."""


def with_defaults(spec: job_pb2.Job, default_project: str) -> job_pb2.Job:
    """A copy with only the caller's fields, and with what the caller left out."""
    full = job_pb2.Job(
        project=spec.project or default_project,
        name=spec.name or (rules.default_name(spec.command[0]) if spec.command else "script"),
        labels=spec.labels,
        annotations=spec.annotations,
        queue=spec.queue or rules.DEFAULT_QUEUE,
        priority=spec.priority if spec.HasField("priority") else None,
        command=spec.command,
        script=spec.script,
        resources=spec.resources,
        min_isolation=spec.min_isolation,
        preemptible=spec.preemptible if spec.HasField("preemptible") else True,
        pool=spec.pool,
        dependencies=spec.dependencies,
        gpu_types=spec.gpu_types,
        exclusive_node=spec.exclusive_node,
        debug_mode=spec.debug_mode,
        reservation_id=spec.reservation_id,
        nodes=spec.nodes,
        min_nodes=spec.min_nodes,
        notifications=spec.notifications,
    )
    if spec.constraints.node_labels:
        full.constraints.CopyFrom(spec.constraints)
    for name in _COPIED:
        if spec.HasField(name):
            getattr(full, name).CopyFrom(getattr(spec, name))
    if spec.HasField("grace_period"):
        full.grace_period.CopyFrom(spec.grace_period)
    else:
        full.grace_period.seconds = rules.DEFAULT_GRACE_SECONDS
    full.resources.cpu_millis = full.resources.cpu_millis or rules.DEFAULT_CPU_MILLIS
    full.resources.memory_bytes = full.resources.memory_bytes or rules.DEFAULT_MEMORY_BYTES
    full.resources.gpu_count = gpu_count_of(full.resources)
    # No rule bounds what the contract does not know, and nobody would ever read it.
    full.DiscardUnknownFields()
    return full


def wanted_of(who: Caller, spec: job_pb2.Job, lineage: Lineage, request_id: str) -> Wanted:
    """What a caller asks for. Raises InvalidInput for what is too large."""
    violations = rules.size_violations(
        list(spec.command), spec.environment.variables, spec.annotations
    )
    if violations:
        message = "the job is too large"
        raise InvalidInput(message, reason="INVALID_FIELDS", violations=violations)
    violations = requirement_violations(spec.python.requirements)
    if violations:
        message = "the job's Python requirements cannot be read"
        raise InvalidInput(message, reason="REQUIREMENT_INVALID", violations=violations)
    full = with_defaults(spec, who.default_project)
    if full.HasField("array"):
        array_spec.complete(full.array)
        array_spec.require_room(full)
    given = frozenset(field.name for field, _ in spec.ListFields())
    return Wanted(full, lineage.asked(who.user, request_id, full), lineage, given)


def _in_its_queue(who: Caller, wanted: Wanted, seen: Seen) -> Wanted:
    """The same with what its queue gives it. Raises as `JobsService.submit` for what that does not let in."""
    assert seen.queue is not None
    queue_id, said = seen.queue.queue_id, said_of(seen.queue)
    require_allowed(queue_id, said, who, wanted.full.project)
    require_open(queue_id, said)
    full = in_queue(wanted.full, wanted.given, said)
    require_within(queue_id, said, full)
    return replace(wanted, full=full)


def _is_paused(seen: Seen) -> bool:
    """Whether nothing of its queue starts, here or elsewhere."""
    return seen.queue is not None and said_of(seen.queue).state == Queue.PAUSED


def _first_events(one: _Added) -> list[dict[str, Any]]:
    """What is noted of a new job."""
    submitted = _submitted(one)
    if not one.new.wanted.full.debug_mode:
        return [submitted]
    message = "its nodes keep the folders of its runs, and tell in its log what they do"
    return [submitted, submitted | {"reason": "DEBUG_MODE", "message": message}]


def _submitted(one: _Added) -> dict[str, Any]:
    """The first event of a job."""
    job = one.job
    return {
        "project": job.project,
        "object_id": job.job_id,
        "at": job.created_at,
        "actor": job.user,
        "status": int(Status.QUEUED),
        "reason": "SUBMITTED",
        "message": one.new.wanted.lineage.message,
        "run_id": "",
    }


def _held(
    tx: Transaction, full: job_pb2.Job, columns: dict[str, Any], turns: Turns
) -> tuple[dict[str, Any], Sequence[Edge]]:
    """The columns of what keeps a new job out of the queue, and whom it waits for."""
    edges = [*edges_of(tx, full), *turns.edges(columns, full)]
    array = bool(columns["array_count"])
    hold = hold_of(edges, columns["start_after"], columns["created_at"], array=array)
    if hold.by is Held.NOTHING:
        return {}, edges
    words = {"status_reason": hold.reason, "status_message": hold.message}
    return {"held": int(hold.by)} | words, edges


def _demand(full: job_pb2.Job, pools: tuple[str, ...] | None, user: str) -> Demand:
    return Demand(
        job_id="",
        priority=full.priority,
        cpu_millis=full.resources.cpu_millis,
        memory_bytes=full.resources.memory_bytes,
        gpu_count=full.resources.gpu_count,
        gpu_type=full.resources.gpu_type,
        mig_profile=full.resources.mig_profile,
        gpu_memory_bytes=full.resources.gpu_memory_bytes,
        min_isolation=full.min_isolation,
        order="",
        pools=pools,
        project=full.project,
        user=user,
        gpu_millis=full.resources.gpu_millis,
        gpu_types=tuple(full.gpu_types),
        labels=rules_in(full.constraints),
        exclusive=full.exclusive_node,
        apart=spread_in(full),
        reservation=full.reservation_id,
        nodes=max(full.nodes, 1),
        whole_cards=full.nodes > 1,
        min_nodes=full.min_nodes or max(full.nodes, 1),
        topology=Topology(full.topology.required, full.topology.preferred),
    )


def _fields(demand: Demand) -> Mapping[Dimension, str]:
    """Which field asks for what a quota counts; whoever has a node alone gets what there is on it."""
    if not demand.exclusive:
        return _FIELDS
    return _FIELDS | dict.fromkeys(AMOUNTS, "job.exclusive_node")


def _longest_run(full: job_pb2.Job) -> int | None:
    """How long a run of a job may last, with its grace, in microseconds; None: for ever."""
    if not full.HasField("time_limit"):
        return None
    return full.time_limit.ToMicroseconds() + full.grace_period.ToMicroseconds()
