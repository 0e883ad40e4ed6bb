"""Runs recorded from Caffe: losses and weights, step by step, and its own snapshots resumed."""

import logging
import os
import re
from pathlib import Path

import numpy as np
import pytest

from minidl import prototxt
from minidl.solver import Solver
from tests.places import on
from tests.support import golden, golden_cases, relative_error, shared

RUNS = golden_cases("solver/*.npz")
LAYERS = ("conv", "ip")
everywhere = on("cpu/numpy", "cpu/onednn", "cuda:0", "cuda:0/numpy", "cuda:0/cudnn")
on_both = on("cpu", "cuda:0")
TOLERANCE = 1e-5  # of the largest value: float32, sums in another order


def feed(solver, case, step):
    solver.net.blobs["data"].data[...] = case["data"][step]
    solver.net.blobs["label"].data[...] = case["labels"][step]


def check_weights(solver, case, steps):
    for layer in LAYERS:
        for i, param in enumerate(solver.net.params[layer]):
            expected = case[f"after{steps}_{layer}_{i}"]
            assert relative_error(param.data, expected) < TOLERANCE, (layer, i, steps)


@everywhere
@pytest.mark.parametrize("name", RUNS)
def test_a_run_follows_caffe(name, place):
    case = golden(name)
    param = prototxt.read_solver(str(case["solver"]))
    param.net_param.CopyFrom(prototxt.read_net(str(case["net"])))
    solver = Solver(param)
    for layer in LAYERS:
        for i, blob in enumerate(solver.net.params[layer]):
            blob.data[...] = case[f"init_{layer}_{i}"]
    losses = []
    for step in range(12):
        feed(solver, case, step)
        solver.step(1)
        losses.append(solver.loss.value)
        if f"after{step + 1}_ip_0" in case:
            check_weights(solver, case, step + 1)
    assert relative_error(losses, case["loss"]) < TOLERANCE


def test_there_are_runs_to_follow():
    shared("golden/solver")
    types = {prototxt.read_solver(str(golden(name)["solver"])).type for name in RUNS}
    assert types == {"SGD", "Nesterov", "AdaGrad", "AdaDelta", "Adam"}
    assert len(RUNS) == 12


FORMATS = {"binary": ("sgd_binaryproto", ""), "HDF5": ("sgd_hdf5", ".h5")}


def resumed(monkeypatch, stem="sgd_binaryproto", **fields):
    monkeypatch.chdir(shared("golden/resume"))  # the state names its weights from there
    param = prototxt.read_solver(f"{stem}_solver.prototxt")
    param.net = "toy.prototxt"
    for field, value in fields.items():
        setattr(param, field, value)
    return Solver(param)


@everywhere
@pytest.mark.parametrize("stem, end", FORMATS.values(), ids=FORMATS.keys())
def test_caffes_snapshot_is_resumed(monkeypatch, caplog, place, stem, end):
    case = golden(f"resume/{stem}.npz")
    solver = resumed(monkeypatch, stem)
    solver.restore(f"{stem}_iter_6.solverstate{end}")
    assert solver.iter == 6
    assert "was written by Caffe, which does not save random numbers" in caplog.text
    losses = []
    for step in range(6, 12):
        feed(solver, case, step)
        solver.step(1)
        losses.append(solver.loss.value)
    assert relative_error(losses, case["loss"][6:]) < TOLERANCE
    check_weights(solver, case, 12)


@on_both
def test_caffe_could_resume_our_snapshot(monkeypatch, tmp_path):
    """Ours of the same moment has the same fields with the same values."""
    from minidl import schema

    solver = resumed(monkeypatch, snapshot_prefix=str(tmp_path / "ours"))
    solver.restore("sgd_binaryproto_iter_6.solverstate")
    weights, state = solver.snapshot()
    for mine, theirs in ((weights, "caffemodel"), (state, "solverstate")):
        cls = schema.NetParameter if theirs == "caffemodel" else schema.SolverState
        ours = cls.FromString(Path(mine).read_bytes())
        caffes = cls.FromString(Path(f"sgd_binaryproto_iter_6.{theirs}").read_bytes())
        if cls is schema.SolverState:
            assert ours.learned_net == weights
            ours.ClearField("minidl_resume")
            ours.learned_net = caffes.learned_net
        else:
            for layer in caffes.layer:  # Caffe writes down what it takes for granted
                layer.ClearField("phase")
                layer.ClearField("loss_weight")
        assert ours == caffes


def datasets(path):
    """{name: (shape, type, padding of strings, bytes)} of an HDF5 file, None for a group."""
    import h5py

    found = {}

    def note(name, item):
        found[name] = None
        if isinstance(item, h5py.Dataset):
            kind = item.id.get_type()
            padding = kind.get_strpad() if item.dtype.kind == "S" else None
            found[name] = (item.shape, item.dtype, padding, np.asarray(item[()]).tobytes())

    with h5py.File(path) as file:
        file.visititems(note)
    return found


@on_both
def test_caffe_could_resume_our_snapshot_in_hdf5(monkeypatch, tmp_path):
    """Ours of the same moment has Caffe's groups and datasets, of the same types and values."""
    solver = resumed(monkeypatch, "sgd_hdf5", snapshot_prefix=str(tmp_path / "ours"))
    solver.restore("sgd_hdf5_iter_6.solverstate.h5")
    weights, state = solver.snapshot()
    assert (weights, state) == tuple(
        f"{tmp_path}/ours_iter_6.{kind}.h5" for kind in ("caffemodel", "solverstate")
    )
    ours, caffes = datasets(weights), datasets("sgd_hdf5_iter_6.caffemodel.h5")
    del ours["minidl"]
    assert ours == caffes
    ours, caffes = datasets(state), datasets("sgd_hdf5_iter_6.solverstate.h5")
    del ours["minidl_resume"]
    (shape, dtype, padding, name), theirs = ours.pop("learned_net"), caffes.pop("learned_net")
    assert name == weights.encode()
    assert dtype.itemsize == len(name) + 1  # the NUL that Caffe looks for
    assert (shape, dtype.kind, padding) == (theirs[0], theirs[1].kind, theirs[2])
    assert ours == caffes


@on_both
def test_a_run_goes_on_from_our_snapshot_in_hdf5_as_from_the_binary_one(monkeypatch, tmp_path):
    case, losses = golden("resume/sgd_hdf5.npz"), {}
    for format_, end in ((0, ".h5"), (1, "")):
        prefix = str(tmp_path / "ours")
        solver = resumed(monkeypatch, snapshot_format=format_, snapshot_prefix=prefix)
        for step in range(3):
            feed(solver, case, step)
            solver.step(1)
        _, state = solver.snapshot()
        assert state == f"{prefix}_iter_3.solverstate{end}"
        other = resumed(monkeypatch)
        other.restore(state)
        feed(other, case, 3)
        other.step(1)
        losses[end] = other.loss.value
    assert losses[".h5"] == losses[""]


# ------------------------------------------------------------------ the log

NUMBER = r"(?<![\w#])-?\d+(\.\d+)?(e[-+]\d+)?(?=\b|s)"


def shape_of(lines):
    """Lines with every figure that depends on random data or time as `N`."""
    found = []
    for line in lines:
        kept = re.match(r"(    )?Iteration \d+(?=[ ,])", line)
        head = kept.group() if kept else ""
        head = head if not kept or "lr =" not in line else line
        found.append(head + re.sub(NUMBER, "N", line[len(head) :]))
    return found


def caffes_lines(name):
    text = shared(f"golden/cli/{name}").read_text()
    lines = [line.split("] ", 1)[1] for line in text.splitlines() if re.match(r"[IE]\d+ ", line)]
    start = next(i for i, line in enumerate(lines) if line.startswith("Solver scaffolding"))
    lines = [line for line in lines[start:] if line != "Starting Optimization"]
    return lines[:-1] if lines[-2:] == ["Optimization Done."] * 2 else lines


@on_both
@pytest.mark.parametrize(
    "log, solver_file",
    [
        ("cli_train.log", "cli_solver"),
        ("cli_train_h5.log", "cli_solver_h5"),
        ("cli_debug.log", "cli_debug_solver"),
    ],
)
def test_the_log_is_caffes_line_by_line(monkeypatch, tmp_path, caplog, log, solver_file):
    monkeypatch.chdir(shared("golden/cli"))
    caplog.set_level(logging.INFO, "minidl")
    param = prototxt.read_solver(f"{solver_file}.prototxt")
    prefix, param.snapshot_prefix = param.snapshot_prefix, str(tmp_path / "snap")
    Solver(param).solve()
    ours = [r.getMessage().replace(param.snapshot_prefix, prefix) for r in caplog.records]
    ours = ours[ours.index("Solver scaffolding done.") :]
    assert shape_of(ours) == shape_of(caffes_lines(log))


@on_both
def test_the_log_of_a_resumed_run_is_caffes(monkeypatch, tmp_path, caplog):
    monkeypatch.chdir(shared("golden/cli"))
    caplog.set_level(logging.INFO, "minidl")
    param = prototxt.read_solver("cli_solver.prototxt")
    prefix, param.snapshot_prefix = param.snapshot_prefix, str(tmp_path / "snap")
    solver = Solver(param)
    solver.restore("cli_snap_iter_10.solverstate")
    solver.solve()
    ours = [
        r.getMessage().replace(param.snapshot_prefix, prefix)
        for r in caplog.records
        if r.levelname == "INFO"
    ]
    ours = ours[ours.index("Solver scaffolding done.") :]
    assert shape_of(ours) == shape_of(caffes_lines("cli_resume.log"))
    assert os.listdir(tmp_path)


def test_numbers_are_printed_as_cpp_prints_them():
    printed = [f"{np.float32(v):g}" for v in (0.00992565, 1e-5, 123456789, 0.26044, 1, np.inf)]
    assert printed == ["0.00992565", "1e-05", "1.23457e+08", "0.26044", "1", "inf"]
