"""Lines of logs: put together from pieces, searched, and gone on with at any place."""

import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from windlass_server.errors import InvalidInput
from windlass_server.hub import EventHub
from windlass_server.objects import log_view
from windlass_server.objects.frames import Chunk, Frame, Place, encode, parse
from windlass_server.objects.log_lines import MAX_LINE_BYTES, Held, Lines, matcher
from windlass_server.objects.log_view import Limits
from windlass_server.objects.logs import LogStore

RUN = "run-" + "0" * 24 + "ab"
ALL = Limits(stream=0, start=0, before=0, whole=False)


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path, EventHub())
    yield store
    await store.close()


def frames_of(*pieces: str | tuple[str, int]) -> list[Frame]:
    """A frame for each piece, of stdout unless it says; their times are 1, 2, 3, ..."""
    said = [(piece, 1) if isinstance(piece, str) else piece for piece in pieces]
    data = (encode(stream, time, text.encode()) for time, (text, stream) in enumerate(said, 1))
    return parse(b"".join(data), 0)


def shown(reader: Lines, frames: list[Frame]) -> list[str]:
    return [chunk.payload.decode() for frame in frames for chunk in reader.take(frame)]


def found(pattern: str, text: str, **options: bool) -> list[str]:
    data = text.encode()
    spans = matcher(pattern, **options).spans(data)
    return [data[begin:end].decode() for begin, end in spans]


@pytest.mark.parametrize(
    ("pattern", "text", "lines"),
    [
        ("b", "a\nb\ncb\n", ["b\n", "cb\n"]),
        ("^b$", "a\nb\ncb\n", ["b\n"]),
        ("^$", "a\n\nb\n", ["\n"]),
        ("^$", "a\n", []),
        ("b$", "a\nb", ["b"]),
        ("a.b|a\\s+b|a[^x]b", "a\nb\n", []),
        ("\\Ab", "a\nb\n", ["b\n"]),
        ("a\\z", "a\nb\n", ["a\n"]),
        ("(?-m)^b", "a\nb\n", ["b\n"]),
        ("x*", "a\nb\n", ["a\n", "b\n"]),
        ("é", "É\né\n", ["é\n"]),
    ],
)
def test_an_expression_is_looked_for_in_each_line(
    pattern: str, text: str, lines: list[str]
) -> None:
    assert found(pattern, text) == lines


def test_capitals_and_small_letters_and_texts_that_are_no_expressions() -> None:
    assert found("LOSS é", "loss É\nloss e\n", ignore_case=True) == ["loss É\n"]
    assert found("a.b(", "a.b(\naxb(\n", fixed=True) == ["a.b(\n"]
    assert found("A.B(", "a.b(\n", fixed=True, ignore_case=True) == ["a.b(\n"]


@pytest.mark.parametrize(
    "pattern", ["(", "*", "(?<=a)b", "(a)\\1", "[[:nope:]]", "(.{1000}){1000}"]
)
def test_what_is_no_expression_of_re2_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="RE2") as refused:
        matcher(pattern)
    assert refused.value.reason == "GREP_INVALID"
    assert "(?m)" not in refused.value.message


def test_no_expression_takes_longer_than_its_text_is_long() -> None:
    text = b"x" * 20_000 + b"\n"
    began = time.process_time()
    assert list(matcher("(x+x+)+y").spans(text * 20)) == []
    # Python's own needs longer than the universe is old for a line of this.
    assert time.process_time() - began < 30


def test_lines_in_pieces_are_put_together_for_each_stream() -> None:
    frames = frames_of("one ", ("err", 2), "line\nand ", ("or\n", 2), "more", "\n")
    assert shown(Lines(), frames) == ["one line\n", "error\n", "and more\n"]
    assert shown(Lines(stream=2), frames) == ["error\n"]
    assert shown(Lines(matcher=matcher("^error$|re")), frames) == ["error\n", "and more\n"]


def test_progress_bars_are_shown_as_they_come_but_searched_as_one_line() -> None:
    frames = frames_of("10%\r", "20%\r", "done\n")
    assert shown(Lines(), frames) == ["10%\r", "20%\r", "done\n"]
    assert shown(Lines(matcher=matcher("10%.*done")), frames) == ["10%\r20%\rdone\n"]


def test_a_line_that_does_not_end_is_shown_in_pieces() -> None:
    frames = frames_of("x" * 50_000, "x" * 50_000, "x" * 50_000 + "\n")
    assert [len(one) for one in shown(Lines(), frames)] == [65536, 65536, 18929]
    assert [len(one) for one in shown(Lines(matcher=matcher("x")), frames)] == [65536, 65536, 18929]


def test_what_had_no_line_end_for_a_megabyte_of_log_is_shown() -> None:
    noise = [("n" * 1023 + "\n", 2)] * 1100
    texts = shown(Lines(), frames_of("half", *noise, " a line\n"))
    assert [one for one in texts if not one.startswith("n")] == ["half", " a line\n"]


def random_log(number: random.Random) -> list[Frame]:
    def piece() -> tuple[str, int]:
        text = "".join(number.choice(["a", "b", "loss", "\n"]) for _ in range(number.randint(1, 8)))
        return text, number.choice([1, 2])

    return frames_of(*[piece() for _ in range(40)])


def read_all(view: log_view.LogView, place: Place, make: object) -> Iterator[Chunk]:
    """What a new reader shows that begins at a place."""
    reader = make(view.held(place))  # type: ignore[operator]
    while True:
        chunks, after, _ = view.lines(place, reader, 30)
        if after == place:
            return
        yield from chunks
        place = after


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("pattern", ["", "loss", "^$"])
async def test_a_reader_can_go_on_behind_every_line_without_losing_or_doubling_a_byte(
    logs: LogStore, seed: int, pattern: str
) -> None:
    number = random.Random(seed)
    frames = random_log(number)
    await logs.append(RUN, 0, b"".join(encode(f.stream, f.time_nanos, f.payload) for f in frames))

    def make(held: Held) -> Lines:
        return Lines(held, matcher=matcher(pattern) if pattern else None)

    with logs._files.view(RUN) as view:
        whole = list(read_all(view, Place(0), make))
        assert whole or pattern
        for count, chunk in enumerate(whole, 1):
            assert view.has_place(chunk.after)
            behind = [(one.stream, one.payload) for one in read_all(view, chunk.after, make)]
            assert behind == [(one.stream, one.payload) for one in whole[count:]]


async def test_a_place_that_says_more_was_held_back_than_came_is_none(logs: LogStore) -> None:
    end = await logs.append(RUN, 0, encode(1, 1, b"abc") + encode(2, 1, b"d"))
    assert await logs.has_place(RUN, Place(end, held=(3, 1)))
    assert not await logs.has_place(RUN, Place(end, held=(4, 1)))
    assert not await logs.has_place(RUN, Place(end, held=(3, 2)))
    assert await logs.held(RUN, Place(end, held=(2, 1))) == Held((b"bc", b"d"), (0, 16), (1, 1))
    assert await logs.held(RUN, Place(0, 2, (1, 0))) == Held((b"b", b""), (0, 0), (1, 0))


@pytest.mark.parametrize("lines", [0, 1, 2, 5, 99, 100, 101, 1000])
@pytest.mark.parametrize("window", [1 << 20, 8 << 20])
async def test_the_tail_counts_the_lines_that_match(
    logs: LogStore, monkeypatch: pytest.MonkeyPatch, lines: int, window: int
) -> None:
    monkeypatch.setattr(log_view, "_WINDOW_BYTES", window)
    end = 0
    for batch in range(10):
        texts = [f"{number} {'x' * 1000}\n" for number in range(batch * 500, (batch + 1) * 500)]
        texts[::50] = [one.replace("x", "loss", 1) for one in texts[::50]]
        # Cut anywhere, as pipes do.
        data = "".join(texts).encode()
        cut = [data[begin : begin + 7777] for begin in range(0, len(data), 7777)]
        end = await logs.append(RUN, end, b"".join(encode(1, 1, one) for one in cut))
    limits = Limits(stream=0, start=0, before=end, whole=False)
    place = await logs.tail_matching(RUN, lines, matcher("loss"), limits)
    with logs._files.view(RUN) as view:
        behind = list(read_all(view, place, lambda held: Lines(held, matcher=matcher("loss"))))
    assert b"".join(one.payload for one in behind).count(b"\n") == min(lines, 100)


async def test_a_time_is_found_though_the_clock_was_set_back(logs: LogStore) -> None:
    times = [10, 20, 30, 15, 25, 40]
    end, begins = 0, []
    for one in times:
        begins.append(end)
        data = b"".join(encode(1, one, b"x" * 60_000) for _ in range(10))
        end = await logs.append(RUN, end, data)
    for wanted, block in [(0, 0), (10, 0), (11, 1), (21, 2), (30, 2), (31, 5), (40, 5)]:
        assert await logs.since(RUN, wanted) == begins[block]
    assert await logs.since(RUN, 41) == end
    assert await logs.since(RUN, 1 << 70) == end
    assert await logs.since(RUN, -1) == 0


async def test_a_time_is_found_again_by_the_next_server(logs: LogStore, tmp_path: Path) -> None:
    data = [b"".join(encode(1, one, b"x" * 60_000) for _ in range(10)) for one in range(1, 9)]
    end = 0
    for batch in data:
        end = await logs.append(RUN, end, batch)
    again = LogStore(tmp_path, EventHub())
    assert [await again.since(RUN, one) for one in range(9)] == [
        await logs.since(RUN, one) for one in range(9)
    ]
    assert await again.since(RUN, 5) == sum(len(batch) for batch in data[:4])
    await again.close()


async def test_a_late_time_is_found_without_reading_what_comes_before(logs: LogStore) -> None:
    end = 0
    for one in range(1, 31):
        data = b"".join(encode(1, one, b"x" * 60_000) for _ in range(15))
        end = await logs.append(RUN, end, data)
    with logs._files.view(RUN) as view:
        read: list[int] = []

        def pread(size: int, position: int) -> bytes:
            read.append(size)
            return view.pread(size, position)

        counted = log_view.LogView(RUN, view.end, view.marks, view.newest, pread)
        assert counted.since(29) > 20 << 20
    assert sum(read) < 4 << 20


def test_all_of_a_held_line_of_the_largest_size_is_found() -> None:
    reader = Lines()
    assert shown(reader, frames_of("x" * (MAX_LINE_BYTES - 1))) == []
    assert reader.held_sizes == (MAX_LINE_BYTES - 1, 0)
