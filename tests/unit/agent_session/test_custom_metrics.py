"""What a run says of itself is held until the server has it: bounded, once each, and what is lost is counted."""

import pytest

from windlass.agents.v1 import custom_metric_pb2 as pb
from windlass_agent.custom_metrics import MAX_HELD, MAX_NAMES, VALUES_PER_SECOND, RunMetrics

RUN = "run-" + "0" * 26
AT_ONCE = 10_000


@pytest.fixture
def metrics() -> RunMetrics:
    return RunMetrics(RUN, 1, 0.0, source=lambda: 7)


def an_ack(batch: pb.MetricBatch) -> pb.MetricAck:
    return pb.MetricAck(run_id=batch.run_id, source=batch.source, position=batch.position)


def sent(metrics: RunMetrics) -> pb.MetricBatch:
    """The next batch, which the server has."""
    batch = metrics.next_batch()
    assert batch is not None
    metrics.on_ack(an_ack(batch))
    return batch


def test_values_go_by_columns(metrics: RunMetrics) -> None:
    metrics.take(b"loss=3 step=1\nacc=0.5", 10, 0.0)
    metrics.take(b"loss=2 step=2", 20, 0.1)
    batch = sent(metrics)
    assert (batch.run_id, batch.epoch, batch.source, batch.position) == (RUN, 1, 7, 0)
    loss, acc = batch.columns
    assert (loss.name, list(loss.times), list(loss.steps)) == ("loss", [10, 20], [1, 2])
    assert list(loss.values) == [3, 2]
    assert (acc.name, list(acc.steps), list(acc.values)) == ("acc", [-1], [0.5])
    assert not metrics.waiting
    assert metrics.next_batch() is None


def test_the_same_batch_goes_again_until_it_is_acknowledged(metrics: RunMetrics) -> None:
    metrics.take(b"x=1", 1, 0.0)
    first = metrics.next_batch()
    assert first is not None
    metrics.take(b"x=2", 2, 0.0)
    assert metrics.next_batch() == first
    for stray in ({"source": 8}, {"position": 1}):
        other = an_ack(first)
        for name, value in stray.items():
            setattr(other, name, value)
        metrics.on_ack(other)
        assert metrics.next_batch() == first
    metrics.on_ack(an_ack(first))
    second = sent(metrics)
    assert (second.position, list(second.columns[0].values)) == (1, [2])


def test_lines_that_make_no_sense_are_told_and_spoil_no_others(metrics: RunMetrics) -> None:
    metrics.take(b"x=1\nnonsense\ny=2\n\x01=\x02", 1, 0.0)
    batch = sent(metrics)
    assert [one.name for one in batch.columns] == ["x", "y"]
    assert (batch.tally.values, batch.tally.malformed_lines) == (2, 2)
    assert batch.tally.last_malformed.isprintable()


def test_that_a_line_made_no_sense_is_told_though_nothing_else_is_there(
    metrics: RunMetrics,
) -> None:
    metrics.take(b"nonsense", 1, 0.0)
    assert sent(metrics).tally.last_malformed == "not name=number: nonsense"
    assert not metrics.waiting


def test_names_beyond_those_that_a_run_may_use_are_counted(metrics: RunMetrics) -> None:
    for number in range(MAX_NAMES + 5):
        metrics.take(b"n%d=1 n0=2" % number, 1, 0.0)
    batch = sent(metrics)
    assert (len(batch.columns), batch.tally.refused_values) == (MAX_NAMES, 5)


def test_values_that_come_too_fast_are_counted_and_a_second_later_there_is_room_again(
    metrics: RunMetrics,
) -> None:
    for _ in range(AT_ONCE + 3):
        metrics.take(b"x=1", 1, 0.0)
    assert sent(metrics).tally.dropped_values == 3
    for _ in range(VALUES_PER_SECOND + 1):
        metrics.take(b"x=1", 1, 1.0)
    batch = sent(metrics)
    assert (len(batch.columns[0].values), batch.tally.dropped_values) == (VALUES_PER_SECOND, 4)


def test_what_waits_for_a_server_that_is_away_is_bounded(metrics: RunMetrics) -> None:
    for second in range(100):
        for _ in range(VALUES_PER_SECOND):
            metrics.take(b"x=1", 1, float(second))
    batch = sent(metrics)
    assert len(batch.columns[0].values) == MAX_HELD
    assert batch.tally.dropped_values == 100 * VALUES_PER_SECOND - MAX_HELD
