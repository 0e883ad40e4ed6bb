"""Prefetcher: the right item in order, bounded, errors where they belong, no hang."""

import gc
import signal
import subprocess
import sys
import threading
import weakref

import pytest

from minidl.data.prefetch import Prefetcher
from minidl.errors import RunError
from tests.support import ROOT

LONG_S = 30  # a limit that only a hang reaches


def squares(number, spare):
    return number * number


@pytest.fixture
def prefetcher():
    made = Prefetcher(squares, 3)
    yield made
    made.close()


def test_items_come_in_order(prefetcher):
    assert [prefetcher.get(n) for n in range(20)] == [n * n for n in range(20)]


def test_any_number_may_be_asked_for(prefetcher):
    assert [prefetcher.get(n) for n in (5, 6, 2, 2, 100, 101)] == [25, 36, 4, 4, 10000, 10201]


def test_peek_leaves_the_item_where_it_is(prefetcher):
    assert [prefetcher.peek(4), prefetcher.peek(4), prefetcher.get(4), prefetcher.peek(5)] == [
        16,
        16,
        16,
        25,
    ]


def test_after_close_everything_starts_again(prefetcher):
    prefetcher.get(0)
    prefetcher.close()
    prefetcher.close()
    assert prefetcher.get(1) == 1


class Counting:
    """Makes lists; remembers which numbers, and which spares it was given."""

    def __init__(self):
        self.made, self.spares = [], []
        self.reached = {count: threading.Event() for count in range(20)}

    def __call__(self, number, spare):
        self.made.append(number)
        self.spares.append(spare)
        if len(self.made) in self.reached:
            self.reached[len(self.made)].set()
        return [number]


def test_no_more_than_depth_items_are_made_ahead():
    make = Counting()
    prefetcher = Prefetcher(make, 3)
    assert prefetcher.peek(10) == [10]
    for taken in range(4):
        assert make.reached[taken + 3].wait(LONG_S)
        assert not make.reached[taken + 4].wait(0.02)  # time enough for one too many
        prefetcher.get(10 + taken)
    prefetcher.close()
    assert make.made == list(range(10, 10 + len(make.made)))


def test_an_item_is_recycled_only_after_the_next_get():
    make = Counting()
    prefetcher = Prefetcher(make, 1)
    kept = [prefetcher.get(n) for n in range(50)]
    prefetcher.close()
    for n, spare in zip(make.made, make.spares, strict=True):
        assert spare is None or (spare is kept[spare[0]] and spare[0] <= n - 2)
    assert sum(spare is not None for spare in make.spares) > 30


def failing(number, spare):
    if number == 3:
        raise ValueError("item three")
    return number


def test_an_error_is_raised_by_the_get_that_wanted_the_item():
    prefetcher = Prefetcher(failing, 5)
    assert [prefetcher.get(n) for n in range(3)] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(ValueError, match="item three"):
            prefetcher.get(3)
    assert prefetcher.get(4) == 4
    prefetcher.close()


def test_asking_again_after_an_error_tries_again():
    answers = [OSError("gone"), 7]

    def make(number, spare):
        answer = answers.pop(0) if answers else number
        if isinstance(answer, Exception):
            raise answer
        return answer

    prefetcher = Prefetcher(make, 1)
    with pytest.raises(OSError, match="gone"):
        prefetcher.peek(0)
    assert prefetcher.get(0) == 7
    prefetcher.close()


def test_an_item_lost_to_an_interrupt_is_made_again(prefetcher):
    assert prefetcher.get(0) == 0
    prefetcher.peek(1)
    prefetcher._run.take(None)  # as if Ctrl-C had struck before `get` could return it
    assert [prefetcher.get(1), prefetcher.get(2)] == [1, 4]


def test_close_stops_the_thread():
    prefetcher = Prefetcher(squares, 2)
    prefetcher.get(0)
    thread = prefetcher._run.thread
    prefetcher.close()
    assert not thread.is_alive()


def test_a_forgotten_prefetcher_stops_its_thread():
    prefetcher = Prefetcher(squares, 2)
    prefetcher.get(0)
    thread, gone = prefetcher._run.thread, weakref.ref(prefetcher)
    del prefetcher
    gc.collect()
    assert gone() is None and not thread.is_alive()


def run_python(text, **options):
    return subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


FORGETFUL = """
from minidl.data.prefetch import Prefetcher
from minidl.errors import RunError
prefetcher = Prefetcher(lambda number, spare: number, 2)
print(prefetcher.get(0))
"""

INTERRUPTED = """
import signal
import threading
from minidl.data.prefetch import Prefetcher
from minidl.errors import RunError
signal.signal(signal.SIGINT, signal.default_int_handler)  # which who runs us may have ignored
gate = threading.Event()
def make(number, spare):
    if not gate.is_set():
        print("waiting", flush=True)
    gate.wait()
    return number
prefetcher = Prefetcher(make, 1)
try:
    prefetcher.get(0)
except KeyboardInterrupt:
    gate.set()
    print("interrupted", prefetcher.get(0))
prefetcher.close()
"""


def test_the_interpreter_ends_with_a_full_queue_that_nobody_closed():
    program = run_python(FORGETFUL)
    out, errors = program.communicate(timeout=LONG_S)
    assert (program.returncode, out, errors) == (0, "0\n", "")


def test_ctrl_c_interrupts_a_get_that_waits():
    program = run_python(INTERRUPTED)
    assert program.stdout.readline() == "waiting\n"
    program.send_signal(signal.SIGINT)
    out, errors = program.communicate(timeout=LONG_S)
    assert (program.returncode, out, errors) == (0, "interrupted 0\n", "")


def test_a_thread_that_cannot_be_started_is_said_and_asking_again_tries_again(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    made = Prefetcher(squares, 3, "data layer 'd'")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(RunError, match="data layer 'd': a thread that reads ahead cannot"):
                made.get(2)
    assert made.get(2) == 4
    made.close()
