import os
import resource
import signal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from windlass_agent.frames import HEADER, FrameWriter, file_end, frames, whole_length

PIECES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=12)


def encoded(pieces) -> bytes:
    return b"".join(HEADER.pack(s, i, len(p)) + p for i, (s, p) in enumerate(pieces))


def test_the_header_is_that_of_the_contract():
    assert HEADER.size == 13
    assert HEADER.pack(2, 1, 3) == b"\x02" + b"\0" * 7 + b"\x01" + b"\0\0\0\x03"


@given(PIECES, st.integers(min_value=0, max_value=600))
def test_a_cut_log_is_read_up_to_its_last_whole_frame(pieces, cut):
    data = encoded(pieces)[:cut]
    end = whole_length(data)
    ends = [len(encoded(pieces[:count])) for count in range(len(pieces) + 1)]
    assert end == max(e for e in ends if e <= len(data))
    assert [(f.stream, f.payload) for f in frames(data)] == pieces[: ends.index(end)] or end == 0


def test_what_a_damaged_disk_made_of_a_frame_is_none(tmp_path: Path):
    whole, rest = encoded([(1, b"abc")]), encoded([(1, b"def")])
    for damaged in (b"\0" * 16, HEADER.pack(9, 0, 3) + b"xyz", HEADER.pack(1, 0, 70_000)):
        data = whole + damaged + b"z" * 70_000 + rest
        (tmp_path / "log").write_bytes(data)
        assert whole_length(data) == file_end(tmp_path / "log") == len(whole)


def test_what_cannot_be_written_is_counted_and_frames_stay_whole(tmp_path: Path):
    path = tmp_path / "log"
    writer = FrameWriter(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    writer.append(1, b"kept")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        writer.append(1, b"lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    writer.append(2, b"kept too")
    assert writer.dropped == 4
    assert [f.payload for f in frames(path.read_bytes())] == [b"kept", b"kept too"]


def test_the_end_of_a_dead_runs_log_leaves_out_a_cut_frame(tmp_path: Path):
    whole = encoded([(1, b"abc"), (2, b"")])
    (tmp_path / "log").write_bytes(whole + HEADER.pack(1, 0, 10) + b"cut")
    assert file_end(tmp_path / "log") == len(whole)
    assert file_end(tmp_path / "absent") == 0
