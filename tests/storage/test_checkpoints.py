"""What jobs save for their next attempts, on both engines, with the scheduler and no agents."""

import hashlib
import io
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import acting
from tests.support.remote_runs import nowhere_else
from tests.support.scheduled_world import ADA, ScheduledWorld
from windlass.agents.v1 import agent_pb2, agents_service_pb2, checkpoint_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Exhausted, InvalidInput, NotFound, WindlassError, WrongState
from windlass_server.ids import IdSource
from windlass_server.jobs.checkpoints import CheckpointsService, Keeping
from windlass_server.jobs.job_checkpoints import JobCheckpoints
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.retrying import RetriesService, Retry
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.states import Status
from windlass_server.objects.store import ObjectStore
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

AGAIN = {"cause": "COMPLETED", "exit_code": 85}
MAX_BYTES = 1000


class FullStore(ObjectStore):
    """A directory on a disk that has no room left."""

    def free_bytes(self) -> int:
        return 0


class World(ScheduledWorld):
    """A cluster whose nodes save and restore."""

    folder: Path

    def service(self, *, store: type[ObjectStore] = ObjectStore, **keeping: int) -> Any:
        kept = {"max_bytes": MAX_BYTES, "newest": 2, "after_end": 0} | keeping
        objects = store.open("", self.folder / "objects")
        ids = IdSource(self.clock)
        return CheckpointsService(self.database, objects, self.clock, ids, Keeping(**kept))

    @property
    def shown(self) -> JobCheckpoints:
        """What people see of checkpoints."""
        return JobCheckpoints(self.database, self.service(), PageTokens(b"page"))

    async def running(self, job_id: str) -> Any:
        """The job, its next run begun."""
        job = await self.cycle(job_id)
        assert job.status == Status.SCHEDULED
        await self.report(job_id, "RUNNING")
        return await self.job(job_id)

    async def offer(self, job: Any, content: bytes, **end: Any) -> str:
        goes_on = "cause" in end and end["cause"] is None
        exit_ = None if goes_on else agent_pb2.RunExit(**(end or AGAIN))
        request = agents_service_pb2.OfferCheckpointRequest(
            run_id=job.run_id,
            epoch=job.attempt,
            exit=exit_,
            size_bytes=len(content),
            entry_count=1,
        )
        return str(await self.service().offer(job.node_id, request))

    async def save(self, job: Any, content: bytes, **end: Any) -> str:
        """Offer, upload and commit a checkpoint of one file."""
        checkpoint_id = await self.offer(job, content, **end)
        await self.upload(job.node_id, checkpoint_id, content)
        manifest = manifest_of(content)
        assert await self.service().commit(job.node_id, checkpoint_id, manifest) == []
        return checkpoint_id

    async def upload(self, node_id: str, checkpoint_id: str, content: bytes, *sent: bytes) -> None:
        await self.service().store_file(
            node_id, file_of(content), checkpoint_id, in_parts(*(sent or (content,)))
        )

    async def end(self, job_id: str, **end: Any) -> None:
        await self.report(job_id, "EXITED", **(end or AGAIN))

    async def restored(self, job: Any) -> bytes | None:
        """What a run is told to begin with, as its node reads it."""
        (directive,) = await self.runs.directives(job.node_id)
        if not directive.spec.HasField("restore"):
            return None
        checkpoint_id = directive.spec.restore.checkpoint_id
        who = {"run_id": job.run_id, "epoch": job.attempt, "checkpoint_id": checkpoint_id}
        asked = agents_service_pb2.GetCheckpointRequest(**who)
        manifest = await self.service().manifest(job.node_id, asked)
        (entry,) = manifest.entries
        file = agents_service_pb2.DownloadCheckpointFileRequest(**who, sha256=entry.file.sha256)
        return b"".join([part async for part in self.service().file(job.node_id, file)])

    def kept(self) -> set[str]:
        """The checkpoints that have objects."""
        found = (self.folder / "objects").glob("checkpoints/*/*")
        return {path.name for path in found}

    async def events(self, job_id: str) -> list[str]:
        rows = await self.database.read(lambda tx: tx.events.page(job_id, after=0, size=99))
        return [row.reason for row in rows]


def file_of(content: bytes) -> checkpoint_pb2.CheckpointFile:
    return checkpoint_pb2.CheckpointFile(
        sha256=hashlib.sha256(content).digest(), size_bytes=len(content)
    )


def manifest_of(*contents: bytes) -> checkpoint_pb2.CheckpointManifest:
    return checkpoint_pb2.CheckpointManifest(
        entries=[
            checkpoint_pb2.CheckpointEntry(path=b"state-%d" % number, file=file_of(content))
            for number, content in enumerate(contents)
        ]
    )


async def in_parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    world.folder = tmp_path
    await world.add_node("one")
    yield world
    await world.logs.close()


@pytest.fixture
async def job(world: World) -> Any:
    """A job whose first run runs."""
    return await world.running(await world.add_job(spec=job_pb2.Job().SerializeToString()))


async def test_the_next_attempt_begins_with_what_the_one_before_has_saved(world: World, job: Any):
    assert await world.restored(job) is None
    saved = await world.save(job, b"step 7")
    await world.end(job.job_id)
    next_run = await world.running(job.job_id)

    assert await world.restored(next_run) == b"step 7"
    shown = to_proto(next_run).checkpoint
    assert (shown.checkpoint_id, shown.run_id, shown.attempt) == (saved, job.run_id, 1)
    assert (shown.size_bytes, shown.entry_count) == (6, 1)
    events = await world.events(job.job_id)
    assert events.index("CHECKPOINT_SAVED") < events.index("REQUEUE_REQUESTED")


async def test_a_run_knows_up_to_when_its_work_is_saved(world: World, job: Any):
    offered = world.clock.now()
    checkpoint_id = await world.offer(job, b"state")
    await world.upload(job.node_id, checkpoint_id, b"state")
    assert (await world.database.read(lambda tx: tx.runs.get(job.run_id))).saved_at is None
    world.clock.advance(5)
    await world.service().commit(job.node_id, checkpoint_id, manifest_of(b"state"))
    run = await world.database.read(lambda tx: tx.runs.get(job.run_id))
    assert run.saved_at == offered


async def test_an_attempt_that_saves_nothing_leaves_what_there_was(world: World, job: Any):
    await world.save(job, b"step 7")
    for _ in range(2):
        await world.end(job.job_id)
        job = await world.running(job.job_id)
    assert await world.restored(job) == b"step 7"


def lose_manifest(folder: Path) -> None:
    (folder / "manifest").unlink()


def garble_manifest(folder: Path) -> None:
    (folder / "manifest").write_bytes(b"\xff" * 9)


def lose_a_file(folder: Path) -> None:
    next((folder / "files").iterdir()).unlink()


def lose_all(folder: Path) -> None:
    shutil.rmtree(folder)


DAMAGED = {"cause": "CHECKPOINT_DAMAGED", "message": "not all of it is there"}


@pytest.mark.parametrize("damage", [lose_manifest, garble_manifest, lose_a_file, lose_all])
async def test_behind_a_damaged_checkpoint_an_older_one_is_begun_with(
    world: World, job: Any, damage: Callable[[Path], None]
):
    older = await world.save(job, b"step 7")
    await world.end(job.job_id)
    second = await world.running(job.job_id)
    newest = await world.save(second, b"step 8")
    await world.end(job.job_id)
    third = await world.cycle(job.job_id)
    (folder,) = (world.folder / "objects" / "checkpoints").glob(f"*/{newest}")
    damage(folder)
    with pytest.raises(NotFound) as refused:
        await world.restored(third)
    assert refused.value.reason == "CHECKPOINT_DAMAGED"

    await world.end(job.job_id, **DAMAGED)

    queued = await world.job(job.job_id)
    assert (queued.status, queued.status_reason) == (Status.QUEUED, "CHECKPOINT_DAMAGED")
    assert to_proto(queued).checkpoint.checkpoint_id == older
    events = await world.database.read(lambda tx: tx.events.page(job.job_id, after=0, size=99))
    (told,) = [event.message for event in events if event.reason == "CHECKPOINT_SET_ASIDE"]
    assert newest in told
    assert "begins with that of attempt 1" in told
    assert await world.restored(await world.running(job.job_id)) == b"step 7"
    # What the second attempt did is lost, and that is nobody's fault.
    run = await world.database.read(lambda tx: tx.runs.get(second.run_id))
    assert run is not None
    assert run.saved_at is None
    assert await world.database.read(lambda tx: tx.runs.nodes_ended_by(job.job_id, (5, 7))) == []
    await world.service().remove_unneeded()
    assert world.kept() == {older}


async def test_when_the_only_checkpoint_is_damaged_the_job_begins_anew(world: World, job: Any):
    await world.save(job, b"step 7")
    await world.end(job.job_id)
    await world.cycle(job.job_id)
    await world.end(job.job_id, **DAMAGED)
    assert not to_proto(await world.job(job.job_id)).HasField("checkpoint")
    assert await world.restored(await world.running(job.job_id)) is None


async def test_a_node_that_finds_damage_where_there_was_nothing_is_at_fault(world: World, job: Any):
    mine = await world.save(job, b"step 7", cause=None)
    await world.end(job.job_id, **DAMAGED)
    queued = await world.job(job.job_id)
    assert queued.status == Status.QUEUED
    # What it saved itself it was not to begin with.
    assert to_proto(queued).checkpoint.checkpoint_id == mine
    faults = await world.database.read(lambda tx: tx.runs.nodes_ended_by(job.job_id, (5, 7)))
    assert [one.node_id for one in faults] == [job.node_id]


TOO_LATE = "CHECKPOINT_TOO_LATE"


async def refusal_of(saving: Any) -> str:
    with pytest.raises(WrongState) as refused:
        await saving
    return refused.value.reason


async def test_who_must_leave_by_force_has_little_time_to_save(world: World, job: Any):
    await world.runs.evict(job.run_id, kill=True, why="fire")
    world.clock.advance(59)
    saved = await world.save(job, b"step 7")
    world.clock.advance(1)
    assert await refusal_of(world.offer(job, b"step 8")) == TOO_LATE
    await world.end(job.job_id, cause="STOPPED", exit_signal=9)
    assert (await world.job(job.job_id)).status == Status.QUEUED
    shown = to_proto(await world.job(job.job_id)).checkpoint
    assert shown.checkpoint_id == saved


async def test_a_file_that_takes_too_long_of_who_must_leave_by_force_is_cut_off(
    world: World, job: Any
):
    checkpoint_id = await world.offer(job, b"one" + b"two")

    async def slowly() -> AsyncIterator[bytes]:
        yield b"one"
        await world.runs.evict(job.run_id, kill=True, why="fire")
        world.clock.advance(60)
        yield b"two"

    file = file_of(b"onetwo")
    storing = world.service().store_file(job.node_id, file, checkpoint_id, slowly())
    assert await refusal_of(storing) == TOO_LATE


async def test_who_is_only_asked_to_leave_may_take_its_time_until_it_is_forced(
    world: World, job: Any
):
    for kill in (False, True, True):
        await world.runs.evict(job.run_id, kill=kill, why="kernel")
        world.clock.advance(45)
        if not kill:
            world.clock.advance(3600)
            await world.offer(job, b"step 7")
    assert await refusal_of(world.offer(job, b"step 7")) == TOO_LATE


VIEWER = Caller("vi", roles={"default": Role.VIEWER})


async def test_what_a_job_has_saved_is_listed_and_can_be_taken_away(world: World, job: Any):
    older = await world.save(job, b"step 7")
    await world.end(job.job_id)
    job = await world.running(job.job_id)
    world.clock.advance(1)
    newer = await world.save(job, b"step 8", cause=None)
    world.clock.advance(1)
    saving = await world.offer(job, b"step 9")
    job_id = job.job_id

    first, token = await world.shown.list(VIEWER, job_id, size=2, token="")
    rest, end = await world.shown.list(VIEWER, job_id, size=2, token=token)
    assert [one.checkpoint_id for one in (*first, *rest)] == [saving, newer, older]
    assert [one.saved_at is not None for one in (*first, *rest)] == [False, True, True]
    assert end == ""

    archive = await world.shown.archive(VIEWER, job_id, newer)
    content = b"".join([piece async for piece in world.shown.pieces(archive)])
    assert len(content) == archive.size
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        state = tar.extractfile("state-0")
        assert state is not None
        assert state.read() == b"step 8"
    for unfit in (saving, "ckpt-x"):
        with pytest.raises(NotFound):
            await world.shown.archive(VIEWER, job_id, unfit)


async def test_what_is_foreign_or_of_another_job_is_not_there(world: World, job: Any):
    saved = await world.save(job, b"step 7")
    other = await world.add_job(spec=job_pb2.Job().SerializeToString())
    stranger = Caller("eve", roles={"other": Role.ADMIN})
    for who, job_id in ((stranger, job.job_id), (VIEWER, other), (VIEWER, "job-x")):
        with pytest.raises(NotFound):
            await world.shown.archive(who, job_id, saved)
    for job_id in (job.job_id, "job-x"):
        with pytest.raises(NotFound):
            await world.shown.list(stranger, job_id, size=0, token="")


@pytest.mark.parametrize("damage", [lose_manifest, garble_manifest, lose_a_file, lose_all])
async def test_a_damaged_checkpoint_is_not_taken_away_by_half(
    world: World, job: Any, damage: Callable[[Path], None]
):
    saved = await world.save(job, b"step 7")
    (folder,) = (world.folder / "objects" / "checkpoints").glob(f"*/{saved}")
    damage(folder)
    with pytest.raises(NotFound) as refused:
        await world.shown.archive(VIEWER, job.job_id, saved)
    assert refused.value.reason == "CHECKPOINT_DAMAGED"


async def test_what_was_uploaded_by_half_is_never_offered_and_goes_away(world: World, job: Any):
    half = await world.offer(job, b"one" + b"two")
    await world.upload(job.node_id, half, b"one")
    await world.service().remove_unneeded()
    assert world.kept() == {half}  # its run may still go on with it
    await world.end(job.job_id)
    next_run = await world.running(job.job_id)
    assert await world.restored(next_run) is None
    await world.service().remove_unneeded()
    assert world.kept() == set()
    with pytest.raises(NotFound):
        await world.service().commit(job.node_id, half, manifest_of(b"one", b"two"))


async def test_a_commit_names_what_is_missing_and_changes_nothing(world: World, job: Any):
    checkpoint_id = await world.offer(job, b"content")
    manifest = manifest_of(b"content")
    digest = manifest.entries[0].file.sha256
    assert await world.service().commit(job.node_id, checkpoint_id, manifest) == [digest]
    assert (await world.job(job.job_id)).checkpoint is None
    await world.upload(job.node_id, checkpoint_id, b"content")
    assert await world.service().commit(job.node_id, checkpoint_id, manifest) == []


async def test_an_offer_and_a_commit_may_come_twice(world: World, job: Any):
    first = await world.offer(job, b"content")
    assert await world.save(job, b"content") == first
    version = (await world.job(job.job_id)).version
    assert await world.service().commit(job.node_id, first, manifest_of(b"content")) == []
    assert (await world.job(job.job_id)).version == version
    assert (await world.events(job.job_id)).count("CHECKPOINT_SAVED") == 1


async def test_the_newest_two_are_kept_and_none_when_the_job_has_ended(world: World, job: Any):
    saved = []
    for number in range(4):
        saved.append(await world.save(job, b"%d" % number))
        await world.end(job.job_id)
        await world.service().remove_unneeded()
        job = await world.running(job.job_id)
    assert world.kept() == set(saved[-2:])
    await world.end(job.job_id, cause="COMPLETED", exit_code=0)
    await world.service().remove_unneeded()
    assert world.kept() == set()


async def test_they_are_kept_behind_the_jobs_end_when_that_is_asked_for(world: World, job: Any):
    saved = await world.save(job, b"step 7")
    await world.end(job.job_id, cause="COMPLETED", exit_code=1)
    keeping = world.service(after_end=10_000_000)
    await keeping.remove_unneeded()
    assert world.kept() == {saved}
    world.clock.advance(10)
    await keeping.remove_unneeded()
    assert world.kept() == set()


@pytest.mark.parametrize(
    ("end", "goes_on"),
    [
        ({"cause": "COMPLETED", "exit_code": 0}, False),
        ({"cause": "COMPLETED", "exit_code": 1}, False),
        ({"cause": "OUT_OF_MEMORY"}, False),
        ({"cause": "TIME_LIMIT", "exit_code": 0}, False),
        ({"cause": "TIME_LIMIT", "exit_code": 85}, True),
        ({"cause": "LOST"}, True),
        ({"cause": "NODE_SHUTDOWN"}, True),
    ],
)
async def test_a_checkpoint_is_wanted_of_a_job_that_goes_on(
    world: World, job: Any, end: dict[str, Any], goes_on: bool
):
    assert bool(await world.offer(job, b"content", **end)) == goes_on


async def test_a_run_that_goes_on_may_save_and_save_again(world: World, job: Any):
    first = await world.save(job, b"step 7", cause=None)
    second = await world.save(job, b"step 8", cause=None)
    assert first != second
    await world.end(job.job_id, cause="LOST")
    world.clock.advance(3600)
    assert await world.restored(await world.running(job.job_id)) == b"step 8"


async def test_what_is_offered_anew_is_what_counts(world: World, job: Any):
    first = await world.offer(job, b"step 7", cause=None)
    assert await world.save(job, b"the last step") == first
    await world.end(job.job_id)
    assert await world.restored(await world.running(job.job_id)) == b"the last step"


async def test_a_checkpoint_is_wanted_of_an_evicted_job_and_not_of_a_cancelled_one(
    world: World, job: Any
):
    await world.runs.evict(job.run_id, kill=False, why="drain")
    assert await world.offer(job, b"content", cause="STOPPED", exit_code=0)
    job = await world.job(job.job_id)
    await world.database.write(
        lambda tx: tx.jobs.change(job.job_id, job.version, status=int(Status.CANCELLING))
    )
    assert not await world.offer(job, b"content", cause="STOPPED", exit_code=0)


@pytest.mark.parametrize(
    ("store", "size", "entries", "error", "reason"),
    [
        (ObjectStore, MAX_BYTES + 1, 1, WrongState, "CHECKPOINT_TOO_LARGE"),
        (ObjectStore, 1, 20_001, WrongState, "CHECKPOINT_TOO_LARGE"),
        (FullStore, 1, 1, Exhausted, "OBJECT_STORE_FULL"),
    ],
)
async def test_what_there_is_no_room_for_is_refused_at_once(
    world: World,
    job: Any,
    store: type[ObjectStore],
    size: int,
    entries: int,
    error: type[WindlassError],
    reason: str,
):
    offer = agents_service_pb2.OfferCheckpointRequest(
        run_id=job.run_id,
        epoch=1,
        exit=agent_pb2.RunExit(**AGAIN),
        size_bytes=size,
        entry_count=entries,
    )
    with pytest.raises(error) as refused:
        await world.service(store=store).offer(job.node_id, offer)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "sent", [(b"conten",), (b"content", b"s"), (b"CONTENT",), (b"con", b"tant")]
)
async def test_a_file_that_is_not_what_was_announced_is_not_stored(
    world: World, job: Any, sent: tuple[bytes, ...]
):
    checkpoint_id = await world.offer(job, b"content")
    with pytest.raises(InvalidInput, match="not what was announced"):
        await world.upload(job.node_id, checkpoint_id, b"content", *sent)
    missing = await world.service().commit(job.node_id, checkpoint_id, manifest_of(b"content"))
    assert len(missing) == 1


async def test_a_manifest_of_something_else_is_refused(world: World, job: Any):
    checkpoint_id = await world.offer(job, b"content")
    for wrong in (manifest_of(b"more content"), manifest_of(b"con", b"tent")):
        with pytest.raises(InvalidInput, match="offered"):
            await world.service().commit(job.node_id, checkpoint_id, wrong)


async def test_a_stranger_can_neither_save_nor_read(world: World, job: Any):
    stranger = await world.add_node("two")
    mine = await world.offer(job, b"content")
    theirs = changed(job, node_id=stranger)
    with pytest.raises(NotFound):
        await world.offer(theirs, b"content")
    with pytest.raises(NotFound):
        await world.upload(stranger, mine, b"content")
    await world.upload(job.node_id, mine, b"content")
    with pytest.raises(NotFound):
        await world.service().commit(stranger, mine, manifest_of(b"content"))
    await world.service().commit(job.node_id, mine, manifest_of(b"content"))
    asked = agents_service_pb2.GetCheckpointRequest(run_id=job.run_id, epoch=1, checkpoint_id=mine)
    with pytest.raises(NotFound):
        await world.service().manifest(stranger, asked)


@pytest.mark.parametrize("of", ["another job", "an upload that is not done"])
async def test_a_run_reads_whole_checkpoints_of_its_own_job_alone(world: World, job: Any, of: str):
    if of == "another job":
        spec = job_pb2.Job().SerializeToString()
        theirs = await world.running(await world.add_job(spec=spec))
        checkpoint_id = await world.save(theirs, b"secret")
    else:
        checkpoint_id = await world.offer(job, b"secret")
        await world.upload(job.node_id, checkpoint_id, b"secret")
    who = {"run_id": job.run_id, "epoch": 1, "checkpoint_id": checkpoint_id}
    with pytest.raises(NotFound):
        await world.service().manifest(job.node_id, agents_service_pb2.GetCheckpointRequest(**who))
    sha256 = hashlib.sha256(b"secret").digest()
    file = agents_service_pb2.DownloadCheckpointFileRequest(**who, sha256=sha256)
    with pytest.raises(NotFound):
        _ = [part async for part in world.service().file(job.node_id, file)]


async def test_a_run_does_not_begin_with_what_it_has_saved_itself(world: World, job: Any):
    await world.save(job, b"step 7", cause=None)
    assert await world.restored(job) is None


async def test_a_run_that_has_ended_saves_nothing_any_more(world: World, job: Any):
    await world.end(job.job_id)
    with pytest.raises(NotFound):
        await world.offer(job, b"content")


async def test_why_a_checkpoint_was_not_kept_is_among_the_jobs_events(world: World, job: Any):
    await world.end(job.job_id, **AGAIN, checkpoint_problem="The disk is full.")
    rows = await world.database.read(lambda tx: tx.events.page(job.job_id, after=0, size=99))
    lost = [row.message for row in rows if row.reason == "CHECKPOINT_NOT_SAVED"]
    assert lost == ["The disk is full."]


@pytest.fixture
async def retries(world: World) -> RetriesService:
    database, clock, ids = world.database, world.clock, IdSource(world.clock)
    await database.read(world.cluster.load)
    jobs = JobsService(
        database,
        world.cluster,
        clock,
        ids,
        PageTokens(b"key"),
        JobHints(lambda _job_id: None, lambda _node_id: None),
        nowhere_else(database, world.logs, clock, ids),
    )
    return RetriesService(database, jobs, lambda _message: None)


async def a_failed_job(world: World, *contents: bytes) -> str:
    """A job that has saved these, and then failed."""
    spec = job_pb2.Job(project="default", command=["train"]).SerializeToString()
    job = await world.running(await world.add_job(spec=spec))
    for content in contents:
        await world.save(job, content)
        await world.end(job.job_id)
        job = await world.running(job.job_id)
    await world.end(job.job_id, cause="COMPLETED", exit_code=1)
    return str(job.job_id)


@pytest.mark.parametrize(
    ("from_scratch", "begins_with"), [(False, b"step 7"), (True, None)], ids=["going on", "anew"]
)
async def test_a_retry_begins_with_the_newest_checkpoint_unless_told_otherwise(
    world: World, retries: RetriesService, from_scratch: bool, begins_with: bytes | None
):
    first = await a_failed_job(world, b"step 3", b"step 7")
    retry = await retries.retry(ADA, Retry(first, from_scratch=from_scratch))
    run = await world.running(retry.job_id)
    assert await world.restored(run) == begins_with
    await world.end(run.job_id, cause="COMPLETED", exit_code=1)
    third = await retries.retry(ADA, Retry(run.job_id))
    assert await world.restored(await world.running(third.job_id)) == begins_with


async def test_a_retry_keeps_what_it_begins_with_for_as_long_as_it_may_need_it(
    world: World, retries: RetriesService
):
    first = await a_failed_job(world, b"step 7")
    keeping = world.service(for_retry=10_000_000)
    retry = await retries.retry(ADA, Retry(first))
    world.clock.advance(60)
    await keeping.remove_unneeded()
    run = await world.running(retry.job_id)
    assert await world.restored(run) == b"step 7"
    await world.end(run.job_id, cause="COMPLETED", exit_code=0)
    await keeping.remove_unneeded()
    assert world.kept() == set()


async def test_a_retry_of_what_has_kept_nothing_begins_anew(world: World, retries: RetriesService):
    first = await a_failed_job(world, b"step 7")
    await world.service().remove_unneeded()
    assert world.kept() == set()
    run = await world.running((await retries.retry(ADA, Retry(first))).job_id)
    assert await world.restored(run) is None


async def test_a_retry_whose_checkpoint_is_damaged_begins_with_the_one_before(
    world: World, retries: RetriesService
):
    first = await a_failed_job(world, b"step 3", b"step 7")
    run = await world.running((await retries.retry(ADA, Retry(first))).job_id)
    assert await world.restored(run) == b"step 7"
    await world.end(run.job_id, cause="CHECKPOINT_DAMAGED")
    assert await world.restored(await world.running(run.job_id)) == b"step 3"


async def test_what_a_failing_run_saves_is_wanted_where_a_retry_could_begin_with_it(
    world: World, job: Any
):
    failing = agents_service_pb2.OfferCheckpointRequest(
        run_id=job.run_id,
        epoch=job.attempt,
        exit=agent_pb2.RunExit(cause=agent_pb2.RunExit.COMPLETED, exit_code=1),
        size_bytes=1,
        entry_count=1,
    )
    assert await world.service().offer(job.node_id, failing) == ""
    assert await world.service(for_retry=1).offer(job.node_id, failing) != ""
    failing.exit.exit_code = 0
    assert await world.service(for_retry=1).offer(job.node_id, failing) == ""
