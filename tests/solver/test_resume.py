"""A run that is stopped anywhere and goes on is the run that was never stopped, bit for bit."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import DivergedError, FormatError, MinidlError, UsageError, WeightsError
from minidl.solver import Solver
from minidl.storage import caffemodel, snapshot
from tests.places import on
from tests.solver.support import NET, Diary, make, solver_param, weights

pytestmark = on("cpu", "cuda:0")

STEPS = 12
TEST = "test_iter: 2 test_iter: 1 test_interval: 4 test_compute_loss: true "
FIELDS = TEST + f"max_iter: {STEPS} iter_size: 2 display: 3 snapshot_after_train: true "


class Stop(Diary):
    """Asks for a stop while iteration `at` runs, or in test batch `batch` of a test."""

    def __init__(self, at=None, batch=None):
        super().__init__()
        self.at, self.batch = at, batch

    def attach(self, solver):
        solver.hooks.append(self)
        if self.at is not None:
            solver.add_callback(
                lambda: solver.request_stop() if solver.iter == self.at else None, lambda: None
            )
        if self.batch is not None:
            self.left = self.batch
            for net in solver.test_nets:
                net.after_forward.append(lambda layer: self.count(solver, layer))

    def count(self, solver, layer):
        if layer == 0:
            self.left -= 1
            if self.left == 0:
                solver.request_stop()


def run(folder, fields=FIELDS, net=NET, stop=None, resume=None):
    """(solver, diary) of a run to its end or to its stop."""
    stop = stop or Stop()
    solver = make(fields + f'snapshot_prefix: "{folder}/snap"', net)
    stop.attach(solver)
    solver.solve(resume)
    return solver, stop


def newest(folder):
    states = folder.glob("*.solverstate")
    return max(states, key=lambda p: int(p.stem.split("_")[-1]))


def check_same(unbroken, parts, last):
    """Losses, smoothed losses and test figures of the parts follow each other as in the whole."""
    losses = [line for part in parts for line in part.losses]
    assert losses == unbroken[1].losses
    tests = [line for part in parts for line in part.tests]
    again = {(i, net) for i, net, _ in tests}
    assert again == {(i, net) for i, net, _ in unbroken[1].tests}
    for line in tests:
        assert line in unbroken[1].tests  # some run twice: before the stop and after it
    for mine, theirs in zip(weights(last), weights(unbroken[0]), strict=True):
        assert mine.tobytes() == theirs.tobytes()
    for mine, theirs in zip(last.updater.history, unbroken[0].updater.history, strict=True):
        assert mine.tobytes() == theirs.tobytes()


relaxed = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(stops=st.lists(st.integers(0, STEPS - 1), min_size=1, max_size=3, unique=True))
def test_stopped_in_any_iterations(tmp_path_factory, stops):
    folder = tmp_path_factory.mktemp("run")
    unbroken = run(tmp_path_factory.mktemp("whole"))
    parts, resume = [], None
    for at in sorted(stops):
        solver, part = run(folder, stop=Stop(at=at), resume=resume)
        assert solver.iter == at + 1
        assert part.names()[-1] == "end"
        parts.append(part)
        resume = newest(folder)
    last, part = run(folder, resume=resume)
    check_same(unbroken, [*parts, part], last)


@relaxed
@given(batch=st.integers(1, 9))
def test_stopped_in_any_test_batch(tmp_path_factory, batch):
    folder = tmp_path_factory.mktemp("run")
    unbroken = run(tmp_path_factory.mktemp("whole"))
    _, first = run(folder, stop=Stop(batch=batch))
    last, second = run(folder, resume=newest(folder))
    check_same(unbroken, [first, second], last)


def test_a_snapshot_asked_for_in_the_middle_of_a_test_is_of_its_beginning(tmp_path):
    unbroken = run(tmp_path)
    solver = make(FIELDS + f'snapshot_prefix: "{tmp_path}/asked"')
    solver.test_nets[0].after_forward.append(
        lambda layer: solver.request_snapshot() if solver.iter == 4 else None
    )
    solver.solve()
    last, part = run(tmp_path, resume=tmp_path / "asked_iter_4.solverstate")
    assert part.losses == unbroken[1].losses[4 * 1 :]
    assert part.tests == [line for line in unbroken[1].tests if line[0] >= 4]
    assert weights(last)[0].tobytes() == weights(unbroken[0])[0].tobytes()


def test_going_on_in_the_same_process_is_the_same_too(tmp_path):
    fields = FIELDS.replace("display: 3", "display: 2")
    unbroken = run(tmp_path, fields)
    solver, diary = make(fields + f'snapshot_prefix: "{tmp_path}/b"'), Diary()
    solver.hooks.append(diary)
    solver.param.max_iter = 8
    solver.solve()  # its last forward pass and tests leave no trace
    solver.param.max_iter = STEPS
    solver.solve()
    check_same(unbroken, [diary], solver)


NORMALIZED = NET.replace(
    'bottom: "ip1" top: "tanh" }',
    'bottom: "bn" top: "tanh" }',
).replace(
    'layer { name: "tanh"',
    'layer { name: "bn" type: "BatchNorm" bottom: "ip1" top: "bn" }\nlayer { name: "tanh"',
)


def test_statistics_go_on_too_and_the_last_pass_does_not_touch_them(tmp_path):
    fields = FIELDS.replace("display: 3", "display: 2")
    unbroken = run(tmp_path, fields, NORMALIZED)
    folder = tmp_path / "parts"
    folder.mkdir()
    _, first = run(folder, fields, NORMALIZED, stop=Stop(at=5))
    last, second = run(folder, fields, NORMALIZED, resume=newest(folder))
    check_same(unbroken, [first, second], last)
    solver, diary = make(fields + f'snapshot_prefix: "{tmp_path}/b"', NORMALIZED), Diary()
    solver.hooks.append(diary)
    for end in (8, STEPS):
        solver.param.max_iter = end
        solver.solve()
    check_same(unbroken, [diary], solver)


RECURRENT = """
name: "memory"
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 3 dim: 2 dim: 5 } shape { dim: 3 dim: 2 dim: 4 }
    data_filler { type: "gaussian" } data_filler { type: "uniform" min: -1 } } }
layer { name: "cont" type: "DummyData" top: "cont"
  dummy_data_param { shape { dim: 3 dim: 2 } data_filler { value: 1 } } }
layer { name: "lstm" type: "LSTM" bottom: "data" bottom: "cont" top: "h"
  recurrent_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "label" top: "loss" }
"""


def test_the_states_of_recurrent_layers_go_on_too(tmp_path):
    fields = FIELDS.replace("display: 3", "display: 2")
    unbroken = run(tmp_path, fields, RECURRENT)
    folder = tmp_path / "parts"
    folder.mkdir()
    _, first = run(folder, fields, RECURRENT, stop=Stop(at=5))
    last, second = run(folder, fields, RECURRENT, resume=newest(folder))
    check_same(unbroken, [first, second], last)
    solver, diary = make(fields + f'snapshot_prefix: "{tmp_path}/b"', RECURRENT), Diary()
    solver.hooks.append(diary)
    for end in (8, STEPS):
        solver.param.max_iter = end
        solver.solve()  # its last forward pass and tests leave no trace
    check_same(unbroken, [diary], solver)


def test_a_state_that_no_longer_fits_is_said(tmp_path, caplog):
    first = make(f'snapshot_prefix: "{tmp_path}/snap"', RECURRENT)
    first.step(2)
    _, state = first.snapshot()
    second = make(net=RECURRENT.replace("dim: 2", "dim: 6"))
    second.restore(state)
    second.step(1)
    found = "the train net: cell_state of layer 'lstm' has the shape (2, 4), needed is (6, 4)"
    assert found in caplog.text


def test_a_used_solver_can_be_put_back(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.step(3)
    _, state = solver.snapshot()
    first = Diary()
    solver.hooks.append(first)
    solver.step(4)
    end = weights(solver)
    solver.hooks[-1] = second = Diary()
    solver.restore(state)
    solver.step(4)
    assert second.losses == first.losses
    assert weights(solver)[0].tobytes() == end[0].tobytes()


def test_the_seed_goes_on_even_if_it_was_drawn_by_lot_or_the_file_changed(tmp_path, caplog):
    first = make(f'random_seed: -1 snapshot_prefix: "{tmp_path}/snap"')
    first.step(2)
    _, state = first.snapshot()
    first.step(2)
    for seed in (-1, 99):
        second = make(f"random_seed: {seed}")
        second.step(1)  # so that batches and passes of another seed have begun
        second.restore(state)
        second.step(2)
        assert second.seed == first.seed
        assert weights(second)[0].tobytes() == weights(first)[0].tobytes()
    assert "random_seed is 99, but the run of" in caplog.text


# ------------------------------------------------------------------ with a data set

DATA_NET = """
name: "records"
layer { name: "records" type: "Data" top: "data" top: "label"
  transform_param { scale: 0.01 mirror: true crop_size: 3 }
  data_param { source: "SOURCE" batch_size: 3 backend: LMDB } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """An LMDB of ten small images: no multiple of the batch, so batches wrap around."""
    lmdb = pytest.importorskip("lmdb")
    path = str(tmp_path_factory.mktemp("data") / "lmdb")
    rng = np.random.default_rng(1)
    with lmdb.open(path, map_size=1 << 20) as env, env.begin(write=True) as txn:
        for i in range(10):
            pixels = rng.integers(0, 256, 2 * 5 * 4, np.uint8).tobytes()
            datum = schema.Datum(channels=2, height=5, width=4, data=pixels, label=i % 4)
            txn.put(b"%08d" % i, datum.SerializeToString())
    return path


@settings(parent=relaxed, max_examples=6)
@given(at=st.integers(0, STEPS - 1))
def test_a_data_set_goes_on_at_its_record_with_its_crops(tmp_path_factory, records, at):
    net = DATA_NET.replace("SOURCE", records)
    folder = tmp_path_factory.mktemp("run")
    unbroken = run(tmp_path_factory.mktemp("whole"), net=net)
    first_solver, first = run(folder, net=net, stop=Stop(at=at))
    resume = snapshot.read(newest(folder)).resume
    assert {(p.net, p.layer) for p in resume.position} == {
        (name, "records") for name in ("train", "test 0", "test 1")
    }
    last, second = run(folder, net=net, resume=newest(folder))
    check_same(unbroken, [first, second], last)
    for solver in (unbroken[0], first_solver, last):
        solver.close()


def test_batches_made_ahead_of_another_seed_are_not_used(tmp_path, records):
    net = DATA_NET.replace("SOURCE", records)
    first = make(f'random_seed: 1 snapshot_prefix: "{tmp_path}/snap"', net)
    first.step(2)
    _, state = first.snapshot()
    first.step(3)
    second = make("random_seed: 2", net)
    second.step(2)  # batches 2, 3, ... lie ready, mirrored and cropped with seed 2
    second.restore(state)
    second.step(3)
    assert weights(second)[0].tobytes() == weights(first)[0].tobytes()
    for solver in (first, second):
        solver.close()


def test_a_data_layer_that_the_snapshot_does_not_know_starts_over(tmp_path, records, caplog):
    net = DATA_NET.replace("SOURCE", records)
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"', net)
    solver.step(2)
    _, state = solver.snapshot()
    renamed = make("", net.replace('name: "records" type', 'name: "images" type'))
    renamed.restore(state)
    assert "does not know data layer 'images' of the train net" in caplog.text
    assert renamed.net.data_layers[0].position == 0
    for s in (solver, renamed):
        s.close()


# ------------------------------------------------------------------ files


def test_snapshots_hold_what_they_say(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap" snapshot_diff: true')
    solver.step(3)
    paths = solver.snapshot()
    assert paths == (f"{tmp_path}/snap_iter_3.caffemodel", f"{tmp_path}/snap_iter_3.solverstate")
    net = schema.NetParameter.FromString(Path(paths[0]).read_bytes())
    stored = {layer.name: layer.blobs for layer in net.layer}
    assert list(stored) == solver.net.layer_names
    for name, params in solver.net.params.items():
        for blob, param in zip(stored[name], params, strict=True):
            np.testing.assert_array_equal(np.float32(blob.data), param.data.reshape(-1))
            np.testing.assert_array_equal(np.float32(blob.diff), param.diff.reshape(-1))
    state = snapshot.read(paths[1])
    assert (state.iter, state.learned_net, state.resume.seed) == (3, paths[0], 7)
    assert state.resume.train_passes == 3
    assert len(state.resume.recent_losses) == 3


def test_gradients_are_left_out_unless_asked_for(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.step(1)
    net = schema.NetParameter.FromString(Path(solver.snapshot()[0]).read_bytes())
    assert not any(blob.diff for layer in net.layer for blob in layer.blobs)


def test_the_weights_are_written_before_the_state_that_names_them(tmp_path, monkeypatch):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.step(1)

    def write(path, state):
        assert caffemodel.read(state.learned_net).layers
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "write", write)
    with pytest.raises(OSError):
        solver.snapshot()


def test_a_moved_snapshot_finds_its_weights_beside_it(tmp_path, caplog):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.step(1)
    solver.snapshot()
    (tmp_path / "moved").mkdir()
    for path in tmp_path.glob("snap_*"):
        path.rename(tmp_path / "moved" / path.name)
    other = make()
    caplog.set_level(logging.INFO, "minidl")
    other.restore(tmp_path / "moved" / "snap_iter_1.solverstate")
    assert weights(other)[0].tobytes() == weights(solver)[0].tobytes()
    old, new = (f"{tmp_path}/{place}snap_iter_1.caffemodel" for place in ("", "moved/"))
    assert f"snap_iter_1.solverstate names its weights {old}: {new} is taken" in caplog.text


@pytest.mark.parametrize("fields", [FIELDS, FIELDS + "snapshot_diff: true "])
def test_a_run_goes_on_from_hdf5_bit_for_bit(tmp_path, fields):
    pytest.importorskip("h5py")
    fields += "snapshot_format: HDF5 "
    for folder in "ab":
        (tmp_path / folder).mkdir()
    unbroken, stopped = run(tmp_path / "a", fields), run(tmp_path / "b", fields, stop=Stop(at=5))
    (path,) = (tmp_path / "b").glob("*.solverstate.h5")
    rest = run(tmp_path / "b", fields, resume=path)
    check_same(unbroken, [stopped[1], rest[1]], rest[0])


def test_names_that_hdf5_cannot_hold_are_refused_before_the_run():
    pytest.importorskip("h5py")
    net = NET.replace('name: "ip2"', 'name: "ip1/0"')
    make("snapshot_format: BINARYPROTO", net)
    with pytest.raises(
        UsageError, match="layer 'ip1/0' cannot be stored in HDF5 next to layer 'ip"
    ):
        make("snapshot_format: HDF5", net)


def test_a_copied_snapshot_goes_on_with_its_own_weights_after_another_run(tmp_path):
    first = make(f'snapshot_prefix: "{tmp_path}/snap"')
    first.step(1)
    for path in map(Path, first.snapshot()):
        (tmp_path / "backup").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "backup" / path.name)
    second = make(f'random_seed: 8 snapshot_prefix: "{tmp_path}/snap"')
    second.step(1)
    second.snapshot()
    other = make()
    other.restore(tmp_path / "backup" / "snap_iter_1.solverstate")
    assert weights(other)[0].tobytes() == weights(first)[0].tobytes()


def test_the_old_state_beside_the_weights_of_a_later_run_is_refused(tmp_path):
    first = make(f'snapshot_prefix: "{tmp_path}/snap"')
    first.step(1)
    _, state = first.snapshot()
    second = make("random_seed: 8")
    second.step(1)
    second.net.save(tmp_path / "snap_iter_1.caffemodel")  # and killed before its state
    other = make()
    before = weights(other)
    with pytest.raises(WeightsError, match="not the file that was written with it"):
        other.restore(state)
    assert weights(other)[0].tobytes() == before[0].tobytes()


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.net.params["ip2"][1].data[1] = np.inf
    with pytest.raises(DivergedError, match=r"not finite; first in blob 'ip2/1' of layer 'ip2'"):
        solver.snapshot()
    assert not list(tmp_path.iterdir())


OTHER_NET = NET.replace("num_output: 4", "num_output: 3")
MORE_LAYERS = NET.replace('name: "ip2"', 'name: "other"')


def fewer_histories(state):
    state.history = state.history[:-1]


def other_history(state):
    state.history = [h.T for h in state.history]


REFUSED = {
    "another number of histories": (NET, fewer_histories, WeightsError, "has 3 arrays of history"),
    "another history": (
        NET,
        other_history,
        WeightsError,
        r"history of parameter ip1/0 has the shape \(5, 4\)\n  expected: \(4, 5\)",
    ),
    "another shape": (OTHER_NET, None, WeightsError, "history of parameter ip1/0"),
    "a layer missing": (MORE_LAYERS, None, WeightsError, "has no weights for layer 'other'"),
}


@pytest.mark.parametrize("net, spoil, kind, message", REFUSED.values(), ids=REFUSED.keys())
def test_a_snapshot_that_does_not_fit_changes_nothing(tmp_path, net, spoil, kind, message):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.step(2)
    _, path = solver.snapshot()
    if spoil:
        state = snapshot.read(path)
        spoil(state)
        snapshot.write(path, state)
    other = make("", net)
    other.step(1)
    before = weights(other), [h.copy() for h in other.updater.history]
    with pytest.raises(kind, match=message):
        other.restore(path)
    after = weights(other), other.updater.history
    assert other.iter == 1
    for old, new in zip(before, after, strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(old, new, strict=True))


def test_damaged_or_missing_weights_change_nothing(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.step(2)
    model, path = solver.snapshot()
    other = make()
    data = Path(model).read_bytes()
    Path(model).write_bytes(data[:-30])
    with pytest.raises(WeightsError, match=r"snap_iter_2\.caffemodel is not the file"):
        other.restore(path)
    state = snapshot.read(path)
    state.resume.weights_sha256 = ""
    snapshot.write(path, state)
    with pytest.raises(FormatError, match=r"snap_iter_2\.caffemodel: is damaged at byte"):
        other.restore(path)
    (tmp_path / "snap_iter_2.caffemodel").unlink()
    with pytest.raises(UsageError, match="the weights that belong to this solver state"):
        other.restore(path)
    assert other.iter == 0


def test_an_old_state_with_four_axes_fits(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.step(2)
    _, path = solver.snapshot()
    proto = schema.SolverState.FromString(Path(path).read_bytes())
    proto.ClearField("minidl_resume")
    for blob in proto.history:
        axes = [1] * (4 - len(blob.shape.dim)) + list(blob.shape.dim)
        blob.ClearField("shape")
        blob.num, blob.channels, blob.height, blob.width = axes
    Path(path).write_bytes(proto.SerializeToString())
    other = make()
    other.step(1)
    other.restore(path)
    assert other.net.streams.passes == 0  # Caffe does not say: from the beginning
    for mine, theirs in zip(other.updater.history, solver.updater.history, strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_every_refusal_is_a_minidl_error_for_files_cut_anywhere(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/snap"')
    solver.step(1)
    model, path = solver.snapshot()
    whole = {name: Path(name).read_bytes() for name in (model, path)}
    other = make()
    before = weights(other)
    for name, data in whole.items():
        for cut in range(0, len(data), 23):
            Path(name).write_bytes(data[:cut])
            with pytest.raises(MinidlError):
                other.restore(path)
            assert weights(other)[0].tobytes() == before[0].tobytes()
        Path(name).write_bytes(data)
    other.restore(path)


def test_solver_param_is_not_shared_between_solvers():
    param = solver_param()
    assert Solver(param).param is param
