import asyncio

import pytest

from tests.support.fake_agent_clock import FakeAgentClock
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.reconnect import Backoff, Liveliness, StreamLostError, keep_connected
from windlass_agent.session import ControlSession, Outbox, Pulse
from windlass_agent.telemetry import SampleGate


def report(run_id, state=pb.RunReport.RUNNING):
    return pb.RunReport(run_id=run_id, state=state)


def test_the_outbox_keeps_only_the_newest_report_of_a_run():
    outbox = Outbox()
    outbox.put(report("a", pb.RunReport.PREPARING))
    outbox.put(report("b"))
    outbox.put(report("a", pb.RunReport.EXITED))
    sent = [(m.run_report.run_id, m.run_report.state) for m in outbox.take()]
    assert sent == [("a", pb.RunReport.EXITED), ("b", pb.RunReport.RUNNING)]
    assert outbox.take() == []


def test_an_outbox_that_overflows_gives_the_session_up():
    outbox = Outbox(limit=2)
    for run_id in ("a", "b", "a", "b"):
        outbox.put(report(run_id))
    assert len(outbox.take()) == 2
    for run_id in ("a", "b", "c"):
        outbox.put(report(run_id))
    with pytest.raises(StreamLostError, match="does not read"):
        outbox.take()


@pytest.mark.parametrize("version", [0, 1])
def test_a_welcome_says_who_the_server_is_and_a_server_of_before_says_nothing(version):
    session = ControlSession(desired=None)
    session.on(welcome(version), 0.0)
    assert session.welcomed.is_set()
    assert session.server_version == ("0.1.0" if version else "")


def test_a_protocol_that_is_not_ours_is_a_refusal():
    session = ControlSession(desired=None)
    with pytest.raises(StreamLostError, match="wants version 2") as lost:
        session.on(welcome(2), 0.0)
    assert lost.value.refused
    assert not session.welcomed.is_set()


def welcome(version):
    answer = pb.Welcome(protocol_version=version, server_version="0.1.0" if version else "")
    answer.heartbeat_interval.FromSeconds(10)
    return pb.ServerMessage(welcome=answer)


def test_a_heartbeat_is_due_only_when_nothing_else_was_sent():
    pulse = Pulse(10.0, 0.0)
    assert pulse.beat_due() == 8.0
    pulse.heard(4.0)
    pulse.sent(5.0)
    assert pulse.beat_due() == 12.0


def test_a_busy_node_still_asks_whether_a_silent_server_is_there():
    pulse = Pulse(10.0, 0.0)
    pulse.sent(7.9)
    assert pulse.beat_due() == 8.0
    pulse.beaten(8.0)
    assert pulse.beat_due() == 16.0


def test_a_server_that_is_silent_for_three_intervals_is_given_up():
    pulse = Pulse(10.0, 0.0)
    pulse.heard(3.0)
    assert pulse.dead_at() == 33.0


def gate_with(batches, interval=0.0):
    gate = SampleGate()
    credit = pb.SampleCredit(batches=batches)
    credit.min_interval.FromMilliseconds(int(interval * 1000))
    gate.grant(credit)
    return gate


def batch(number):
    return pb.SampleBatch(base_time_nanos=number)


def taken(gate):
    found = gate.take()
    return None if found is None else found.base_time_nanos


def test_without_credit_nothing_is_sent_and_only_the_newest_sample_is_kept():
    gate = SampleGate()
    for number in (1, 2, 3):
        gate.offer(batch(number), float(number))
        assert taken(gate) is None
    gate.grant(pb.SampleCredit(batches=5))
    assert [taken(gate), taken(gate)] == [3, None]


def test_credit_is_used_up_and_a_new_one_replaces_it():
    gate = gate_with(2)
    sent = []
    for number in range(4):
        gate.offer(batch(number), float(number))
        sent.append(taken(gate))
    assert sent == [0, 1, None, None]
    gate.grant(pb.SampleCredit(batches=1))
    gate.grant(pb.SampleCredit(batches=1))
    assert [taken(gate)] == [3]
    gate.offer(batch(9), 9.0)
    assert taken(gate) is None


def test_samples_are_at_least_the_granted_interval_apart():
    gate = gate_with(100, interval=2.0)
    sent = []
    for second in range(6):
        gate.offer(batch(second), float(second))
        sent.append(taken(gate))
    assert sent == [0, None, 2, None, 4, None]


class Server:
    """Connections that end as the script says: seconds welcomed, or an error."""

    def __init__(self, clock, script):
        self.clock, self.script, self.connected_at = clock, list(script), []

    async def connect(self, alive: Liveliness):
        self.connected_at.append(self.clock.monotonic())
        outcome = self.script.pop(0) if self.script else 1e9
        if isinstance(outcome, StreamLostError):
            raise outcome
        alive.established_at = self.clock.monotonic()
        await self.clock.sleep(outcome)


async def reconnecting(script, seconds, backoff):
    clock = FakeAgentClock()
    server = Server(clock, script)
    task = asyncio.ensure_future(
        keep_connected("control", server.connect, backoff=backoff, clock=clock)
    )
    await clock.advance(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return server


def test_what_changes_slowly_goes_with_the_first_batch_and_then_once_a_minute():
    gate = gate_with(1000)
    fast, slow = pb.Series.GPU_POWER_WATTS, pb.Series.GPU_POWER_LIMIT_WATTS
    with_slow = []
    for second in range(130):
        both = [pb.Series(field=fast, values=[1]), pb.Series(field=slow, values=[700])]
        gate.offer(pb.SampleBatch(series=both), float(second))
        # A batch that another one replaces takes nothing with it.
        if second % 2 == 0:
            fields = [one.field for one in gate.take().series]
            assert fields[0] == fast
            if slow in fields:
                with_slow.append(second)
    assert with_slow == [0, 60, 120]


async def test_a_server_that_is_down_is_tried_ever_less_often_up_to_the_cap():
    down = [StreamLostError("UNAVAILABLE")] * 1000
    server = await reconnecting(down, 300.0, Backoff(initial=0.2, cap=5.0))
    pauses = [b - a for a, b in zip(server.connected_at, server.connected_at[1:], strict=False)]
    assert pauses[0] <= 0.2
    assert max(pauses) <= 5.0
    assert max(pauses) > 2.5
    assert 60 <= len(server.connected_at) <= 300


async def test_a_good_session_starts_the_delays_anew():
    fail = StreamLostError("UNAVAILABLE")
    server = await reconnecting([fail] * 12 + [60.0, fail, fail], 200.0, Backoff())
    after_good = [at for at in server.connected_at if at > server.connected_at[12]]
    assert after_good[0] - (server.connected_at[12] + 60.0) <= 0.2
    assert after_good[1] - after_good[0] <= 0.2


async def test_a_session_that_ends_at_once_counts_as_a_failure():
    server = await reconnecting([0.0] * 1000, 100.0, Backoff(initial=0.2, cap=5.0))
    assert len(server.connected_at) < 120


async def test_a_server_that_refuses_is_asked_slowly():
    refusal = [StreamLostError("UNAUTHENTICATED", refused=True)] * 1000
    server = await reconnecting(refusal, 300.0, Backoff(refused=30.0))
    assert 10 <= len(server.connected_at) <= 21
