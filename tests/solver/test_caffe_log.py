"""The lines of the log, as Caffe writes them."""

import logging
import math
from types import SimpleNamespace

import pytest

from minidl import schema
from minidl.solver.caffe_log import CaffeLog, share
from tests.solver.support import make


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "minidl")
    return lambda: [r.getMessage() for r in caplog.records]


SOLVER = SimpleNamespace(
    iter=500,
    net=SimpleNamespace(name="LeNet"),
    param=schema.SolverParameter(lr_policy="inv", display=100, clip_gradients=0.5),
)
INFO = {
    "iter": 100,
    "loss": 0.260437,
    "seconds": 1.1723449,
    "iterations": 100,
    "outputs": {"acc": [0.25, 1.0], "loss": 0.26},
    "loss_weights": {"loss": 0.5},
    "final": False,
}
LINES = {
    "on_solve": ((), ["Solving LeNet", "Learning Rate Policy: inv"]),
    "on_resume": (
        ({"state": "a.solverstate"},),
        ["Resuming from a.solverstate", "SGDSolver: restoring history"],
    ),
    "on_display": (
        (INFO,),
        [
            "Iteration 100 (85.2991 iter/s, 1.17234s/100 iters), loss = 0.260437",
            "    Train net output #0: acc = 0.25",
            "    Train net output #1: acc = 1",
            "    Train net output #2: loss = 0.26 (* 0.5 = 0.13 loss)",
        ],
    ),
    "on_rate": ((0.00992565123,), ["Iteration 500, lr = 0.00992565"]),
    "on_plateau": ((2,), ["Plateau Status: Iteration 500, step = 2"]),
    "on_early_stop": (
        (
            {
                "iter": 500,
                "net": 0,
                "output": "accuracy",
                "value": 0.9712345678,
                "best": 0.98,
                "best_iter": 300,
                "tests": 2,
            },
        ),
        [
            "Early stopping: Iteration 500, accuracy of test net #0 is 0.971235; in 2 tests since "
            "iteration 300 it got no better than the 0.98 of then"
        ],
    ),
    "on_step_passed": ((2,), ["MultiStep Status: Iteration 500, step = 2"]),
    "on_clip": (
        (2.5, 0.2),
        [
            "Gradient clipping: scaling down gradients (L2 norm 2.5 > 0.5) by scale factor 0.2",
        ],
    ),
    "on_test_start": ((1,), ["Iteration 500, Testing net (#1)"]),
    "on_test": (
        ({**INFO, "loss": 0.5},),
        [
            "Test loss: 0.5",
            "    Test net output #0: acc = 0.25",
            "    Test net output #1: acc = 1",
            "    Test net output #2: loss = 0.26 (* 0.5 = 0.13 loss)",
        ],
    ),
    "on_test_stopped": ((), ["Test interrupted."]),
    "on_snapshot": (
        ({"weights": "a.caffemodel", "state": "a.solverstate"},),
        [
            "Snapshotting to binary proto file a.caffemodel",
            "Snapshotting solver state to binary proto file a.solverstate",
        ],
    ),
    "on_end": (("done",), ["Optimization Done."]),
}


@pytest.mark.parametrize("event", LINES)
def test_an_event_is_said_in_caffes_words(said, event):
    values, lines = LINES[event]
    getattr(CaffeLog(), event)(SOLVER, *values)
    assert said() == lines


def test_the_last_display_has_no_speed_and_no_outputs(said):
    CaffeLog().on_display(SOLVER, {**INFO, "final": True})
    assert said() == ["Iteration 100, loss = 0.260437"]


def test_no_time_at_all_is_no_speed(said):
    CaffeLog().on_display(SOLVER, {**INFO, "seconds": 0.0})
    assert said()[0] == "Iteration 100 (0 iter/s, 0s/100 iters), loss = 0.260437"


def test_gradients_of_several_batches_are_said_to_be_one_update(caplog):
    caplog.set_level(logging.INFO, "minidl")
    make("iter_size: 3 max_iter: 1").solve()
    lines = [r.getMessage() for r in caplog.records]
    at = lines.index("Learning Rate Policy: inv")
    assert lines[at + 1] == (
        "Gradient accumulation: iter_size 3, so 3 batches of 6 make one update of 18"
    )


def test_a_resumed_run_of_any_type_says_what_caffe_says(said):
    other = SimpleNamespace(param=schema.SolverParameter(type="Adam"))
    CaffeLog().on_resume(other, {"state": "a"})
    assert said()[1] == "SGDSolver: restoring history"


def test_a_stop_is_said(said):
    CaffeLog().on_end(SOLVER, "stopped")
    assert said() == ["Optimization stopped early."]


def test_a_share_of_the_loss_is_worked_out_in_float32():
    assert share(0.3, 0) == ""
    assert share(1 / 3, 0.5) == " (* 0.5 = 0.166667 loss)"
    assert share(math.inf, 1) == " (* 1 = inf loss)"
