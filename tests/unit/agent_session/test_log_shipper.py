import asyncio
from contextlib import asynccontextmanager

from tests.support.fake_agent_clock import FakeAgentClock
from tests.support.fake_runner import FakeLog, frame
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.log_shipper import BATCH_BYTES, LogShipper
from windlass_agent.run_types import Cause, Phase, RunExit, RunNotFound, RunState

RUN, OTHER = "run-01jh0000000000000000000001", "run-01jh0000000000000000000002"


class Shipping:
    """A shipper, the logs it reads, and what it sends."""

    def __init__(self, **options):
        self.logs = {RUN: FakeLog(), OTHER: FakeLog()}
        self.clock = FakeAgentClock()
        self.sent = []
        self.shipper = LogShipper(self._log, self.clock, **options)

    def _log(self, run_id):
        if run_id not in self.logs:
            raise RunNotFound(run_id)
        return self.logs[run_id]

    async def send(self, batch):
        self.sent.append(batch)

    def ack(self, position, run_id=RUN):
        self.shipper.on_ack(pb.LogAck(run_id=run_id, position=position))

    def frames_sent(self, run_id=RUN):
        return [(b.position, len(b.frames)) for b in self.sent if b.run_id == run_id]

    @asynccontextmanager
    async def connected(self):
        task = asyncio.ensure_future(self.shipper.ship(self.send))
        try:
            await self.clock.advance(0)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def preparing(run_id=RUN, epoch=1):
    return RunState(run_id, epoch, Phase.PREPARING)


async def test_the_first_output_of_a_new_run_is_sent_without_asking():
    shipping = Shipping()
    async with shipping.connected():
        shipping.shipper.track(preparing())
        shipping.logs[RUN].append(b"hello")
        await shipping.clock.advance(0)
        assert [(b.position, b.frames, b.epoch) for b in shipping.sent] == [(0, frame(b"hello"), 1)]


async def test_a_run_of_an_earlier_agent_is_asked_for_and_what_the_server_has_is_not_sent_again():
    shipping = Shipping()
    for word in (b"one", b"two", b"three"):
        shipping.logs[RUN].append(word)
    shipping.shipper.track(RunState(RUN, 1, Phase.RUNNING))
    async with shipping.connected():
        assert shipping.frames_sent() == [(0, 0)]
        held = len(frame(b"one") + frame(b"two"))
        shipping.ack(held)
        await shipping.clock.advance(0)
        assert shipping.frames_sent()[1:] == [(held, len(frame(b"three")))]
        assert shipping.logs[RUN].read_from == [held]


async def test_a_new_connection_goes_back_to_what_the_server_has_on_disk():
    shipping = Shipping()
    shipping.shipper.track(preparing())
    shipping.logs[RUN].append(b"one")
    shipping.logs[RUN].append(b"two")
    async with shipping.connected():
        shipping.ack(len(frame(b"one")))
    shipping.sent.clear()
    async with shipping.connected():
        shipping.ack(0)  # the server was restored from a backup
        await shipping.clock.advance(0)
        assert shipping.frames_sent() == [(0, 0), (0, len(shipping.logs[RUN].content))]


async def test_a_log_that_the_server_does_not_want_takes_nothing_from_the_others():
    shipping = Shipping(window_bytes=128 << 10)
    shipping.logs[RUN].append(b"x" * (60 << 10))
    shipping.shipper.track(RunState(RUN, 1, Phase.RUNNING))
    async with shipping.connected():
        await shipping.clock.advance(3600)
        assert shipping.frames_sent() == [(0, 0)]
        shipping.shipper.track(preparing(OTHER))
        shipping.logs[OTHER].append(b"y" * (60 << 10))
        await shipping.clock.advance(0)
        assert len(shipping.frames_sent(OTHER)) == 1


async def test_no_more_than_the_window_is_on_its_way_of_all_runs_together():
    window = 512 << 10
    shipping = Shipping(window_bytes=window)
    payload = b"x" * (60 << 10)
    async with shipping.connected():
        for run_id in (RUN, OTHER):
            shipping.shipper.track(preparing(run_id))
            for _ in range(40):
                shipping.logs[run_id].append(payload)
        most, acked = 0, {RUN: 0, OTHER: 0}
        for _ in range(60):
            await shipping.clock.advance(0)
            on_its_way = sum(len(b.frames) for b in shipping.sent) - sum(acked.values())
            most = max(most, on_its_way)
            assert on_its_way == shipping.shipper.unacknowledged_bytes
            for batch in shipping.sent:
                if batch.position == acked[batch.run_id]:
                    acked[batch.run_id] += len(batch.frames)
                    shipping.ack(acked[batch.run_id], batch.run_id)
                    break
        assert most <= window
        assert acked == {run_id: len(shipping.logs[run_id].content) for run_id in acked}
        assert max(len(b.frames) for b in shipping.sent) <= BATCH_BYTES


async def test_a_busy_run_does_not_keep_a_quiet_one_waiting():
    shipping = Shipping(window_bytes=256 << 10)
    async with shipping.connected():
        shipping.shipper.track(preparing(RUN))
        shipping.shipper.track(preparing(OTHER))
        for _ in range(100):
            shipping.logs[RUN].append(b"x" * (60 << 10))
        await shipping.clock.advance(0)
        shipping.logs[OTHER].append(b"quiet")
        await shipping.clock.advance(0)
        for _ in range(2):  # its turn comes after at most one more batch of the busy one
            busy = [b for b in shipping.sent if b.run_id == RUN]
            shipping.ack(busy[-1].position + len(busy[-1].frames))
            await shipping.clock.advance(0)
        assert OTHER in {b.run_id for b in shipping.sent}


async def test_a_server_that_holds_more_than_was_acknowledged_moves_the_sender_forward():
    shipping = Shipping()
    async with shipping.connected():
        shipping.shipper.track(preparing())
        shipping.logs[RUN].append(b"one")
        await shipping.clock.advance(0)
        shipping.logs[RUN].content += frame(b"two")
        shipping.ack(len(shipping.logs[RUN].content))
        shipping.logs[RUN].append(b"three")
        await shipping.clock.advance(0)
        assert b"".join(b.frames for b in shipping.sent) == frame(b"one") + frame(b"three")


async def test_everything_is_settled_when_the_server_has_the_ends_of_all_logs():
    shipping = Shipping()
    async with shipping.connected():
        shipping.shipper.track(preparing())
        shipping.logs[RUN].append(b"bye")
        length = len(shipping.logs[RUN].content)
        end = RunExit(Cause.COMPLETED, 0, 0, log_end=length)
        shipping.shipper.track(RunState(RUN, 1, Phase.EXITED, exit=end))
        settled = asyncio.ensure_future(shipping.shipper.settled())
        await shipping.clock.advance(0)
        assert not settled.done()
        shipping.ack(length)
        await settled


async def test_a_dropped_run_frees_its_part_of_the_window():
    shipping = Shipping()
    async with shipping.connected():
        shipping.shipper.track(preparing())
        shipping.logs[RUN].append(b"one")
        await shipping.clock.advance(0)
        assert shipping.shipper.unacknowledged_bytes > 0
        shipping.shipper.drop(RUN)
        assert shipping.shipper.unacknowledged_bytes == 0
        shipping.ack(3)  # comes too late, harms nothing


async def test_a_newer_epoch_begins_a_new_log():
    shipping = Shipping()
    async with shipping.connected():
        shipping.shipper.track(preparing())
        shipping.logs[RUN].append(b"one")
        await shipping.clock.advance(0)
        shipping.logs[RUN] = FakeLog()
        shipping.shipper.track(preparing(epoch=2))
        shipping.logs[RUN].append(b"again")
        await shipping.clock.advance(0)
        assert [(b.epoch, b.position) for b in shipping.sent] == [(1, 0), (2, 0)]


async def test_a_run_without_a_log_is_no_error():
    shipping = Shipping()
    shipping.logs.clear()
    async with shipping.connected():
        shipping.shipper.track(RunState(RUN, 1, Phase.EXITED, exit=RunExit(Cause.STOPPED, 0)))
        await shipping.shipper.settled()


def ended(log_end: int) -> RunState:
    return RunState(RUN, 1, Phase.EXITED, exit=RunExit(Cause.COMPLETED, 0, 0, log_end=log_end))


async def test_what_an_ended_run_has_lost_of_its_log_is_said_and_not_waited_for():
    shipping = Shipping()
    whole = len(frame(b"one") + frame(b"two"))
    shipping.logs[RUN].append(b"one")  # all that is left on the disk
    shipping.logs[RUN].ends_at(whole)
    shipping.shipper.track(ended(whole))
    async with shipping.connected():
        shipping.ack(0)
        settled = asyncio.ensure_future(shipping.shipper.settled())
        await shipping.clock.advance(0)
        assert shipping.frames_sent() == [(0, 0), (0, len(frame(b"one"))), (len(frame(b"one")), 0)]
        assert shipping.sent[-1].lost == (
            f"{len(frame(b'two'))} bytes of the run's log are not on the node's disk any more."
        )
        assert not settled.done(), "what there was is still on its way"
        shipping.ack(len(frame(b"one")))
        await settled


async def test_what_is_lost_is_said_again_on_the_next_connection():
    shipping = Shipping()
    shipping.logs[RUN].ends_at(50)
    shipping.shipper.track(ended(50))
    for _ in range(2):
        shipping.sent.clear()
        async with shipping.connected():
            shipping.ack(20)
            await shipping.clock.advance(0)
            assert [(b.position, bool(b.lost)) for b in shipping.sent] == [(0, False), (20, True)]


async def test_a_running_tasks_log_is_not_lost_however_long_it_says_nothing():
    shipping = Shipping()
    shipping.logs[RUN].content += frame(b"torn")[:-1]
    shipping.shipper.track(preparing())
    async with shipping.connected():
        await shipping.clock.advance(1)
        assert shipping.sent == []


async def test_a_log_that_cannot_be_read_is_tried_again_for_minutes_before_it_is_given_up():
    shipping = Shipping()
    shipping.logs[RUN].append(b"one")
    shipping.logs[RUN].fails = OSError(5, "Input/output error")
    shipping.shipper.track(ended(len(frame(b"one"))))
    async with shipping.connected():
        shipping.ack(0)
        await shipping.clock.advance(240)
        assert shipping.frames_sent() == [(0, 0)]
        await shipping.clock.advance(120)
        assert "Input/output error" in shipping.sent[-1].lost


async def test_a_log_that_can_be_read_again_is_sent():
    shipping = Shipping()
    shipping.logs[RUN].append(b"one")
    shipping.logs[RUN].fails = OSError(24, "Too many open files")
    shipping.shipper.track(ended(len(frame(b"one"))))
    async with shipping.connected():
        shipping.ack(0)
        await shipping.clock.advance(60)
        shipping.logs[RUN].fails = None
        await shipping.clock.advance(10)
        assert [batch.frames for batch in shipping.sent] == [b"", frame(b"one")]
