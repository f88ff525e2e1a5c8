import asyncio
import re
from pathlib import Path

from tests.support.tasks import Bench, a_bench, a_run, a_script
from windlass_agent.frames import MAX_PAYLOAD, STDERR, STDOUT
from windlass_agent.run_types import Isolation


async def test_both_streams_are_kept_in_the_order_of_arrival(bench: Bench):
    run = a_script("for i in 1 2 3; do echo out$i; sleep 0.05; echo err$i >&2; sleep 0.05; done")
    await bench.end(run)
    said = [(frame.stream, frame.payload) for frame in bench.frames(run.run_id)]
    expected = [
        (stream, f"{word}{i}\n".encode())
        for i in (1, 2, 3)
        for stream, word in ((STDOUT, "out"), (STDERR, "err"))
    ]
    assert said == expected
    times = [frame.time_ns for frame in bench.frames(run.run_id)]
    assert times == sorted(times)


async def test_a_large_fast_output_is_complete(any_bench: Bench):
    size = 20 << 20
    run = a_run(
        "python3", "-c", f"import sys; sys.stdout.buffer.write(b'0123456789abcdef' * {size // 16})"
    )
    exit_ = await any_bench.end(run)
    kept = any_bench.frames(run.run_id)
    assert sum(len(frame.payload) for frame in kept) == size
    assert max(len(frame.payload) for frame in kept) <= MAX_PAYLOAD
    assert b"".join(frame.payload for frame in kept) == b"0123456789abcdef" * (size // 16)
    assert exit_.log_end == size + 13 * len(kept)


async def test_bytes_that_are_no_text_are_kept_as_they_are(bench: Bench):
    run = a_script(r"printf '\377\000\200\n'")
    await bench.end(run)
    assert [frame.payload for frame in bench.frames(run.run_id)] == [b"\xff\x00\x80\n"]


async def test_the_end_of_a_log_is_seen_by_a_waiting_reader(bench: Bench):
    run = a_script("echo one; sleep 0.1; echo two")
    await bench.start(run)
    reader, data = bench.runner.log(run.run_id), b""
    while await reader.wait(len(data)):
        data += reader.read(len(data))
    exit_ = await bench.end(run)
    assert len(data) == exit_.log_end
    assert await reader.wait(len(data)) is False


async def test_an_output_that_a_killed_task_left_half_read_is_kept(bench: Bench):
    run = a_script("yes | head -c 300000; kill -9 $$")
    await bench.end(run)
    assert sum(len(frame.payload) for frame in bench.frames(run.run_id)) == 300000


FLOOD = """
import sys
block = b"".join(b"%07d\\n" % number for number in range(1 << 14))
for _ in range({blocks}):
    sys.stdout.buffer.write(block)
print("the end", file=sys.stderr)
"""


async def test_a_flood_is_bounded_counted_and_stops_nobody(data_dir: Path, machine: Isolation):
    mib = 1 << 20
    bounds = {"log_quota_bytes": 8 * mib, "log_rate_bytes": 2 * mib}
    async with asyncio.timeout(100), a_bench(data_dir, machine, **bounds) as bench:
        run = a_run("python3", "-c", FLOOD.format(blocks=1000))
        exit_ = await bench.end(run)
        assert exit_.exit_code == 0
        assert exit_.log_end <= 8 * mib + 4096
        kept = bench.frames(run.run_id)
    text = b"".join(one.payload for one in kept if one.stream == STDOUT).decode()
    left_out = re.findall(r"\[windlass: (\d+) bytes \((\d+) lines\) of stdout are left out", text)
    shown = [line for line in text.splitlines() if line and not line.startswith("[windlass")]
    assert shown[-1] == f"{(1 << 14) - 1:07d}"
    assert len(shown) + sum(int(lines) for _, lines in left_out) == 1000 << 14
    assert left_out
    assert b"".join(one.payload for one in kept if one.stream == STDERR).endswith(b"the end\n")


async def test_what_was_printed_too_fast_comes_though_nothing_follows(
    data_dir: Path, machine: Isolation
):
    rate = {"log_rate_bytes": 1 << 20}
    async with asyncio.timeout(100), a_bench(data_dir, machine, **rate) as bench:
        run = a_run("python3", "-c", FLOOD.format(blocks=40) + "import time; time.sleep(1000)")
        await bench.start(run)
        reader, data = bench.runner.log(run.run_id), b""
        while b"the end" not in data:
            assert await reader.wait(len(data))
            data += reader.read(len(data))
        assert b"are left out, printed from" in data
        assert len(data) < 4 << 20
