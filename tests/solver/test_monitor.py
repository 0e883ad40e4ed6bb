"""What counts as better, and which outputs can be watched."""

import pytest

from minidl import schema
from minidl.errors import SolverError
from minidl.solver import monitor
from minidl.solver.monitor import Best
from tests.solver.support import NET, make


def watching(mode, min_delta=0.0):
    return schema.Monitor(output="loss", mode=schema.Monitor.Mode.Value(mode), min_delta=min_delta)


CASES = {
    "the first figure": (None, 9.0, watching("MIN"), True),
    "a lower loss": (1.0, 0.75, watching("MIN"), True),
    "a higher loss": (1.0, 1.25, watching("MIN"), False),
    "the same loss": (1.0, 1.0, watching("MIN"), False),
    "a loss lower by too little": (1.0, 0.75, watching("MIN", 0.25), False),
    "a loss lower by enough": (1.0, 0.5, watching("MIN", 0.25), True),
    "a higher accuracy": (0.5, 0.75, watching("MAX"), True),
    "a lower accuracy": (0.5, 0.25, watching("MAX"), False),
    "an accuracy higher by too little": (0.5, 0.75, watching("MAX", 0.25), False),
    "an accuracy higher by enough": (0.25, 0.75, watching("MAX", 0.25), True),
    "a lower loss, of training": (1.0, 0.75, None, True),
    "the same loss, of training": (1.0, 1.0, None, False),
}


@pytest.mark.parametrize("best, value, watched, expected", CASES.values(), ids=CASES)
def test_what_is_better(best, value, watched, expected):
    assert Best(best).beaten_by(value, watched) is expected


@pytest.mark.parametrize("best", [Best(), Best(0.0, 3, 2), Best(-1.5, 0, 1)])
def test_a_snapshot_keeps_it(best):
    assert monitor.from_message(best.message()) == best


def test_a_state_without_it_is_a_beginning():
    assert monitor.from_message(schema.ResumeState().plateau) == Best()


def test_the_figure_is_taken_from_the_test_net_it_is_of():
    results = [{"outputs": {"loss": 1.0}}, {"outputs": {"loss": 2.0, "acc": 0.5}}]
    assert monitor.value(schema.Monitor(output="loss", test_net=1), results) == 2.0
    assert monitor.value(schema.Monitor(output="loss"), results) == 1.0


TEST = "test_iter: 1 test_interval: 2 early_stop_patience: 1 early_stop_monitor {{ {} mode: MIN }}"


def test_an_output_that_the_test_net_does_not_have_is_refused_by_name():
    with pytest.raises(SolverError, match="no output 'los'\n  expected: one of loss\n.*'loss'"):
        make(TEST.format('output: "los"'))


def test_an_output_of_several_numbers_is_refused():
    net = NET.replace("EuclideanLoss", "Eltwise")
    with pytest.raises(SolverError, match=r"'loss' has the shape \(6, 2\)\n  expected: one number"):
        make(TEST.format('output: "loss"'), net)
