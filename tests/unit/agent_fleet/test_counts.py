from dataclasses import asdict

from windlass_agent.fleet.board import line
from windlass_agent.fleet.counts import Counts


def test_counts_add_up_and_survive_a_pipe():
    parts = [Counts(nodes=2, batches_sent=5, batches_lost=1), Counts(nodes=3, batches_sent=7)]
    total = Counts.total(Counts.parse(asdict(part)) for part in parts)
    assert (total.nodes, total.batches_sent, total.batches_lost) == (5, 12, 1)
    assert Counts.total([]) == Counts()


def test_the_line_of_a_log_says_what_became_of_everything():
    counts = Counts(nodes=3, connected=2, batches_sent=9, batches_acknowledged=7, batches_lost=1)
    assert "nodes 2/3 connected, batches 9 sent 7 acknowledged 1 lost" in line(counts)
