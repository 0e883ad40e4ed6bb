"""What is read from logs and event files, line by line."""

import json
import math
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.cli import run_log
from minidl.errors import FormatError, UsageError

LOG = """\
I0210 13:39:00.500000 25210 caffe.cpp:197] Use CPU.
net: "Iteration 99 is no line of a log"
I0210 13:39:02.000000 25210 solver.cpp:289] Solving LeNet
I0210 13:39:02.250000 25210 solver.cpp:347] Iteration 0, Testing net (#0)
I0210 13:39:03.000000 25210 solver.cpp:414]     Test net output #0: accuracy = 0.1
I0210 13:39:03.000000 25210 solver.cpp:414]     Test net output #1: loss = 2.5e+00 (* 1 = 2.5 loss)
I0210 13:39:03.100000 25210 solver.cpp:347] Iteration 0, Testing net (#1)
I0210 13:39:03.200000 25210 solver.cpp:414]     Test net output #0: prob = 0.25
I0210 13:39:03.200000 25210 solver.cpp:414]     Test net output #1: prob = 0.75
I0210 13:39:04.000000 25210 solver.cpp:239] Iteration 0 (0 iter/s, 1s/100 iters), loss = 2.4
I0210 13:39:04.000000 25210 solver.cpp:258]     Train net output #0: loss = 2.4 (* 1 = 2.4 loss)
I0210 13:39:04.000000 25210 sgd_solver.cpp:112] Iteration 0, lr = 0.01
W0210 13:39:05.000000 25210 blocking_queue.cpp:49] Waiting for data
I0210 13:39:06.000000 25210 solver.cpp:239] Iteration 100 (50 iter/s, 2s/100 iters), loss = nan
I0210 13:39:06.000000 25210 solver.cpp:258]     Train net output #0: loss = nan (* 1 = nan loss)
I0210 13:39:06.000000 25210 sgd_solver.cpp:112] Iteration 100, lr = 0.005
I0210 13:39:07.000000 25210 solver.cpp:347] Iteration 200, Testing net (#0)
I0210 13:39:08.000000 25210 solver.cpp:414]     Test net output #0: accuracy = 0.9
I0210 13:39:08.000000 25210 solver.cpp:414]     Test net output #1: loss = 0.3 (* 1 = 0.3 loss)
"""

EVENTS = [
    dict(event="start", time=50.0, iter=0, net="n"),
    dict(event="test", time=51.0, iter=0, net=0, outputs={"accuracy": 0.1, "loss": 2.0}),
    dict(event="display", time=52.0, iter=0, loss=2.5, lr=0.1, outputs={"loss": None}, final=False),
    dict(event="test", time=54.0, iter=8, net=0, outputs={"accuracy": 0.9, "loss": 1.0}),
    dict(event="display", time=55.0, iter=10, loss=0.5, lr=0.01, outputs={"p": [1, [2]]}),
    dict(event="snapshot", time=55.5, iter=10, weights="w", state="s"),
    dict(event="display", time=56.0, iter=10, loss=0.4, lr=0.01, outputs={"p": 3}, final=True),
]


@pytest.fixture
def log(tmp_path):
    def write(text):
        (tmp_path / "a.log").write_text(text)
        return run_log.read(str(tmp_path / "a.log"))

    return write


@pytest.fixture
def events(tmp_path):
    def write(found, end="\n"):
        text = "\n".join(json.dumps(event) for event in found) + end
        (tmp_path / "events.jsonl").write_text(text)
        return run_log.read(str(tmp_path))

    return write


def test_rows_of_a_log(log):
    record = log(LOG)
    first, second = record.train
    assert (first.iteration, first.seconds, first.outputs) == (0, 2.0, {"loss": 2.4})
    assert (second.iteration, second.seconds) == (100, 4.0)
    assert math.isnan(second.outputs["loss"])
    assert [(r.iteration, r.seconds, r.outputs) for r in record.tests[0]] == [
        (0, 1.0, {"accuracy": 0.1, "loss": 2.5}),
        (200, 6.0, {"accuracy": 0.9, "loss": 0.3}),
    ]
    assert record.tests[1][0].outputs == {"prob": 0.25, "prob[1]": 0.75}
    assert record.losses == {"loss"}


def test_rates_of_a_log_are_those_written_before_a_row(log):
    record = log(LOG)
    assert [(n, rate) for n, _, rate in record.rates] == [(0, 0.01), (100, 0.005)]
    assert [row.rate for row in record.train] == [0.01, 0.01]
    assert [row.rate for row in record.tests[0]] == [0.005, 0.005]


def test_the_year_may_be_written_and_may_change(log):
    with_year = log(LOG.replace("I0210", "I20240210"))
    assert [row.seconds for row in with_year.train] == [2.0, 4.0]
    lines = LOG.splitlines(keepends=True)
    late = [line.replace("0210 13:39:0", "1231 23:59:5") for line in lines[:12]]
    early = [line.replace("0210 13:39:0", "0101 00:00:0") for line in lines[12:]]
    assert [row.seconds for row in log("".join(late + early)).train] == [2.0, 14.0]


def test_a_date_that_is_none_is_passed_over(log):
    record = log(LOG.replace("I0210 13:39:06", "I0231 13:39:06"))
    assert [row.iteration for row in record.train] == [0]


def test_events(events):
    record = events(EVENTS)
    first, second = record.train
    assert (first.iteration, first.seconds, first.rate) == (0, 2.0, 0.1)
    assert math.isnan(first.outputs["loss"])
    assert second.outputs == {"p": 1, "p[1]": 2}
    assert [(r.seconds, r.rate) for r in record.tests[0]] == [(1.0, 0.1), (4.0, 0.1)]
    assert [value for *_, value in record.loss] == [2.5, 0.5, 0.4]
    assert record.losses == {"loss"}


def test_a_last_line_that_a_run_was_killed_in_is_passed_over(events):
    assert len(events([*EVENTS, dict(event="test")], end="").tests[0]) == 2


REFUSED = {
    "no run": (
        "a.log",
        "I0210 13:39:00.5 25210 caffe.cpp:197] Use CPU.\n",
        "holds no training run",
    ),
    "no events": ("events.jsonl", '{"loss": 1}\n', r"events.jsonl:1: is not an event"),
    "no JSON": ("events.jsonl", "Iteration 0\n", r"events.jsonl:1: is not an event"),
    "no object": ("events.jsonl", "[1]\n", r"events.jsonl:1: is not an event"),
    "no iteration": (
        "events.jsonl",
        '{"event": "test", "time": 1, "iter": "x"}\n',
        r"events.jsonl:1: is not an event",
    ),
    "no outputs": (
        "events.jsonl",
        '{"event": "test", "time": 1, "iter": 2, "net": 0, "outputs": 3}\n',
        r"events.jsonl:1: is not an event",
    ),
}


@pytest.mark.parametrize("name, text, message", REFUSED.values(), ids=REFUSED.keys())
def test_files_without_a_run_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=message):
        run_log.read(str(tmp_path / name))


def test_folders_without_events_and_absent_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="without events.jsonl"):
        run_log.read(str(tmp_path))
    with pytest.raises(UsageError, match="no such file"):
        run_log.read(str(tmp_path / "gone.log"))


PIECES = st.sampled_from(
    ["Iteration 5", ", loss = ", "lr = ", "1.5", "1.2.3", "-nan", "1e", ".", "Testing net (#7)"]
    + [
        "    Test net output #0: a = ",
        "    Train net output #3: b = 0.5 (*",
        "Solving",
        "\x00",
        "]",
    ]
)


@given(st.lists(st.lists(PIECES, max_size=4).map("".join), max_size=6))
@settings(max_examples=60)
def test_any_log_is_read_or_refused(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("logs") / "a.log"
    stamps = ("I0210 13:39:02.25 1 a.cpp:1] ", "I9999 99:99:99.1 1 a.cpp:1] ", "")
    path.write_text("".join(f"{stamps[i % 3]}{t}\n" for i, t in enumerate(texts)))
    try:
        record = run_log.read(str(path))
    except FormatError:
        return
    assert all(row.outputs for row in record.train)


STAMP = "I0210 13:39:02.25 1 a.cpp:1] "
HOSTILE = {
    "a long line": ("a.log", "a" * (1 << 25), "a.log:1: has a line of more than 16,777,216"),
    "a long event": ("a.jsonl", '{"event": "' + "a" * (1 << 25), "a.jsonl:1: has a line of more"),
    "a deep event": ("a.jsonl", "[" * 100_000 + "\n", "a.jsonl:1: is not an event"),
    "a huge iteration": (
        "a.jsonl",
        '{"event": "display", "time": 1, "iter": 1' + "0" * 400 + "}\n",
        "a.jsonl:1: is not an event",
    ),
    "5,000 digits": ("a.jsonl", '{"event": "test", "iter": ' + "9" * 5000 + "}\n", "not an event"),
    "a log of digits": (
        "a.log",
        f"{STAMP}Iteration {'9' * 5000}, loss = 1\n{STAMP}Test net output #{'9' * 5000}: a = 1\n"
        f"{STAMP}Iteration 1, Testing net (#{'9' * 5000})\n",
        "holds no training run",
    ),
}


@pytest.mark.parametrize("name, text, message", HOSTILE.values(), ids=HOSTILE.keys())
def test_lines_that_are_too_much_are_refused_in_words(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=re.escape(message)):
        run_log.read(str(tmp_path / name))


def test_long_logs_take_linear_time(tmp_path):
    (tmp_path / "a.log").write_text(
        f"{STAMP}Iteration 1, loss = 1\n"
        + f"{STAMP}{'Iteration 1' * 200_000}\n"
        + f"{STAMP}    Train net output #0: p = 0.5\n"
        + f"{STAMP}    Train net output #1: p = 0.5\n" * 20_000
    )
    events = [dict(EVENTS[1], iter=i) for i in range(5000)]
    events += [dict(EVENTS[2], iter=i) for i in range(5000)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    began = time.process_time()
    record = run_log.read(str(tmp_path / "a.log"))
    assert len(record.train[0].outputs) == 20_001 and "p[20000]" in record.train[0].outputs
    assert len(run_log.read(str(tmp_path / "a.jsonl")).tests[0]) == 5000
    assert time.process_time() - began < 15  # 1 s; with squares of them a minute and more
