"""A log that grows no faster and no larger than it may, and says what it lacks."""

import os
import re
from pathlib import Path

import pytest

from windlass_agent.bounded_log import BoundedLog
from windlass_agent.frames import FrameWriter, frames

OUT, ERR = 1, 2
KIB, MIB = 1 << 10, 1 << 20
NANOS = 1_000_000_000


class World:
    """A log whose clock a test moves."""

    def __init__(self, path: Path, quota: int = 0, rate: int = 0) -> None:
        self.path = path
        self.seconds = 1000.0
        self.writer = FrameWriter(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        self.log = BoundedLog(
            self.writer,
            quota,
            rate,
            monotonic=lambda: self.seconds,
            now_ns=lambda: int(self.seconds * NANOS),
        )

    def text(self, stream: int = OUT) -> str:
        found = frames(self.path.read_bytes())
        return b"".join(one.payload for one in found if one.stream == stream).decode()

    def sizes(self) -> int:
        return self.path.stat().st_size


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "output.log"


def lines(first: int, behind: int, width: int = 100) -> bytes:
    """So many lines of a width, numbered."""
    return b"".join(
        f"{number} ".ljust(width - 1, "x").encode() + b"\n" for number in range(first, behind)
    )


def said(text: str) -> list[tuple[int, int]]:
    """The bytes and lines that a log says it lacks."""
    return [
        (int(size), int(count))
        for size, count in re.findall(r"\[windlass: (\d+) bytes \((\d+) lines\) of std", text)
    ]


def test_a_log_within_its_bounds_is_as_it_was_printed(path: Path) -> None:
    world = World(path, quota=MIB, rate=MIB)
    for number in range(0, 1000, 100):
        world.log.append(OUT, lines(number, number + 100, 50))
    assert world.log.wake_at is None
    world.log.finish()
    assert world.text() == lines(0, 1000, 50).decode()


def test_without_bounds_everything_is_kept(path: Path) -> None:
    world = World(path)
    for number in range(0, 50_000, 500):
        world.log.append(OUT, lines(number, number + 500))
    world.log.finish()
    assert world.text() == lines(0, 50_000).decode()


def test_what_comes_too_fast_is_left_out_and_counted(path: Path) -> None:
    world = World(path, rate=MIB)
    for number in range(0, 100_000, 500):
        world.log.append(OUT, lines(number, number + 500))
    # 10 MB at once: two seconds' worth is written, and the newest is kept for later.
    assert 1.9 * MIB < world.sizes() < 2.1 * MIB
    assert world.log.wake_at == pytest.approx(world.seconds + 1, abs=0.1)
    world.seconds = world.log.wake_at or 0
    world.log.go_on()
    assert world.log.wake_at is None
    text = world.text()
    [(size, count)] = said(text)
    assert size == count * 100
    shown = [line for line in text.splitlines() if not line.startswith("[windlass")]
    assert len(shown) + count == 100_000
    assert int(shown[-1].split()[0]) == 99_999
    assert "more than 1 MiB a second" in text
    # The lines around the gap are whole.
    assert all(len(line) == 99 for line in shown)


def test_a_task_that_prints_for_long_gets_its_rate(path: Path) -> None:
    world = World(path, rate=MIB)
    for number in range(1000):
        world.seconds += 0.01
        world.log.append(OUT, lines(number * 500, number * 500 + 500))
        world.log.go_on()
    assert 10 * MIB < world.sizes() < 12.5 * MIB
    world.log.finish()
    text = world.text()
    shown = [line for line in text.splitlines() if not line.startswith("[windlass")]
    assert sum(count for _, count in said(text)) + len(shown) == 500_000
    assert len(said(text)) < 12


def test_the_quota_keeps_the_beginning_and_the_end(path: Path) -> None:
    world = World(path, quota=4 * MIB)
    for number in range(0, 200_000, 500):
        world.log.append(OUT, lines(number, number + 500))
    assert world.log.wake_at is None
    # Who follows is told at once.
    assert "the quota of 4 MiB for this log is used up; the last of it is shown" in world.text()
    world.log.finish()
    assert world.sizes() <= 4 * MIB + KIB
    text = world.text()
    [(size, count)] = said(text)
    shown = [line for line in text.splitlines() if not line.startswith("[windlass")]
    assert shown[0].startswith("0 ")
    assert shown[-1].startswith("199999 ")
    assert len(shown) + count == 200_000
    assert size == count * 100
    assert all(len(line) == 99 for line in shown)


def test_each_stream_says_what_it_lacks(path: Path) -> None:
    world = World(path, quota=MIB)
    for number in range(0, 40_000, 200):
        world.log.append(OUT, lines(number, number + 200))
        world.log.append(ERR, lines(number, number + 100))
    world.log.finish()
    for stream, total in ((OUT, 40_000), (ERR, 20_000)):
        text = world.text(stream)
        [(_, count)] = said(text)
        shown = [line for line in text.splitlines() if not line.startswith("[windlass")]
        assert len(shown) + count == total
    assert "of stderr are left out" in world.text(ERR)


def test_the_marker_is_a_line_of_its_own(path: Path) -> None:
    world = World(path, quota=MIB)
    world.log.append(OUT, b"x" * 10)
    for _ in range(40):
        world.log.append(OUT, b"x" * 50_000)
    world.log.append(OUT, b"\nend\n")
    world.log.finish()
    found = [line for line in world.text().splitlines() if "windlass" in line]
    assert len(found) == 2
    assert all(line.startswith("[windlass: ") and line.endswith("]") for line in found)
    assert world.text().endswith("\nend\n")


def test_many_small_pieces_cost_no_more_memory_than_they_are_long(path: Path) -> None:
    world = World(path, quota=MIB)
    for _ in range(100_000):
        world.log.append(OUT, b"0123456789abcdef0123456789abcde\n")
    assert sum(len(one.payload) for one in world.log._kept) <= MIB // 8
    assert len(world.log._kept) < 10


def test_nothing_is_said_where_nothing_is_left_out(path: Path) -> None:
    world = World(path, rate=MIB)
    for _ in range(42):
        world.log.append(OUT, lines(0, 500))
    assert world.log.wake_at is not None
    world.log.finish()
    assert "windlass" not in world.text()
    assert world.text().count("\n") == 42 * 500


def test_the_times_are_those_at_which_it_was_printed(path: Path) -> None:
    world = World(path, rate=MIB)
    for second in range(40):
        world.log.append(OUT, f"second {second}\n".encode().rjust(60_000, b"x"))
    printed = world.seconds
    world.seconds += 5
    world.log.go_on()
    times = [one.time_ns for one in frames(path.read_bytes()) if b"windlass" not in one.payload]
    assert set(times) == {int(printed * NANOS)}
