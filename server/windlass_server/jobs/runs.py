"""Runs, as their nodes report them and as the server wants them.

The session of a node calls `report` for whatever its agent says of a run, and sends what
`directives` says the server wants. Both are about states to be in, so that repeats, gaps and
reordering between them do no harm.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass_server import actors
from windlass_server.clock import Clock
from windlass_server.errors import Conflict, QuotaExceeded
from windlass_server.ids import IdSource
from windlass_server.jobs import rules
from windlass_server.jobs.directives import directive, forget
from windlass_server.jobs.ends import end_run
from windlass_server.jobs.moves import move
from windlass_server.jobs.placing import Placing, Planned, place_jobs
from windlass_server.jobs.preemptions import stop_for
from windlass_server.jobs.preparing import note_preparing
from windlass_server.jobs.reports import Listeners, Reported, take_reports
from windlass_server.jobs.run_secrets import Opened, Refusal, RunSecrets
from windlass_server.jobs.states import LEAVING, Status
from windlass_server.objects.logs import LogStore
from windlass_server.scheduler.plan import Placement
from windlass_server.scheduler.preemption import Eviction
from windlass_server.storage.duties import SCHEDULER
from windlass_server.storage.engine import Database
from windlass_server.storage.gathering import Gathering, Readings
from windlass_server.storage.tables import JobRow, RemoteRunRow, RunRow
from windlass_server.storage.together import write_together
from windlass_server.storage.transaction import Transaction

AnyRun = RunRow | RemoteRunRow
"""One attempt of a job, on a node or at another cluster."""
_State = agent_pb2.RunReport
_Want = agent_pb2.RunDirective
_GONE = "the node does not know the run any more; what it had not sent of its output is gone"
_SHORT = "the node has less of the run's output than it had sent; what it had not sent is gone"


class RunsService:
    """Places runs, takes their nodes' reports, and says what the server wants of them.

    Args:
        capacity_freed: called when resources have become free.
        job_started: called when the command of a job has begun to run.
        runs_changed: called with the id of a node whose directives have changed.
        secrets: opens secrets for runs.
        preempted: called with how many jobs were stopped for another.
    """

    def __init__(
        self,
        database: Database,
        logs: LogStore,
        clock: Clock,
        ids: IdSource,
        *,
        capacity_freed: Callable[[], None],
        runs_changed: Callable[[str], None],
        secrets: Opened,
        job_started: Callable[[], None] = lambda: None,
        preempted: Callable[[int], None] = lambda _jobs: None,
    ) -> None:
        self._preempted = preempted
        self._secrets = RunSecrets(database, secrets)
        self._database = database
        self._logs = logs
        self._clock = clock
        self._ids = ids
        self._capacity_freed = capacity_freed
        self._runs_changed = runs_changed
        self._job_started = job_started
        # Runs whose exit is known and whose log is not complete yet, and how long that will be.
        self._awaiting_log: dict[str, tuple[RunRow, int]] = {}
        listeners = Listeners(job_started, capacity_freed, runs_changed)
        self._reports = Gathering[Reported, RunRow | None](
            database,
            lambda tx, some: take_reports(tx, some, clock.now(), listeners),
            actor="runs",
        )
        self._forgets = Gathering[str, None](database, _forget_all, actor="runs")
        self._known = Readings[str, Sequence[Any]](database, _known_to, actor="runs")
        self._runs = Readings[str, RunRow | None](database, _of_ids, actor="runs")

    async def place(self, placement: Placement, *, attempt: int, version: int, epoch: int) -> bool:
        """Give one waiting job its place, as `place_all` does."""
        (placed,) = await self.place_all([Planned(placement, attempt, version)], epoch=epoch)
        return placed

    async def place_all(self, planned: Sequence[Planned], *, epoch: int) -> list[bool]:
        """Give waiting jobs their places; False for each of which the world has changed since the plan.

        Args:
            planned: the jobs, each once.
            epoch: of the scheduler that planned it; all are refused when there is a newer one.
        """
        run_ids = {
            one.placement.job_id: [self._ids.new("run") for _ in one.placement.places]
            for one in planned
        }

        def store(tx: Transaction, some: Sequence[Planned]) -> list[bool]:
            if not tx.duties.is_in(SCHEDULER, epoch):
                return [False] * len(some)
            jobs = {job.job_id: job for job in tx.jobs.lock_all([one.job_id for one in some])}
            placings = [
                Placing(job, one.placement, run_ids[one.job_id], one.attempt)
                for one in some
                if (job := jobs.get(one.job_id)) is not None and one.is_of(job)
            ]
            place_jobs(tx, placings, self._clock.now())
            nodes = {place.node_id for one in placings for place in one.placement.places}
            tx.after_commit(lambda: self._tell(sorted(nodes)))
            placed = {one.job.job_id for one in placings}
            return [one.job_id in placed for one in some]

        placed = []
        for answer in await write_together(self._database, planned, store):
            if isinstance(answer, Exception) and not isinstance(answer, Conflict | QuotaExceeded):
                raise answer
            placed.append(answer is True)
        return placed

    def _tell(self, node_ids: Iterable[str]) -> None:
        for node_id in node_ids:
            self._runs_changed(node_id)

    async def preempt(self, evictions: Sequence[Eviction], *, version: int, epoch: int) -> bool:
        """Stop runs so that one job gets their place; False, and none is, when the world has changed.

        Their jobs are queued again where they were in the queue.

        Args:
            evictions: of which all are for the same job.
            version: of that job, as it was seen.
            epoch: of the scheduler that planned it; refused when there is a newer one.
        """

        def store(tx: Transaction) -> bool:
            tx.duties.require(SCHEDULER, epoch)
            now = self._clock.now()
            if not stop_for(
                tx, evictions, version=version, now=now, runs_changed=self._runs_changed
            ):
                return False
            tx.after_commit(lambda: self._preempted(len({one.job_id for one in evictions})))
            return True

        try:
            return await self._database.write(store)
        except Conflict:
            return False

    async def let_go(self, job_ids: Sequence[str], epoch: int) -> None:
        """Keep no place any more that was made free for these jobs.

        Raises:
            Conflict: another server is the scheduler now.
        """

        def store(tx: Transaction) -> None:
            tx.duties.require(SCHEDULER, epoch)
            tx.preemptions.let_go(job_ids)

        await self._database.write(store)

    async def evict(self, run_id: str, *, kill: bool, why: str) -> None:
        """Make a run leave its node, so that its job is queued again; harmless when repeated.

        The other ranks of its job are stopped as well, in the time that they have for that.

        Args:
            run_id: the run; one that has ended is left alone.
            kill: without the grace period that the job asked for, and with little time to save what it has.
            why: for the job's events.
        """

        def store(tx: Transaction) -> None:
            job, run = _active(tx, run_id)
            if job is None or run is None:
                return
            if run.want == _Want.STOPPED and (run.forced_at is not None or not kill):
                return
            now = self._clock.now()
            if kill:
                tx.runs.change(run_id, grace=0, forced_at=now)
            tx.runs.want_stopped(run_id, now)
            others = tx.runs.want_all_stopped(job.job_id, job.attempt, now)
            tx.after_commit(lambda: self._tell([run.node_id, *others]))
            if job.status not in LEAVING:
                reason, status = "EVICTED" if kill else "EVICTING", Status(job.status)
                move(tx, job, status, reason=reason, message=why, actor=actors.DRAINS, at=now)

        await self._database.write(store)

    async def device_failed(self, run_id: str, *, why: str, stop: bool) -> None:
        """Tell a run's job of a fault of a GPU that the run holds; harmless when repeated.

        Args:
            run_id: the run; one that has ended is left alone.
            why: what is wrong, in words.
            stop: the run has to leave, and however it ends, that is no fault of its job.
        """

        def store(tx: Transaction) -> None:
            job, run = _active(tx, run_id)
            if job is None or run is None or (stop and run.device_fault):
                return
            now = self._clock.now()
            if stop:
                tx.runs.change(run_id, device_fault=why)
                tx.runs.want_stopped(run_id, now)
                tx.after_commit(lambda: self._runs_changed(run.node_id))
            if job.status not in LEAVING:
                status = Status(job.status)
                move(tx, job, status, reason="GPU_FAULT", message=why, actor=actors.HEALTH, at=now)

        await self._database.write(store)

    async def report(
        self, node_id: str, report: agent_pb2.RunReport
    ) -> agent_pb2.RunDirective | None:
        """Take a node's report of a run; answers the directive that follows from it, if any.

        Reports of runs that are not this node's, of an older epoch, or older than what is known
        change nothing.
        """
        if report.state == _State.EXITED:
            return await self._exited(node_id, report)
        if report.state == _State.RUNNING:
            await self._reports.write(Reported(node_id, report))
        elif report.doing:
            now = self._clock.now()
            await self._database.write(lambda tx: note_preparing(tx, node_id, report, now))
        return None

    async def hello(self, node_id: str, known: Collection[str]) -> None:
        """Take a node's word that it knows these runs, and lost what else it has ever reported.

        A run that it did not end is over by that. Runs that it has not reported yet may not have
        reached it; it will be told of them.
        """
        reported = await self._database.read(lambda tx: tx.runs.reported_by(node_id))
        for run_id in reported:
            if run_id not in known:
                await self._gone(node_id, run_id)

    async def _gone(self, node_id: str, run_id: str) -> None:
        held = await self._logs.end(run_id)
        await self._database.write(
            lambda tx: self._lose(tx, node_id, run_id, held, rules.Cause.LOST, _GONE)
        )
        self._no_more_log(run_id)

    async def losing(self, node_id: str, why: str) -> Callable[[Transaction], None]:
        """What ends, in a transaction, all runs that a node may not drop yet: it is never heard again.

        Nobody holds it against the node or the job.

        Args:
            node_id: the node.
            why: in a sentence, for people.
        """
        held = {
            run.run_id: await self._logs.end(run.run_id)
            for run in await self._database.read(lambda tx: tx.runs.known_to_node(node_id))
        }

        def lose(tx: Transaction) -> None:
            for run in tx.runs.known_to_node(node_id):
                run_id, had = run.run_id, held.get(run.run_id, 0)
                self._lose(tx, node_id, run_id, had, rules.Cause.NODE_SHUTDOWN, why)
                tx.after_commit(partial(self._no_more_log, run_id))

        return lose

    def _lose(
        self, tx: Transaction, node_id: str, run_id: str, held: int, cause: rules.Cause, why: str
    ) -> None:
        """End a run that its node will not report, with `held` bytes of its log on the server."""
        run = tx.runs.get(run_id)
        if run is None or run.forgotten:
            return
        lost = run.log_end is None or held < run.log_end
        if run.state != _State.EXITED:
            end = agent_pb2.RunExit(cause=cause, log_end=held, message=why)  # type: ignore[arg-type]
            report = _State(run_id=run_id, epoch=run.epoch, state=_State.EXITED, exit=end)
            if end_run(tx, run, report, self._clock.now(), self._runs_changed):
                tx.after_commit(self._capacity_freed)
        tx.runs.change(run_id, forgotten=True, log_lost=why if lost else "")

    def _no_more_log(self, run_id: str) -> None:
        self._awaiting_log.pop(run_id, None)
        self._logs.wake(run_id)

    async def _exited(
        self, node_id: str, report: agent_pb2.RunReport
    ) -> agent_pb2.RunDirective | None:
        run = await self._reports.write(Reported(node_id, report))
        if run is None:
            return None
        log_end = report.exit.log_end
        # Before it is asked how much is there: what comes from now on completes it.
        self._awaiting_log[run.run_id] = run, log_end
        # As it was before this report: one that had ended already may be reported again, much later.
        held = await self._logs.end(run.run_id, may_be_archived=run.state == _State.EXITED)
        why = run.log_lost or (_SHORT if held > log_end else "")
        if why:
            return await self.log_lost(run.run_id, why)
        directive = await self.log_complete(run.run_id, held)
        self._logs.wake(run.run_id)
        return directive

    async def log_complete(self, run_id: str, position: int) -> agent_pb2.RunDirective | None:
        """Note that the server holds a run's log up to `position`.

        Answers the directive to forget the run when it has ended and its log is whole.
        """
        run, log_end = self._awaiting_log.get(run_id, (None, 0))
        if run is None or position < log_end:
            return None
        await self._forgets.write(run_id)
        self._no_more_log(run_id)
        return forget(run)

    async def log_lost(self, run_id: str, why: str) -> agent_pb2.RunDirective | None:
        """Note that the rest of a run's log will never come, and why, in a sentence.

        Answers the directive to forget the run when it has ended.
        """

        def store(tx: Transaction) -> RunRow | None:
            run = tx.runs.get(run_id)
            if run is None:
                return None
            ended = run.state == _State.EXITED
            tx.runs.change(run_id, log_lost=rules.shown(why), forgotten=ended)
            return run if ended else None

        run = await self._database.write(store)
        self._no_more_log(run_id)
        return forget(run) if run is not None else None

    async def directives(self, node_id: str) -> Sequence[agent_pb2.RunDirective]:
        """What the server wants of every run that this node may not drop yet."""
        rows = await self._known.read(node_id)
        made = [directive(row) for row in rows]
        asking = [number for number, one in enumerate(made) if one.spec.secrets]
        if not asking:
            return made
        refusals = await self._secrets.give(
            node_id, [rows[one] for one in asking], [made[one] for one in asking]
        )
        for refusal in refusals:
            await self._database.write(partial(self._refuse, refusal=refusal))
        refused = {refusal.run_id for refusal in refusals}
        return [one for one in made if one.run_id not in refused]

    def _refuse(self, tx: Transaction, refusal: Refusal) -> None:
        """End a run that cannot start; its node is told to stop it, whether it knows it or not."""
        job, run = _active(tx, refusal.run_id)
        if job is None or run is None or run.state != _State.STATE_UNSPECIFIED:
            return
        now = self._clock.now()
        tx.runs.want_stopped(run.run_id, now)
        end = agent_pb2.RunExit(cause=refusal.cause, message=refusal.why)  # type: ignore[arg-type]
        report = _State(run_id=run.run_id, epoch=run.epoch, state=_State.EXITED, exit=end)
        if end_run(tx, run, report, now, self._runs_changed):
            tx.after_commit(self._capacity_freed)
            tx.after_commit(partial(self._runs_changed, run.node_id))

    async def owns(self, node_id: str, run_id: str, epoch: int) -> bool:
        """Whether a run of this epoch was placed on this node."""
        run = await self._runs.read(run_id)
        return run is not None and run.node_id == node_id and run.epoch == epoch

    async def of_job(self, job_id: str) -> tuple[JobRow | None, Sequence[AnyRun]]:
        """A job and its runs, here and at other clusters, the first attempt first, on one snapshot.

        Those of one attempt are in the order of their ranks.
        """

        def load(tx: Transaction) -> tuple[JobRow | None, Sequence[AnyRun]]:
            runs: list[AnyRun] = [
                *tx.runs.of_job(job_id),
                *tx.remote_runs.of_job(job_id),
            ]
            return tx.jobs.get(job_id), sorted(runs, key=lambda run: run.attempt)

        return await self._database.read(load)


def _forget_all(tx: Transaction, run_ids: Sequence[str]) -> list[None]:
    tx.runs.change_all([(run_id, {"forgotten": True}) for run_id in run_ids])
    return [None] * len(run_ids)


def _known_to(tx: Transaction, node_ids: Sequence[str]) -> list[Sequence[Any]]:
    if len(node_ids) == 1:
        return [tx.runs.known_to_node(node_ids[0])]
    known = tx.runs.known_to_nodes(node_ids)
    return [known.get(node_id, ()) for node_id in node_ids]


def _of_ids(tx: Transaction, run_ids: Sequence[str]) -> list[RunRow | None]:
    if len(run_ids) == 1:
        return [tx.runs.get(run_ids[0])]
    runs = {run.run_id: run for run in tx.runs.of_ids(run_ids)}
    return [runs.get(run_id) for run_id in run_ids]


def _active(tx: Transaction, run_id: str) -> tuple[JobRow | None, RunRow | None]:
    """A run that holds its resources and its job, locked; None of both when it does not."""
    run = tx.runs.get(run_id)
    if run is None:
        return None, None
    job = tx.jobs.lock(run.job_id)
    assert job is not None
    # Read again under the lock: it may have ended, or be on its way out already.
    run = tx.runs.get(run_id)
    if run is None or not run.active or job.attempt != run.attempt:
        return None, None
    return job, run
