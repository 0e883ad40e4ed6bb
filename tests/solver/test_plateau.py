"""lr_policy "plateau": the rate drops when the loss, or a test, has not got better for long."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import schema
from minidl.solver import EventsFile, plateau
from minidl.solver.monitor import Best
from tests.places import on
from tests.solver.support import Diary, make

PLATEAU = 'lr_policy: "plateau" gamma: 0.5 plateau_winsize: {} display: 1 '
TESTED = (
    'test_iter: 1 test_interval: 2 plateau_monitor { output: "loss" mode: MIN min_delta: 1e6 } '
)


def drops_of_the_forks(losses, windows):
    """Iterations in which the rate drops, as the forks work it out with four variables."""
    minimum, last_event, step, found = float("inf"), 0, 0, []
    for i, loss in enumerate(losses):
        if loss < minimum:
            minimum, last_event = loss, i
        if step < len(windows) and i >= last_event + windows[step]:
            step, last_event = step + 1, i
            found.append(i)
    return found


@given(
    losses=st.lists(st.integers(0, 6).map(float), min_size=1, max_size=40),
    windows=st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_the_rate_drops_where_it_drops_in_the_forks(losses, windows):
    p, best, found = schema.SolverParameter(plateau_winsize=windows), Best(), []
    for i, loss in enumerate(losses):
        best = plateau.after_loss(best, i, loss)
        if plateau.ends(best, p, i):
            best = plateau.counted(best, i)
            found.append(i)
    assert found == drops_of_the_forks(losses, windows)
    assert best.count == len(found)


def test_a_test_counts_where_it_is_watched_and_only_there():
    p = schema.SolverParameter(plateau_winsize=[3, 3])
    p.plateau_monitor.output, p.plateau_monitor.mode = "accuracy", schema.Monitor.MAX
    best = Best()
    for i, accuracy in ((1, 0.5), (2, 0.4), (3, 0.5)):
        best = plateau.after_tests(best, p, i, [{"outputs": {"accuracy": accuracy}}])
        assert best == Best(0.5, 1)
    assert [plateau.ends(best, p, i) for i in (3, 4)] == [False, True]
    assert plateau.counted(best, 4) == Best(0.5, 4, 1)
    unwatched = schema.SolverParameter()
    assert plateau.after_tests(best, unwatched, 5, [{"outputs": {"accuracy": 1.0}}]) is best


def test_there_is_no_plateau_before_the_first_test():
    p = schema.SolverParameter(plateau_winsize=[2])
    p.plateau_monitor.output, p.plateau_monitor.mode = "accuracy", schema.Monitor.MAX
    assert not any(plateau.ends(Best(), p, i) for i in range(9))
    best = plateau.after_tests(Best(), p, 9, [{"outputs": {"accuracy": 0.5}}])
    assert [plateau.ends(best, p, i) for i in range(9, 12)] == [False, False, True]


@on("cpu", "cuda:0")
def test_a_run_uses_says_and_shows_the_lower_rate(tmp_path, caplog):
    """0.1, and half of it from each plateau on: one of 3 iterations, another of 2."""
    caplog.set_level("INFO", "minidl")
    path, notes = tmp_path / "e.jsonl", Diary()
    fields = PLATEAU.format("[3, 2]") + "test_initialization: false max_iter: 8 " + TESTED
    solver = make(fields, hooks=[EventsFile(path), notes])
    solver.solve()
    rates = [event[2] for event in notes.events if event[0] == "rate"]
    # the test after 2 iterations is the first, and no other is better by 1e6
    assert rates == pytest.approx([0.1] * 5 + [0.05] * 2 + [0.025], rel=1e-6)
    said = [r.getMessage() for r in caplog.records if "Plateau" in r.getMessage()]
    assert said == [f"Plateau Status: Iteration {i}, step = {k}" for i, k in ((5, 1), (7, 2))]
    events = [json.loads(line) for line in path.read_text().splitlines()]
    drops = [(e["iter"], e["count"], e["lr"]) for e in events if e["event"] == "plateau"]
    assert drops == [(5, 1, pytest.approx(0.05)), (7, 2, pytest.approx(0.025))]
    shown = [e["lr"] for e in events if e["event"] == "display" and not e["final"]]
    assert shown == rates
    assert solver.lr == rates[-1]


@on("cpu", "cuda:0")
@pytest.mark.parametrize("more", ["", TESTED], ids=["of the loss", "of a test"])
def test_a_run_goes_on_in_the_middle_of_a_window(tmp_path, more, place):
    fields = PLATEAU.format("[3, 4]") + f'base_lr: 1e-9 snapshot_prefix: "{tmp_path}/s" ' + more

    def rates(solver):
        notes = Diary()
        solver.hooks.append(notes)
        return lambda: [event[1:] for event in notes.events if event[0] in ("rate", "plateau")]

    whole, first, second = make(fields), make(fields), make(fields)
    of_whole, of_first, of_second = map(rates, (whole, first, second))
    whole.step(12)
    first.step(5)
    _, state = first.snapshot()
    second.restore(state)
    second.step(7)
    assert of_first() + of_second() == of_whole()
    assert whole.plateau == second.plateau and whole.plateau.count > 0


def test_a_forks_snapshot_goes_on_with_the_steps_it_counted(tmp_path):
    fields = (
        PLATEAU.format("[2, 2, 2]") + f'base_lr: 1e-9 snapshot_prefix: "{tmp_path}/s" ' + TESTED
    )
    first = make(fields)
    first.step(6)
    _, state = first.snapshot()
    written = schema.SolverState.FromString((tmp_path / "s_iter_6.solverstate").read_bytes())
    assert written.current_step == first.plateau.count == 2
    written.ClearField("minidl_resume")
    (tmp_path / "s_iter_6.solverstate").write_bytes(written.SerializeToString())
    second = make(fields)
    second.restore(state)
    assert second.plateau == Best(None, 6, 2)
