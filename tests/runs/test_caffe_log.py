"""What is read from logs, line by line."""

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.errors import FormatError
from minidl.runs import store
from tests.runs.support import EVENTS, LOG


@pytest.fixture
def log(tmp_path):
    def write(text):
        (tmp_path / "a.log").write_text(text)
        return store.record(tmp_path / "a.log")

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


OLD = """\
I0317 21:52:48.945710 20082 solver.cpp:65] Iteration 100, loss = 1.73643
I0317 21:52:48.945766 20082 solver.cpp:208] Iteration 100, lr = 0.001
I0317 21:54:41.150030 20082 solver.cpp:87] Iteration 500, Testing net
I0317 21:54:47.129461 20082 solver.cpp:114] Test score #0: 0.5504
I0317 21:54:47.129500 20082 solver.cpp:114] Test score #1: 1.27805
"""


def test_the_oldest_logs_do_not_name_outputs(log):
    record = log(OLD)
    (row,) = record.tests[0]
    assert (row.iteration, row.rate, row.outputs) == (
        500,
        0.001,
        {"score 0": 0.5504, "score 1": 1.27805},
    )
    assert [value for *_, value in record.loss] == [1.73643]


def test_a_date_that_is_none_is_passed_over(log):
    record = log(LOG.replace("I0210 13:39:06", "I0231 13:39:06"))
    assert [row.iteration for row in record.train] == [0]


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
        record = store.record(path)
    except FormatError:
        return
    assert all(row.outputs for row in record.train)


STAMP = "I0210 13:39:02.25 1 a.cpp:1] "


def test_numbers_of_5000_digits_are_passed_over(log):
    with pytest.raises(FormatError, match="holds no training run"):
        log(
            f"{STAMP}Iteration {'9' * 5000}, loss = 1\n"
            f"{STAMP}Test net output #{'9' * 5000}: a = 1\n"
            f"{STAMP}Iteration 1, Testing net (#{'9' * 5000})\n"
        )


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
    record = store.record(tmp_path / "a.log")
    assert len(record.train[0].outputs) == 20_001 and "p[20000]" in record.train[0].outputs
    assert len(store.record(tmp_path / "a.jsonl").tests[0]) == 5000
    assert time.process_time() - began < 15  # 1 s; with squares of them a minute and more
