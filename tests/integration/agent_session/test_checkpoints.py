"""Checkpoints on their way between a node and a server that fails on purpose."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import jwt
import pytest

from tests.support.fake_checkpoint_server import FakeCheckpointServer
from windlass.agents.v1 import agent_pb2
from windlass_agent import checkpoint_files
from windlass_agent.checkpoints import CheckpointKeeper
from windlass_agent.clock import SystemClock
from windlass_agent.identity import Identity, NodeKey
from windlass_agent.run_types import Cause, Damage, Restore, RunExit, RunRequest
from windlass_server.errors import Exhausted, NotFound, Unauthenticated, Unavailable, WrongState

RUN = RunRequest(
    "run-01jh0000000000000000000000",
    3,
    ("train",),
    restore=Restore("ckpt-01jh0000000000000000000000", 10),
)
END = RunExit(Cause.COMPLETED, 1, exit_code=85)
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
INTERNAL = grpc.StatusCode.INTERNAL


@pytest.fixture
async def server() -> AsyncIterator[FakeCheckpointServer]:
    async with FakeCheckpointServer() as server:
        yield server


@pytest.fixture
async def keeper(server: FakeCheckpointServer, tmp_path: Path) -> AsyncIterator[CheckpointKeeper]:
    clock = SystemClock()
    keeper = CheckpointKeeper(clock, pauses=(0.001, 0.01))
    identity = Identity("node-1", NodeKey.load_or_create(tmp_path / "key"), clock)
    keeper.connect(lambda: grpc.aio.insecure_channel(f"127.0.0.1:{server.port}"), identity)
    yield keeper
    await keeper.close()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with what a task saved: two files, one of them large, and a copy of it."""
    folder = tmp_path / "checkpoint"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_bytes(os.urandom(1_500_000))
    (folder / "deep" / "copy").write_bytes((folder / "weights").read_bytes())
    (folder / "state").write_text("step 7")
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "restore"
    folder.mkdir()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


async def test_what_was_saved_is_restored(keeper, server, saved, target):
    assert await keeper.save(RUN, END, saved) == ""
    assert await keeper.restore(RUN, target) == ""
    assert content(target) == content(saved)
    (offer,) = server.offers
    assert (offer.run_id, offer.epoch, offer.exit.exit_code) == (RUN.run_id, 3, 85)
    assert offer.exit.cause == agent_pb2.RunExit.COMPLETED
    assert (offer.size_bytes, offer.entry_count) == (3_000_006, 4)
    assert len(server.uploads) == 2  # what is alike goes once


async def test_an_empty_folder_is_not_even_offered(keeper, server, target):
    assert await keeper.save(RUN, END, target) == ""
    assert server.offers == []


async def test_what_nobody_needs_is_not_uploaded(keeper, server, saved):
    server.wanted = False
    assert await keeper.save(RUN, END, saved) == ""
    assert (server.uploads, server.manifest) == ([], None)


async def test_a_server_that_cannot_be_reached_is_waited_for(keeper, server, saved, target):
    server.failures = [UNAVAILABLE] * 30
    assert await keeper.save(RUN, END, saved) == ""
    server.failures = [UNAVAILABLE] * 30
    assert await keeper.restore(RUN, target) == ""
    assert content(target) == content(saved)


async def test_a_server_that_fails_for_a_moment_is_asked_again(keeper, server, saved):
    server.failures = [INTERNAL] * 7
    assert await keeper.save(RUN, END, saved) == ""


@pytest.mark.parametrize(
    ("failures", "words"),
    [
        ([INTERNAL] * 8, "failed by the test (INTERNAL)"),
        ([Unavailable("no disk", reason="OBJECT_STORE_UNAVAILABLE")] * 8, "no disk"),
        (
            [WrongState("too large", reason="CHECKPOINT_TOO_LARGE", subject="run-1")],
            "CHECKPOINT_TOO_LARGE",
        ),
        ([Exhausted("full", reason="OBJECT_STORE_FULL")], "OBJECT_STORE_FULL"),
        ([grpc.StatusCode.UNIMPLEMENTED], "UNIMPLEMENTED"),
        ([grpc.StatusCode.NOT_FOUND], "NOT_FOUND"),
    ],
)
async def test_a_server_that_refuses_or_fails_for_long_is_given_up(
    keeper, server, saved, target, failures, words
):
    server.failures = list(failures)
    assert words in await keeper.save(RUN, END, saved)
    assert server.failures == []
    assert server.manifest is None
    server.failures = list(failures)
    assert words in await keeper.restore(RUN, target)


async def test_what_the_server_has_already_is_not_sent_again(keeper, server, saved):
    manifest = checkpoint_files.manifest_of(saved, checkpoint_files.scan(saved))
    files = {entry.path: entry.file.sha256 for entry in manifest.entries}
    server.files[files[b"weights"]] = b"is there already"
    assert await keeper.save(RUN, END, saved) == ""
    assert server.uploads == [files[b"state"]]


async def test_a_download_that_broke_off_goes_on_where_it_was(keeper, server, saved, target):
    (saved / "deep" / "copy").unlink()
    (saved / "state").unlink()
    await keeper.save(RUN, END, saved)
    server.cut_downloads = [200_000, 300_000]
    assert await keeper.restore(RUN, target) == ""
    assert server.downloads == [0, 200_000, 500_000]
    assert content(target) == content(saved)


async def test_a_damaged_file_is_not_restored(keeper, server, saved, target):
    await keeper.save(RUN, END, saved)
    server.files = dict.fromkeys(server.files, b"damaged")
    problem = await keeper.restore(RUN, target)
    assert "is damaged" in problem
    assert isinstance(problem, Damage)


@pytest.mark.parametrize(
    ("failure", "damaged"),
    [
        (NotFound("not all is there", reason="CHECKPOINT_DAMAGED"), True),
        (NotFound("no such run", reason="RUN_NOT_FOUND"), False),
        (Exhausted("full", reason="OBJECT_STORE_FULL"), False),
    ],
)
async def test_only_what_is_wrong_with_the_checkpoint_itself_is_called_damage(
    keeper, server, saved, target, failure, damaged
):
    await keeper.save(RUN, END, saved)
    server.failures.append(failure)
    problem = await keeper.restore(RUN, target)
    assert failure.message in problem
    assert isinstance(problem, Damage) is damaged


async def test_a_manifest_that_leads_out_of_the_folder_is_refused(keeper, server, saved, target):
    await keeper.save(RUN, END, saved)
    server.manifest.entries[0].path = b"../outside"
    problem = await keeper.restore(RUN, target)
    assert "not a path" in problem
    assert isinstance(problem, Damage)
    assert not (target.parent / "outside").exists()


async def test_a_file_that_cannot_be_read_any_more_is_a_problem_and_no_hang(
    keeper, server, saved, monkeypatch
):
    def unreadable(folder: Path, path: bytes):
        raise OSError(5, "Input/output error")
        yield

    whole = checkpoint_files.manifest_of(saved, checkpoint_files.scan(saved))
    monkeypatch.setattr(checkpoint_files, "manifest_of", lambda *_: whole)
    monkeypatch.setattr(checkpoint_files, "read", unreadable)
    assert "Input/output error" in await keeper.save(RUN, END, saved)


async def test_a_node_without_room_says_so_before_it_begins(keeper, server, target):
    huge = RunRequest(RUN.run_id, 3, ("train",), restore=Restore("ckpt-1", 1 << 60))
    assert "the node's disk has" in await keeper.restore(huge, target)
    assert server.downloads == []


async def test_a_machine_whose_clock_is_wrong_signs_by_the_servers_time(
    keeper: CheckpointKeeper, server: FakeCheckpointServer, saved: Path
) -> None:
    now = 2_000_000_000
    server.failures.append(
        Unauthenticated(
            "expired", reason="CREDENTIAL_EXPIRED", server_time_micros=f"{now * 1_000_000}"
        )
    )
    assert await keeper.save(RUN, END, saved) == ""
    refused, taken, *_ = (
        jwt.decode(token.removeprefix("Bearer "), options={"verify_signature": False})["iat"]
        for token in server.tokens
    )
    assert refused < now <= taken < now + 60
