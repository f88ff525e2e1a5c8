"""A batch that is not parsed is read as it would be if it were."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.agents.v1 import agent_pb2, agents_service_pb2
from windlass.agents.v1.agent_pb2 import Series
from windlass_server.errors import InvalidInput
from windlass_server.rpc.validation import Validation
from windlass_server.telemetry.known_batches import BatchReader, KnownBatch, values_in
from windlass_server.telemetry.readings import Decoder

NOW = 1_800_000_000_000_000_000
Request = agents_service_pb2.StreamTelemetryRequest
_validation = Validation()


def checked(request):
    message = Request.FromString(request)
    _validation.check(message)
    return message


def a_batch(*values, at=NOW, subject="GPU-1", deltas=(0,), **more):
    batch = agent_pb2.SampleBatch(base_time_nanos=at, time_deltas_nanos=deltas, **more)
    for field, value in zip(Series.Field.values()[1:], values, strict=False):
        batch.series.add(field=field, subject=subject, values=[value] * len(deltas))
    return batch


def sent(batch):
    return Request(message=agent_pb2.TelemetryMessage(samples=batch)).SerializeToString()


def rows_of(read, decoder):
    batch = read if isinstance(read, KnownBatch) else read.message.samples
    readings = decoder.decode(batch)
    if readings is None:
        return None
    told = dict(zip(readings.layout.keys, readings.rows.T.tolist(), strict=True))
    processes, runs = list(batch.gpu_processes), list(batch.runs)
    return repr(told), readings.times.tolist(), values_in(batch), processes, runs


PROCESSES = [[], [agent_pb2.GpuProcessSample(gpu_uuid="GPU-1", pid=7, name="p")]]
RUNS = [[], [agent_pb2.RunStamp(run_id="run-" + "0" * 26, epoch=1, gpu_uuids=["GPU-1"])]]
BATCHES = st.builds(
    lambda values, at, subject, deltas, processes, runs: a_batch(
        *values, at=at, subject=subject, deltas=deltas, gpu_processes=processes, runs=runs
    ),
    st.lists(st.floats(), max_size=4),
    st.sampled_from([0, 5, NOW, NOW + 1, NOW + 10**9, 2**56 - 1, 2**63 - 1]),
    st.sampled_from(["GPU-1", "GPU-2", ""]),
    st.sampled_from([(0,), (0, 1000), (5,)]),
    st.sampled_from(PROCESSES),
    st.sampled_from(RUNS),
)


@given(st.lists(BATCHES, max_size=12))
def test_whatever_comes_is_read_as_if_all_of_it_were_parsed(batches):
    reader, one, other = BatchReader(checked), Decoder(), Decoder()
    for request in map(sent, batches):
        assert rows_of(reader(request), one) == rows_of(checked(request), other)


def test_what_comes_again_with_other_values_and_times_is_not_parsed():
    parsed = []
    reader = BatchReader(lambda request: parsed.append(request) or checked(request))
    for second in range(20):
        at = NOW + second * 10**9
        for batch in (a_batch(1.0, second, math.nan, at=at), a_batch(second, at=at)):
            assert isinstance(reader(sent(batch)), KnownBatch) == (second > 0)
    assert len(parsed) == 2


def same_length(request, old, new):
    assert len(old) == len(new)
    assert old in request
    return request.replace(old, new)


def test_what_differs_in_anything_else_is_held_to_the_rules():
    reader = BatchReader(checked)
    request = sent(a_batch(1.0, 2.0))
    reader(request)
    with pytest.raises(InvalidInput, match="subject"):
        reader(same_length(request, b"GPU-1", b"GPU\x00\x01"))
    assert (
        reader(same_length(request, b"GPU-1", b"GPU-2")).message.samples.series[0].subject
        == "GPU-2"
    )
    # A time of ten bytes is negative.
    with pytest.raises(InvalidInput, match="base_time_nanos"):
        reader(sent(a_batch(1.0, 2.0, at=-1)))


def part(number, content):
    return bytes([number << 3 | 2, len(content)]) + content


BATCH = a_batch(1.0, 2.0).SerializeToString()
ODD = {
    "two messages": part(1, part(1, BATCH)) * 2,
    "samples that are to be merged": part(1, part(1, BATCH) * 2),
    "samples and then logs": part(1, part(1, BATCH) + part(2, b"\x0a\x1erun-" + b"0" * 26)),
    "two times": part(1, part(1, BATCH + BATCH[:10])),
    "a short time": sent(a_batch(1.0, at=5)),
    "several times": sent(a_batch(1.0, deltas=(0, 5))),
    "a value that is not packed": part(
        1, part(1, BATCH[:10] + part(2, b"\x00") + part(3, b"\x08\x0a\x19" + b"\x00" * 8))
    ),
    "a value in two pieces": part(
        1,
        part(
            1,
            BATCH[:10] + part(2, b"\x00") + part(3, b"\x08\x0a\x1a\x00\x1a\x08" + b"\x00" * 8),
        ),
    ),
    "no series": sent(a_batch()),
}


@pytest.mark.parametrize("request_", ODD.values(), ids=ODD)
def test_what_is_put_in_an_odd_way_is_read_as_it_is_parsed(request_):
    reader, one, other = BatchReader(checked), Decoder(), Decoder()
    for _ in range(3):
        assert rows_of(reader(request_), one) == rows_of(checked(request_), other)


def test_logs_are_parsed():
    logs = agent_pb2.LogBatch(run_id="run-" + "0" * 26, position=1, frames=b"x")
    request = Request(message=agent_pb2.TelemetryMessage(logs=logs)).SerializeToString()
    reader = BatchReader(checked)
    assert [reader(request) for _ in range(3)] == [checked(request)] * 3


def test_a_node_that_sends_the_same_never_again_is_let_off(monkeypatch):
    looked = []
    module = "windlass_server.telemetry.known_batches._places"
    monkeypatch.setattr(module, looked.append)
    reader = BatchReader(checked)
    for number in range(100):
        reader(sent(a_batch(1.0, subject="x" * number)))
    assert len(looked) == 4


def test_sorts_of_batches_that_are_remembered_are_few():
    reader = BatchReader(checked)
    for length in range(1, 6):
        for second in range(9):
            reader(sent(a_batch(1.0, subject="x" * length, at=NOW + second)))
    assert not isinstance(reader(sent(a_batch(1.0, subject="x"))), KnownBatch)
    assert isinstance(reader(sent(a_batch(1.0, subject="x" * 5))), KnownBatch)


def test_values_are_nobodys_who_sends_them_later():
    reader = BatchReader(checked)
    reader(sent(a_batch(1.0)))
    first, second = reader(sent(a_batch(2.0))), reader(sent(a_batch(3.0)))
    assert np.array_equal(first.values, [2.0])
    assert np.array_equal(second.values, [3.0])
