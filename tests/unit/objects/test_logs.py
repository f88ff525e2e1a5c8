"""Logs of runs on a real disk."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from windlass_server.errors import InvalidInput
from windlass_server.hub import EventHub
from windlass_server.objects import log_files
from windlass_server.objects.frames import MAX_BATCH_BYTES, Frame, Place, encode
from windlass_server.objects.logs import LogRefused, LogStore

START = Place(0)
RUN = "run-" + "0" * 24 + "ab"
OTHER = "run-" + "0" * 24 + "cd"


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path, EventHub())
    yield store
    await store.close()


def lines(*texts: str, stream: int = 1) -> bytes:
    """A frame for each text."""
    return b"".join(encode(stream, 7, text.encode()) for text in texts)


async def text_of(logs: LogStore, run_id: str = RUN, place: Place = START) -> str:
    """Everything from a place on."""
    text, position, skip = "", place.position, place.skip
    while frames := await logs.read(run_id, position):
        text += b"".join(frame.payload for frame in frames)[skip:].decode()
        position, skip = frames[-1].end_position, 0
    return text


async def refusal(logs: LogStore, position: int, frames: bytes) -> tuple[str, int]:
    with pytest.raises(LogRefused) as refused:
        await logs.append(RUN, position, frames)
    return refused.value.reason, refused.value.end


async def test_what_is_appended_is_read_back(logs: LogStore) -> None:
    first, second = lines("a\n", "b\n"), lines("c\n")

    assert await logs.append(RUN, 0, first) == len(first)
    assert await logs.append(RUN, len(first), second) == len(first + second)

    assert await text_of(logs) == "a\nb\nc\n"
    assert await logs.end(RUN) == len(first + second)


async def test_it_lies_in_one_file_for_each_run(logs: LogStore, tmp_path: Path) -> None:
    await logs.append(RUN, 0, lines("a"))
    await logs.append(OTHER, 0, lines("b"))
    assert (tmp_path / "ab" / f"{RUN}.log").read_bytes() == lines("a")
    assert (tmp_path / "cd" / f"{OTHER}.log").read_bytes() == lines("b")


async def test_a_run_without_output_has_an_empty_log_and_no_file(
    logs: LogStore, tmp_path: Path
) -> None:
    assert await logs.end(RUN) == 0
    assert await logs.append(RUN, 0, b"") == 0
    assert await logs.read(RUN, 0) == []
    assert await logs.tail(RUN, 5) == Place(0)
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a look, not work


@pytest.mark.parametrize("frames_held", [0, 1, 2, 3])
async def test_what_the_log_has_already_is_skipped(logs: LogStore, frames_held: int) -> None:
    parts = [lines("a"), lines("bb"), lines("ccc")]
    whole = b"".join(parts)
    await logs.append(RUN, 0, b"".join(parts[:frames_held]))

    assert await logs.append(RUN, 0, whole) == len(whole)
    assert await logs.append(RUN, len(parts[0]), b"".join(parts[1:])) == len(whole)

    assert await text_of(logs) == "abbccc"


async def test_an_empty_batch_asks_for_the_end_wherever_it_says_it_is(logs: LogStore) -> None:
    end = await logs.append(RUN, 0, lines("a"))
    for position in (0, end, end + 1000):
        assert await logs.append(RUN, position, b"") == end


async def test_a_gap_is_refused_with_the_end(logs: LogStore) -> None:
    end = await logs.append(RUN, 0, lines("a"))
    assert await refusal(logs, end + 1, lines("b")) == ("LOG_GAP", end)
    assert await text_of(logs) == "a"


@pytest.mark.parametrize(
    "frames",
    [
        lines("b")[:-1],
        lines("b") + b"\x01",
        b"garbage, and quite some of it",
        lines("b") + encode(9, 0, b"x"),
        encode(1, 0, b"x" * (MAX_BATCH_BYTES - 13)) + lines("b"),
    ],
)
async def test_what_is_not_whole_frames_is_refused_and_changes_nothing(
    logs: LogStore, frames: bytes
) -> None:
    end = await logs.append(RUN, 0, lines("a"))
    assert await refusal(logs, end, frames) == ("LOG_BAD_FRAMES", end)
    assert await text_of(logs) == "a"


async def test_frames_that_do_not_meet_the_end_are_refused(logs: LogStore) -> None:
    end = await logs.append(RUN, 0, lines("abc"))
    # It overlaps the end in the middle of a frame: taking its rest would make the log unreadable.
    assert await refusal(logs, 1, lines("abc", "d")) == ("LOG_BAD_FRAMES", end)
    assert await refusal(logs, -5, lines("abc", "d")) == ("LOG_BAD_FRAMES", end)
    assert await text_of(logs) == "abc"


async def test_a_batch_that_begins_before_the_log_is_refused(logs: LogStore) -> None:
    before = lines("before")
    assert await refusal(logs, -len(before), before + lines("a")) == ("LOG_BAD_FRAMES", 0)


async def test_a_refused_batch_spoils_none_that_came_with_it(logs: LogStore) -> None:
    first = lines("a")
    results = await asyncio.gather(
        logs.append(RUN, 0, first),
        logs.append(RUN, 999, lines("x")),
        logs.append("../../etc/passwd", 0, first),
        logs.append(OTHER, 0, lines("o")),
        logs.append(RUN, len(first), lines("b")),
        return_exceptions=True,
    )

    assert [isinstance(result, Exception) for result in results] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert await text_of(logs) == "ab"
    assert await text_of(logs, OTHER) == "o"


@pytest.mark.parametrize(
    "run_id",
    ["", "run-", "../../x", "run-" + "a" * 25, "run-" + "A" * 26, RUN + "\n", "job-" + "0" * 26],
)
async def test_only_the_id_of_a_run_becomes_a_path(logs: LogStore, run_id: str) -> None:
    with pytest.raises(InvalidInput):
        await logs.append(run_id, 0, lines("a"))
    with pytest.raises(InvalidInput):
        await logs.read(run_id, 0)
    with pytest.raises(InvalidInput):
        await logs.end(run_id)


@pytest.mark.parametrize(
    "leftover", [b"\x01", lines("torn")[:-1], b"\x00" * 5000, encode(1, 0, b"x" * 99)[:50]]
)
async def test_a_torn_end_is_cut_off_after_a_crash(tmp_path: Path, leftover: bytes) -> None:
    whole = lines("a\n", "b\n")
    path = tmp_path / "ab" / f"{RUN}.log"
    path.parent.mkdir()
    path.write_bytes(whole + leftover)
    logs = LogStore(tmp_path, EventHub())

    assert await logs.end(RUN) == len(whole)
    assert await text_of(logs) == "a\nb\n"
    await logs.append(RUN, len(whole), lines("c"))

    assert path.read_bytes() == whole + lines("c")
    await logs.close()


async def test_a_log_is_found_again_by_the_next_server(tmp_path: Path) -> None:
    first = LogStore(tmp_path, EventHub())
    end = await first.append(RUN, 0, lines("a\n"))
    await first.close()

    second = LogStore(tmp_path, EventHub())
    assert await second.append(RUN, 0, b"") == end
    await second.append(RUN, end, lines("b\n"))
    assert await text_of(second) == "a\nb\n"
    await second.close()


async def test_few_files_stay_open_and_few_logs_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "_MAX_OPEN_FILES", 2)
    monkeypatch.setattr(log_files, "_MAX_KNOWN_LOGS", 2)
    logs = LogStore(tmp_path, EventHub())
    runs = [f"run-{number:026d}" for number in range(6)]
    ends = dict.fromkeys(runs, 0)
    for _ in range(3):
        for run_id in runs:
            ends[run_id] = await logs.append(run_id, ends[run_id], lines("x"))

    assert len(logs._files._open) == 2
    assert len(logs._files._logs) == 2
    assert [await text_of(logs, run_id) for run_id in runs] == ["xxx"] * 6
    await logs.close()


async def test_a_full_disk_loses_nothing_that_was_acknowledged(
    logs: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = await logs.append(RUN, 0, lines("a"))
    write = log_files.os.pwrite

    def half(file: int, data: bytes, position: int) -> int:
        write(file, bytes(data)[: len(data) // 2], position)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_files.os, "pwrite", half)
    with pytest.raises(OSError, match="No space"):
        await logs.append(RUN, end, lines("bcdef"))
    monkeypatch.undo()

    assert await logs.end(RUN) == end
    await logs.append(RUN, end, lines("c"))
    assert await text_of(logs) == "ac"


async def test_what_a_disk_did_not_confirm_is_not_held(
    logs: LogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = await logs.append(RUN, 0, lines("a"))

    def failing(_file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(log_files.os, "fdatasync", failing)
    with pytest.raises(OSError, match="Input/output"):
        await logs.append(RUN, end, lines("lost"))
    monkeypatch.undo()

    # It can be read from the system's memory, which says nothing of the disk.
    assert await logs.append(RUN, 0, b"") == end
    await logs.append(RUN, end, lines("b"))
    assert (tmp_path / "ab" / f"{RUN}.log").read_bytes() == lines("a", "b")


async def test_a_reader_gets_at_least_one_frame_and_about_as_much_as_it_asks(
    logs: LogStore,
) -> None:
    await logs.append(RUN, 0, lines("x" * 1000, "y" * 1000, "z" * 1000))
    assert [len(await logs.read(RUN, 0, size)) for size in (1, 1013, 2026, 9999)] == [1, 1, 2, 3]


@pytest.mark.parametrize("position", [-1, 1, 5, 10_000, 10**18])
async def test_a_position_that_is_no_boundary_is_refused(logs: LogStore, position: int) -> None:
    await logs.append(RUN, 0, lines("\xff" * 40))
    with pytest.raises(InvalidInput) as refused:
        await logs.read(RUN, position)
    assert refused.value.reason == "LOG_POSITION_INVALID"


# Output that itself looks like a frame, behind one that does not: frames begin at 0, 14 and 42.
TRICKY = lines("a") + encode(1, 7, encode(2, 8, b"b!")) + lines("c")


@pytest.mark.parametrize(
    ("position", "skip", "there"),
    [
        (0, 0, True),
        (14, 0, True),
        (14, 1, True),
        (14, 14, True),
        (14, 15, False),
        (27, 0, False),
        (42, 0, True),
        (42, 1, False),
        (56, 0, True),
        (56, 1, False),
        (57, 0, False),
        (1, 0, False),
        (10**18, 0, False),
    ],
)
async def test_a_reader_goes_on_only_where_a_frame_begins_or_within_its_payload(
    logs: LogStore, position: int, skip: int, there: bool
) -> None:
    await logs.append(RUN, 0, TRICKY)
    assert await logs.has_place(RUN, Place(position, skip)) is there


async def test_a_place_in_a_long_log_is_found_across_blocks(logs: LogStore) -> None:
    batch = lines(*(["x" * 1023 + "\n"] * 900))
    frame = len(batch) // 900
    end = 0
    for _ in range(3):
        end = await logs.append(RUN, end, batch)
    for position in (0, 899 * frame, 1500 * frame, 2699 * frame):
        assert await logs.has_place(RUN, Place(position, 5))
        assert not await logs.has_place(RUN, Place(position + 1))


async def test_a_log_that_is_damaged_on_disk_has_no_place_behind_the_damage(
    logs: LogStore, tmp_path: Path
) -> None:
    await logs.append(RUN, 0, lines("a", "b", "c"))
    with (tmp_path / "ab" / f"{RUN}.log").open("r+b") as file:
        file.seek(14)
        file.write(b"\xff")
    assert await logs.has_place(RUN, START)
    assert not await logs.has_place(RUN, Place(14))
    assert not await logs.has_place(RUN, Place(28))


@pytest.mark.parametrize(
    ("written", "count", "expected"),
    [
        (["a\nb\nc\n"], 0, ""),
        (["a\nb\nc\n"], 1, "c\n"),
        (["a\nb\nc\n"], 2, "b\nc\n"),
        (["a\nb\nc\n"], 3, "a\nb\nc\n"),
        (["a\nb\nc\n"], 99, "a\nb\nc\n"),
        (["a\nb\nc"], 1, "c"),
        (["a\n", "b\n", "c\n"], 1, "c\n"),
        (["a\n", "b\n", "c\n"], 2, "b\nc\n"),
        (["a\nb", "b\nc", "c\n"], 1, "cc\n"),
        (["a\nb", "b\nc", "c\n"], 2, "bb\ncc\n"),
        (["a\n", "\n", "\n"], 2, "\n\n"),
        (["no line end"], 1, "no line end"),
    ],
)
async def test_the_tail_is_the_last_lines(
    logs: LogStore, written: list[str], count: int, expected: str
) -> None:
    await logs.append(RUN, 0, lines(*written))
    place = await logs.tail(RUN, count)
    assert await text_of(logs, place=place) == expected


async def test_the_tail_of_one_stream_counts_only_its_lines(logs: LogStore) -> None:
    out, error = lines("o1\n"), lines("e1\n", "e2\n", "e3\n", stream=2)
    await logs.append(RUN, 0, out + error)
    assert await text_of(logs, place=await logs.tail(RUN, 1, stream=1)) == "o1\ne1\ne2\ne3\n"
    assert await text_of(logs, place=await logs.tail(RUN, 2, stream=2)) == "e2\ne3\n"


async def test_the_tail_of_a_long_log_is_found_across_blocks(logs: LogStore) -> None:
    batch = lines(*(["x" * 1023 + "\n"] * 900))
    end = 0
    for _ in range(5):
        end = await logs.append(RUN, end, batch)
    for count in (1, 900, 1500, 4499, 4500):
        place = await logs.tail(RUN, count)
        assert (await text_of(logs, place=place)).count("\n") == count


async def test_who_listens_to_a_run_is_told_of_its_output_when_it_is_there(tmp_path: Path) -> None:
    hub = EventHub()
    logs = LogStore(tmp_path, hub)
    with hub.listening([RUN]) as told:
        await logs.append(OTHER, 0, lines("b"))
        assert not told.is_set()
        appending = asyncio.create_task(logs.append(RUN, 0, lines("a")))
        await told.wait()
        assert await text_of(logs) == "a"
        await appending
        told.clear()
        logs.wake(RUN)
        assert told.is_set()
    await logs.close()


async def test_an_append_that_its_caller_gave_up_is_no_harm(logs: LogStore) -> None:
    first = lines("a")
    given_up = asyncio.create_task(logs.append(RUN, 0, first))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await logs.append(RUN, 0, first) == len(first)
    assert await text_of(logs) == "a"


async def test_what_was_begun_is_written_before_it_closes(tmp_path: Path) -> None:
    logs = LogStore(tmp_path, EventHub())
    append = asyncio.create_task(logs.append(RUN, 0, lines("a")))
    await asyncio.sleep(0)
    await logs.close()
    assert append.done()
    assert (tmp_path / "ab" / f"{RUN}.log").read_bytes() == lines("a")


async def test_followers_of_one_log_share_what_is_read(tmp_path: Path) -> None:
    reads: list[int] = []

    class CountedFiles(log_files.LogFiles):
        def read(self, run_id: str, position: int, max_bytes: int) -> list[Frame]:
            reads.append(position)
            return super().read(run_id, position, max_bytes)

    logs = LogStore(tmp_path, EventHub())
    logs._files = CountedFiles(tmp_path)
    first = lines("a\n")
    end = await logs.append(RUN, 0, first)
    impatient = asyncio.create_task(logs.read(RUN, 0))
    await asyncio.sleep(0)
    impatient.cancel()
    both = await asyncio.gather(logs.read(RUN, 0), logs.read(RUN, 0))
    assert [frames[0].payload for frames in both] == [b"a\n"] * 2
    assert reads == [0]
    await logs.append(RUN, end, lines("b\n"))
    assert [frame.payload for frame in await logs.read(RUN, 0)] == [b"a\n", b"b\n"]
    assert await logs.read(RUN, await logs.end(RUN)) == []
    assert reads == [0, 0]
    await logs.close()


async def test_a_read_that_failed_is_not_kept(tmp_path: Path) -> None:
    logs = LogStore(tmp_path, EventHub())
    await logs.append(RUN, 0, lines("a\n"))
    for _ in range(2):
        with pytest.raises(InvalidInput):
            await logs.read(RUN, 1)
    assert not logs._kept
    await logs.close()
