import signal
import threading
from collections.abc import Iterator

import pytest

from windlass_client.cli.interrupts import Interrupts


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """What a shell runs in the background is born with interrupts ignored, and tests with it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_within_a_step_comes_behind_it():
    done = []

    def work() -> None:
        with Interrupts() as interrupts:
            with interrupts.held():
                interrupt()
                done.append("whole step")
            done.append("next step")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["whole step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_between_steps_comes_at_once():
    done = []

    def work() -> None:
        with Interrupts() as interrupts:
            with interrupts.held():
                done.append("first step")
            interrupt()
            done.append("next step")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["first step"]


def test_a_second_interrupt_breaks_a_step_that_hangs():
    done = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.held():
            interrupt()
            interrupt()
            done.append("whole step")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == []


def test_elsewhere_than_on_the_main_thread_it_does_nothing():
    done = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.held():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]
