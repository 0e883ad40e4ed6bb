"""Which snapshot a run that diverged is to go back to."""

import numpy as np
import pytest

from minidl.errors import DivergedError
from tests.places import on
from tests.solver.support import diary, make

pytestmark = on("cpu", "cuda:0", "cuda:0/numpy")


def test_a_loss_that_diverges_names_the_layer_and_the_last_snapshot(tmp_path):
    solver, notes = diary(f'snapshot: 2 snapshot_prefix: "{tmp_path}/s" max_iter: 9')

    def spoil():
        if solver.iter == 5:
            solver.net.params["ip2"][0].data[0, 0] = np.nan

    solver.add_callback(spoil, lambda: None)
    with pytest.raises(DivergedError) as caught:
        solver.solve()
    text = str(caught.value)
    assert "net 'tiny', iteration 5: the loss is nan; first in blob 'ip2/0' of layer 'ip2'" in text
    assert f"go on from {tmp_path}/s_iter_4.solverstate" in text
    assert notes.events[-1][0] == "error"
    assert solver.iter == 5


def spoilt(tmp_path, iteration, resume=None, fields="snapshot: 2 max_iter: 9"):
    """The error of a run with a NaN in its weights before the forward pass of an iteration."""
    solver = make(f'{fields} snapshot_prefix: "{tmp_path}/s"')

    def spoil():
        if solver.iter == iteration:
            solver.net.params["ip2"][0].data[0, 0] = np.nan

    solver.add_callback(spoil, lambda: None)
    with pytest.raises(DivergedError) as caught:
        solver.solve(resume)
    return caught.value.fix


def test_a_snapshot_whose_own_iteration_diverged_is_not_the_one_to_go_back_to(tmp_path):
    state = f"{tmp_path}/s_iter_{{}}.solverstate".format
    again = "which leads here again"
    fix = f"go on from {state(4)} with a lower base_lr, not from {state(6)}, {again}"
    assert spoilt(tmp_path, 6) == fix
    assert spoilt(tmp_path, 7) == f"go on from {state(6)} with a lower base_lr"
    fix = f"lower base_lr and start again; {state(2)} leads here again"
    assert spoilt(tmp_path, 2) == fix
    assert spoilt(tmp_path, 2, state(2)) == fix  # what was restored is not proven either
    fix = f"go on from {state(2)} with a lower base_lr, not from {state(4)}, {again}"
    assert spoilt(tmp_path, 4, state(2)) == fix


def test_one_iteration_written_twice_does_not_prove_its_snapshot(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/s" base_lr: 1e30 lr_policy: "fixed"')
    first = solver.snapshot()[1]
    solver.step(1)
    solver.snapshot()
    last = solver.snapshot()[1]
    with pytest.raises(DivergedError) as caught:
        solver.step(5)
    assert f"go on from {first} with a lower base_lr, not from {last}" in caught.value.fix


def test_a_run_that_was_put_back_does_not_go_on_from_a_later_snapshot(tmp_path):
    solver = make(f'snapshot: 2 snapshot_prefix: "{tmp_path}/s"')
    solver.step(4)
    solver.restore(tmp_path / "s_iter_2.solverstate")
    solver.net.params["ip2"][0].data[0, 0] = np.nan
    with pytest.raises(DivergedError) as caught:
        solver.step(1)
    back = f"lower base_lr and start again; {tmp_path}/s_iter_2.solverstate leads here again"
    assert caught.value.fix == back
