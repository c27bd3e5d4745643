"""Processes in which plugins are tried: none of them, nor what they start, is left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from segad_core.plugins.processes import ProcessEnded, in_process, messages

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def is_gone(pid):
    """Whether a process ends within some seconds; one that only waits to be collected has ended."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def says_all(say):
    for number in range(3):
        say(number)


def starts_another(say):
    say(subprocess.Popen(["sleep", "60"]).pid)


def hosts(say):
    """A process that waits for another, as that of the clauses does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with closing(messages(says_its_number, 60)) as said:
        say(next(said))
        next(said)


def says_its_number(say):
    say(os.getpid())
    time.sleep(60)


def test_what_is_said_arrives_in_order():
    assert list(messages(says_all, 10)) == [0, 1, 2]


def test_what_it_starts_ends_with_it():
    (pid,) = messages(starts_another, 10)
    assert is_gone(pid)


def test_who_stops_listening_ends_both_processes():
    with closing(messages(hosts, 10)) as said:
        inner = next(said)
        assert Path(f"/proc/{inner}").exists()
    assert is_gone(inner)


def ignores_the_signal(say):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(os.getpid())
    time.sleep(60)


def test_one_that_ignores_the_signal_ends_too():
    with closing(messages(ignores_the_signal, 10)) as said:
        pid = next(said)
    assert is_gone(pid)


def closes_everything():
    os.closerange(3, 256)
    time.sleep(60)


@pytest.mark.parametrize(
    ("call", "how", "late"),
    [
        (partial(time.sleep, 60), "does not end within 0.3 s", True),
        (closes_everything, "does not end within 0.3 s", True),
        (partial(os._exit, 4), "ends the process with exit code 4", False),
        (partial(int, "x"), "ends the process with exit code 1", False),
    ],
)
def test_an_end_is_told(call, how, late):
    with pytest.raises(ProcessEnded) as caught:
        in_process(call, 0.3)
    assert how in str(caught.value)
    assert caught.value.late == late


def test_the_answer_may_come_while_a_child_holds_the_pipe():
    """The pipe stays open, so that its end says nothing."""

    def leaves_a_child():
        if os.fork() == 0:
            time.sleep(60)
        os._exit(5)

    start = time.monotonic()
    with pytest.raises(ProcessEnded, match="exit code 5"):
        in_process(leaves_a_child, 30)
    assert time.monotonic() - start < 20
