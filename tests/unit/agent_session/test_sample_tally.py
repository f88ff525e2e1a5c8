import pytest

from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.sample_tally import SampleTally, StreamTally

BATCH = pb.SampleBatch(time_deltas_nanos=[0, 1], series=[pb.Series()] * 3)


def ack(received: int, kept: int) -> pb.SampleAck:
    return pb.SampleAck(received=received, kept=kept)


@pytest.mark.parametrize(
    ("sent", "acks", "kept", "lost", "unanswered"),
    [
        (0, [], 0, 0, 0),
        (5, [], 0, 0, 5),
        (5, [ack(5, 5)], 5, 0, 0),
        (5, [ack(2, 2), ack(4, 3)], 3, 1, 1),
        (5, [ack(4, 4), ack(2, 2)], 4, 0, 1),  # an older word comes late
        (5, [ack(5, 4), ack(5, 4)], 4, 1, 0),  # said twice
    ],
)
def test_every_batch_that_was_sent_is_kept_lost_or_unanswered(sent, acks, kept, lost, unanswered):
    total = SampleTally()
    stream = StreamTally(total)
    for _ in range(sent):
        stream.sent(BATCH)
    for one in acks:
        stream.on_ack(one)
    assert total.on_their_way == unanswered
    stream.ended()
    assert total == SampleTally(sent, kept, lost, unanswered, values=6 * sent)
    assert total.on_their_way == 0


def test_connections_add_up():
    total = SampleTally()
    for received in (3, 2):
        stream = StreamTally(total)
        for _ in range(3):
            stream.sent(BATCH)
        stream.on_ack(ack(received, received))
        stream.ended()
    assert total == SampleTally(sent=6, kept=5, lost=0, unanswered=1, values=36)
