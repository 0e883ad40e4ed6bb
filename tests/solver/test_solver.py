"""A whole run: how it begins and stops, its seed, its public names."""

import logging

import numpy as np
import pytest

import minidl.solver
from minidl.errors import SolverError, UsageError, WeightsError
from minidl.net import Net
from minidl.solver import SGDSolver, Solver, get_solver
from tests.places import on
from tests.solver.support import NET, SOLVER, diary, make, solver_param, weights

pytestmark = on("cpu", "cuda:0")


def test_a_stop_takes_effect_after_the_iteration(tmp_path):
    solver, notes = diary(f'snapshot_after_train: true snapshot_prefix: "{tmp_path}/s"')
    solver.add_callback(lambda: solver.iter == 3 and solver.request_stop(), lambda: None)
    solver.solve()
    assert solver.iter == 4
    assert notes.names()[-2:] == ["snapshot", "end"]
    assert notes.events[-1] == ("end", 4, "stopped")
    solver.step(2)  # the request was honoured: it does not stop these
    assert solver.iter == 6


def test_a_stop_before_the_start_stops_after_one_iteration():
    solver, notes = diary("")
    solver.request_stop()
    solver.solve()
    assert (solver.iter, notes.events[-1][2]) == (1, "stopped")


def test_a_snapshot_is_written_when_asked_for_and_only_then(tmp_path):
    solver, notes = diary(f'snapshot_prefix: "{tmp_path}/s"')
    solver.request_snapshot()
    solver.step(3)
    assert [e[1] for e in notes.events if e[0] == "snapshot"] == [1]


def test_the_last_snapshot_is_not_written_twice(tmp_path):
    solver, notes = diary(
        f'snapshot: 2 max_iter: 4 snapshot_after_train: true snapshot_prefix: "{tmp_path}/s"'
    )
    solver.solve()
    assert [e[1] for e in notes.events if e[0] == "snapshot"] == [2, 4]


def test_a_place_for_snapshots_is_looked_for_at_the_start(tmp_path):
    with pytest.raises(UsageError, match="there is no such folder(.|\n)*mkdir -p"):
        make(f'snapshot: 5 snapshot_prefix: "{tmp_path}/absent/s"')
    solver = make(f'snapshot_after_train: true snapshot_prefix: "{tmp_path}/absent/s"')
    with pytest.raises(UsageError, match="there is no such folder"):
        solver.solve()
    assert solver.iter == 0
    with pytest.raises(SolverError, match="snapshot_prefix is missing"):
        make("snapshot_after_train: true").solve()


def test_a_run_that_is_at_its_end_says_that_there_is_nothing_to_train(caplog):
    solver = make("max_iter: 2")
    solver.solve()
    assert not caplog.records
    solver.solve()
    assert "nothing to train: iteration 2 of 2" in caplog.text


@pytest.mark.parametrize("end", [2, 4], ids=["beyond the end", "at the end"])
def test_a_poly_run_that_is_over_says_so_and_ends_well(tmp_path, caplog, end):
    fields = 'lr_policy: "poly" power: 0.5 display: 2 max_iter: '
    first = make(f'{fields} 4 snapshot_prefix: "{tmp_path}/s"')
    first.step(4)
    _, state = first.snapshot()
    solver, notes = diary(f"{fields} {end}")
    solver.solve(state)
    assert f"nothing to train: iteration 4 of {end}" in caplog.text
    last = [e for e in notes.events if e[0] == "display"][-1]
    assert (last[2]["lr"], last[2]["final"]) == (0, True)
    if end == 2:
        with pytest.raises(SolverError, match="no rate for iteration 4: it ends at 2"):
            solver.step(1)


def test_a_run_needs_an_end_but_steps_do_not():
    param = solver_param()
    param.ClearField("max_iter")
    solver = Solver(param)
    solver.step(1)
    with pytest.raises(SolverError, match="max_iter is missing"):
        solver.solve()


@pytest.mark.parametrize("count", [2.5, 3.0, "3", None, -1])
def test_steps_are_whole_numbers(count):
    solver = make()
    with pytest.raises(UsageError, match=f"step was given {count!r}\n  expected: a whole number"):
        solver.step(count)
    assert solver.iter == 0


def test_steps_may_be_numpys_whole_numbers():
    solver = make()
    solver.step(np.int64(2))
    solver.step(0)
    assert solver.iter == 2


def test_runs_of_one_seed_are_equal_and_of_two_are_not():
    runs = [make(f"random_seed: {seed}") for seed in (3, 3, 4)]
    for solver in runs:
        solver.step(3)
    first, same, other = (weights(s)[0] for s in runs)
    assert first.tobytes() == same.tobytes() != other.tobytes()


def test_test_nets_draw_other_numbers_than_the_training_net():
    solver = make("test_iter: 1 test_interval: 1")
    for net in solver.nets:
        net.forward_pass()
    train, test = (net.blobs["data"].data for net in solver.nets)
    assert not np.array_equal(train, test)


def test_a_net_of_ones_own_can_share_the_weights_that_are_trained():
    solver = make()
    own = Net(solver.net.param, "TEST")
    before = own.params["ip1"][0].data.copy()
    solver.share_weights(own)
    solver.step(2)
    for name, params in solver.net.params.items():
        for mine, theirs in zip(own.params[name], params, strict=True):
            np.testing.assert_array_equal(mine.data, theirs.data)
    assert not np.array_equal(before, own.params["ip1"][0].data)


def test_a_net_that_does_not_fit_shares_no_weights():
    other = make("", NET.replace("num_output: 4", "num_output: 3"))
    with pytest.raises(WeightsError, match="layer 'ip1' has parameters of shapes"):
        make().share_weights(other.net)


def test_a_seed_drawn_by_lot_is_said(caplog):
    caplog.set_level(logging.INFO, "minidl")
    solver = make("random_seed: -1")
    assert f"random_seed: {solver.seed}, drawn by lot" in caplog.text


def test_float64_runs_throughout():
    solver = make("", dtype=np.float64)
    solver.step(2)
    assert {p.data.dtype for p in solver.net.learnable} == {np.dtype(np.float64)}
    assert {h.dtype for h in solver.updater.history} == {np.dtype(np.float64)}


def test_get_solver_takes_a_file_a_text_or_a_message(tmp_path):
    path = tmp_path / "s.prototxt"
    text = f"{SOLVER} net_param {{ {NET} }}"
    path.write_text(text)
    for model in (path, str(path), text, solver_param()):
        assert get_solver(model).net.name == "tiny"


def test_sgd_solver_is_for_sgd():
    assert SGDSolver(solver_param()).iter == 0
    with pytest.raises(SolverError, match='type is "Adam"\n  expected: SGD'):
        SGDSolver(solver_param('type: "Adam"'))


def test_a_solver_of_one_type_says_so_and_can_have_subclasses():
    assert '"SGD"' in SGDSolver.__doc__

    class Own(SGDSolver):
        """Somebody's."""

    assert (Own.type, Own.__doc__) == ("SGD", "Somebody's.")
    assert Own(solver_param()).iter == 0


def test_the_public_names_are_there():
    types = "AdaDelta AdaGrad Adam Nesterov RMSProp SGD".split()
    others = {"EventsFile", "Hook", "Run", "Solver", "get_solver"}
    assert set(minidl.solver.__all__) == {f"{name}Solver" for name in types} | others
