"""The jobs API in this process, behind the real call chain, for a caller who may do everything."""

from types import MappingProxyType

from google.protobuf.message import Message

from tests.support.fake_clock import FakeClock
from windlass_server.access.policy import Caller, Role
from windlass_server.ids import IdSource
from windlass_server.jobs.logs import JobLogs
from windlass_server.jobs.reader import JobReader
from windlass_server.jobs.rpc import JobsRpc
from windlass_server.jobs.service import Hints, JobsService
from windlass_server.paging import PageTokens
from windlass_server.resources.cluster import Cluster
from windlass_server.rpc.authorisation import Authorisation
from windlass_server.rpc.call import Call
from windlass_server.rpc.draining import Draining
from windlass_server.rpc.methods import served_methods
from windlass_server.rpc.pipeline import Pipeline
from windlass_server.rpc.validation import Validation
from windlass_server.storage.engine import Database

SERVICE = "windlass.jobs.v1.JobsService"
ADA = Caller(user="ada", default_project="default", roles=MappingProxyType({"default": Role.ADMIN}))


class _AsAda:
    async def __call__(self, call: Call, request: Message | None) -> None:
        call.authenticated = ADA


class JobsApi:
    """Calls methods of the jobs service as bytes, as both front ends do."""

    def __init__(self, database: Database, logs: JobLogs) -> None:
        clock = FakeClock()
        tokens = PageTokens(b"k" * 32)
        cluster = Cluster(database, (), lambda _node, _gpu: True)
        hints = Hints(job_queued=lambda _job: None, runs_changed=lambda _node: None)
        jobs = JobsService(database, cluster, clock, IdSource(clock), tokens, hints)
        validation = Validation()
        self._pipeline = Pipeline(
            served_methods({SERVICE: JobsRpc(jobs, JobReader(database, tokens), logs)}),
            before_parsing=[_AsAda()],
            after_parsing=[Authorisation(), validation],
            draining=Draining(),
            validation=validation,
        )

    async def call(self, method: str, request: Message) -> bytes:
        """The serialized answer; raises CallFailed."""
        found = self._pipeline.methods[f"/{SERVICE}/{method}"]
        return await self._pipeline.unary(Call(found, {}), request.SerializeToString())
