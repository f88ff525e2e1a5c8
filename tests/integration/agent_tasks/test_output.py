from tests.support.tasks import Bench, a_run, a_script
from windlass_agent.frames import MAX_PAYLOAD, STDERR, STDOUT


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
