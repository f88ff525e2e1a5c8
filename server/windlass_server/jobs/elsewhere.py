"""What the submission and the cancel of a job have to do with other clusters."""

from collections.abc import Callable

from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.jobs.wishes import wish_of
from windlass_server.resources.remote_clusters import RemoteClusters
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction


class Elsewhere:
    """The other clusters, as jobs see them.

    Args:
        clusters: what was last heard of them.
        runs: the jobs that they have.
        runs_changed: called with the id of a cluster at which something is to be done.
    """

    def __init__(
        self,
        clusters: RemoteClusters,
        runs: RemoteRunsService,
        runs_changed: Callable[[str], None],
    ) -> None:
        self._clusters = clusters
        self._runs = runs
        self._runs_changed = runs_changed

    def could_hold(self, job: job_pb2.Job) -> bool:
        """Whether one of them could ever run the job, and would take it."""
        return self._clusters.could_hold(wish_of(job))

    def preferred(self, job: job_pb2.Job) -> str:
        """The cluster that is preferred for the job and can have it now; empty when none is."""
        return self._clusters.preferred(wish_of(job))

    def place(self, tx: Transaction, job: JobRow, cluster_id: str) -> JobRow:
        """Give a job, which this transaction has added, to a cluster."""
        tx.after_commit(lambda: self._clusters.placed(cluster_id))
        return self._runs.place(tx, job, cluster_id)

    def stop(self, tx: Transaction, job: JobRow) -> None:
        """Ask for the end of a job's run, if another cluster has it."""
        if job.cluster:
            tx.remote_runs.want_stopped(job.run_id)
            tx.after_commit(lambda: self._runs_changed(job.cluster))
