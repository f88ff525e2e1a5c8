import os
import signal
import subprocess
from dataclasses import replace

from windlass_agent.processes import Identity, descendants, parent, signal_all, start_time


def test_a_process_is_told_from_a_later_one_with_its_number():
    with subprocess.Popen(["sleep", "100"]) as child:
        identity = Identity.of(child.pid)
        pidfd = identity.open()
        assert pidfd is not None
        os.close(pidfd)
        for other in (
            replace(identity, start_time=identity.start_time - 1),
            replace(identity, boot_id="another boot"),
        ):
            assert other.open() is None
        child.kill()
    assert identity.open() is None
    assert start_time(child.pid) == 0


def test_names_with_brackets_and_blanks_do_not_confuse(tmp_path):
    program = tmp_path / "a) b (c"
    program.symlink_to("/usr/bin/sleep")
    with subprocess.Popen([str(program), "100"]) as child:
        assert parent(child.pid) == os.getpid()
        assert child.pid in descendants(os.getpid())
        child.kill()


def test_only_processes_that_are_listed_twice_are_signalled():
    with subprocess.Popen(["sleep", "100"]) as child:
        answers = [{child.pid}, set()]
        signal_all(lambda: answers.pop(0), signal.SIGKILL)
        assert child.poll() is None
        signal_all(lambda: {child.pid}, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
