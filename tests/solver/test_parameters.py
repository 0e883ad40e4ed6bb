"""Every field of a solver file is honoured or refused by name."""

import sys

import pytest

from minidl import prototxt, schema
from minidl.errors import PrototxtError, SolverError
from minidl.solver import SGDSolver, Solver, get_solver, parameters
from tests.solver.support import make, solver_param
from tests.support import SHARED


def test_every_field_of_the_message_is_in_one_of_the_tables():
    fields = set(schema.SolverParameter.DESCRIPTOR.fields_by_name) - {schema.ORIGIN}
    tables = [parameters.HONOURED, set(parameters.WITHOUT_EFFECT), set(parameters.OLD)]
    assert set().union(*tables) == fields
    assert sum(map(len, tables)) == len(fields)  # and in one only


def test_a_good_solver_passes():
    parameters.check(solver_param("test_iter: 2 test_interval: 5"))


REFUSED = {
    "no net": ("", "", "no net to train"),
    "two nets": ('train_net: "b.prototxt" net: "a"', "", "has both net and train_net"),
    "no base_lr": ("", "base_lr", "base_lr is missing"),
    "no policy": ("", "lr_policy", "lr_policy is missing"),
    "a misspelt policy": ('lr_policy: "invv"', "", "(?s)unknown lr_policy 'invv'.*'inv'"),
    "inv without power": ("", "power", 'lr_policy "inv" needs power'),
    "step without its fields": ('lr_policy: "step"', "gamma", "(?s)needs gamma.*needs stepsize"),
    "step of zero": ('lr_policy: "step" stepsize: 0', "", "stepsize is 0"),
    "multistep without values": ('lr_policy: "multistep"', "", "needs stepvalue"),
    "poly without an end": ('lr_policy: "poly"', "max_iter", "needs max_iter"),
    "sigmoid without a centre": ('lr_policy: "sigmoid"', "", "needs stepsize"),
    "a negative stepvalue": ('lr_policy: "multistep" stepvalue: -3', "", "stepvalue is -3"),
    "a misspelt type": ('type: "Nestorov"', "", "(?s)unknown type 'Nestorov'.*'Nesterov'"),
    "AdaGrad with momentum": (
        'type: "AdaGrad" momentum: 0.9',
        "",
        "momentum is 0.9, but type AdaGrad has none\n  expected: 0\n  fix: leave momentum out",
    ),
    "RMSProp with momentum": ('type: "RMSProp" momentum: 0.5', "", "but type RMSProp has none"),
    "rms_decay": ('type: "RMSProp" momentum: 0 rms_decay: 1', "", "rms_decay is 1\n.*below 1"),
    "momentum2": ('type: "Adam" momentum2: 1', "", "momentum2 is 1\n  expected: 0 or more and b"),
    "delta": ('type: "Adam" delta: -1', "", "delta is -1"),
    "cosine without an end": ('lr_policy: "cosine"', "max_iter", "needs max_iter"),
    "plateau without its fields": (
        'lr_policy: "plateau"',
        "gamma",
        "(?s)needs gamma.*needs plateau_winsize",
    ),
    "plateau_winsize": (
        'lr_policy: "plateau" plateau_winsize: 0',
        "",
        "plateau_winsize is 0\n  expected: a positive number of iterations",
    ),
    "warm-up": ("warmup_iter: -1", "", "warmup_iter is -1"),
    "the start of the warm-up": ("warmup_start_lr: -1", "", "warmup_start_lr is -1"),
    "ramp-up": ("rampup_interval: -1", "", "rampup_interval is -1"),
    "the start of the ramp-up": ("rampup_lr: -1", "", "rampup_lr is -1"),
    "two warm-ups": (
        "rampup_interval: 2 warmup_iter: 2",
        "",
        "has both warmup_iter and rampup_interval\n  expected: one of them",
    ),
    "larc without SGD": ('larc: true type: "Nesterov"', "", "larc is true, but type is Nesterov"),
    "the policy of larc": (
        'larc_policy: "cut"',
        "",
        "unknown larc_policy 'cut'\n  expected: scale or clip",
    ),
    "larc_eta": ("larc_eta: nan", "", "larc_eta is nan"),
    "min_lr": ("min_lr: inf", "", "min_lr is inf"),
    "a monitor without anything to test": (
        'early_stop_monitor { output: "loss" mode: MIN } early_stop_patience: 1',
        "",
        "early_stop_monitor watches a test, but nothing is tested\n  expected: test_iter",
    ),
    "a monitor of nothing": (
        "test_iter: 1 test_interval: 1 plateau_monitor { }",
        "",
        "(?s)plateau_monitor: output is missing.*plateau_monitor: mode is missing\n"
        "  expected: MIN for a loss, MAX for an accuracy",
    ),
    "a monitor of a net that is not there": (
        'test_iter: 1 test_interval: 1 plateau_monitor { output: "a" mode: MAX test_net: 1 }',
        "",
        "plateau_monitor: test_net is 1, and there are 1",
    ),
    "min_delta": (
        'test_iter: 1 test_interval: 1 plateau_monitor { output: "a" mode: MAX min_delta: -1 }',
        "",
        "plateau_monitor: min_delta is -1",
    ),
    "no patience": (
        'test_iter: 1 test_interval: 1 early_stop_monitor { output: "a" mode: MAX }',
        "",
        "early_stop_monitor needs early_stop_patience",
    ),
    "no patience at all": ("early_stop_patience: 0", "", "early_stop_patience is 0"),
    "patience without a monitor": (
        "early_stop_patience: 2",
        "",
        "(?s)early_stop_patience needs early_stop_monitor.*mode: MAX",
    ),
    "a regularisation": (
        'regularization_type: "l2"',
        "",
        "(?s)unknown regularization_type 'l2'.*'L2'",
    ),
    "test_iter without interval": ("test_iter: 3", "", "test_interval is 0, but there are nets"),
    "a test of less than nothing": ("test_iter: -1 test_interval: 1", "", "test_iter is -1"),
    "a watch on a test that never runs": (
        'test_iter: 2 test_iter: 0 test_interval: 1 plateau_monitor { output: "l" mode: MIN '
        "test_net: 1 }",
        "",
        "plateau_monitor watches test net #1, whose test_iter is 0",
    ),
    "too few test_iter": (
        'test_net: "a" test_net: "b" test_iter: 1 test_interval: 1',
        "",
        "1 test_iter for 2 test nets\n  expected: at least 2",
    ),
    "test_state": (
        "test_iter: 1 test_interval: 1 test_state { } test_state { }",
        "",
        "2 test_state for 1 test nets",
    ),
    "display": ("display: -1", "", "display is -1"),
    "average_loss": ("average_loss: 0", "", "average_loss is 0\n  expected: 1 or more"),
    "iter_size": ("iter_size: 0", "", "iter_size is 0"),
    "snapshot": ("snapshot: -5", "", "snapshot is -5"),
    "max_iter": ("max_iter: -1", "", "max_iter is -1"),
    "momentum": ("momentum: 9", "", "momentum is 9\n  expected: 0 or more and below 1"),
    "weight_decay": ("weight_decay: -0.1", "", "weight_decay is -0.1"),
    "an infinite rate": ("base_lr: inf", "", "base_lr is inf"),
    "gamma is no number": ("gamma: nan", "", "gamma is nan"),
}


@pytest.mark.parametrize("fields, without, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_honoured_is_refused_by_name(fields, without, message):
    param = solver_param(fields, net="" if "no net" in message else None or "layer { }")
    if without:
        param.ClearField(without)
    if "train_net" in fields:
        param.ClearField("net_param")
    with pytest.raises(SolverError, match=message):
        parameters.check(param)


def test_too_many_test_iter_need_a_net_for_both():
    param = solver_param('train_net: "a" test_net: "b" test_iter: 1 test_iter: 1 test_interval: 1')
    with pytest.raises(SolverError, match="2 test_iter for 1 test nets\n  expected: 1: one for"):
        parameters.check(param)


def test_all_errors_of_a_file_come_together_with_their_lines(tmp_path):
    path = tmp_path / "bad_solver.prototxt"
    path.write_text('net: "a.prototxt"\nlr_policy: "fixed"\ndisplay: -1\ntype: "Adams"\n')
    with pytest.raises(SolverError) as caught:
        Solver(path)
    lines = str(caught.value).splitlines()
    found = [line for line in lines if not line.startswith("  ")]
    assert len(found) == 3
    assert any("base_lr is missing" in line and "bad_solver.prototxt" in line for line in found)
    assert f"{path}:3: display is -1" in found
    assert any(line.startswith(f"{path}:4: unknown type 'Adams'") for line in found)


def test_a_value_set_in_memory_is_not_said_to_be_in_the_file(tmp_path):
    path = tmp_path / "s.prototxt"
    path.write_text('net: "a.prototxt"\nlr_policy: "fixed"\nbase_lr: 1\nmomentum: 0.9\n')
    param = prototxt.read_solver(path)
    assert parameters.where(param, "momentum") == f"{path}:4"
    assert parameters.where(param, "max_iter") == str(path)  # it ought to be there
    param.momentum = 1.5
    del param.minidl_origin.lines["momentum"]  # as --set does
    param.test_iter.append(-1)
    param.test_interval = 1
    with pytest.raises(SolverError) as caught:
        parameters.check(param)
    assert [line for line in str(caught.value).splitlines() if line[0] != " "] == [
        "solver: test_iter is -1",
        "solver: momentum is 1.5",
    ]
    assert parameters.where(schema.SolverParameter(), "momentum") == "solver"
    assert parameters.where(schema.SolverParameter()) == "solver"


def test_an_old_solver_type_is_upgraded_and_checked(caplog):
    caplog.set_level("INFO", "minidl")
    param = solver_param()
    param.solver_type = param.SGD
    parameters.check(param)
    assert get_solver(param).param.type == SGDSolver(param).param.type == "SGD"
    assert "turned solver_type: SGD into type" in caplog.text
    assert param.HasField("solver_type")  # the caller's message is left as it is
    param.solver_type = param.ADAM
    parameters.check(param)
    assert get_solver(param).param.type == "Adam"
    with pytest.raises(SolverError, match='type is "Adam"'):
        SGDSolver(param)
    param.type = "SGD"
    with pytest.raises(PrototxtError, match="has both type and solver_type"):
        get_solver(param)


def test_what_has_no_effect_is_said(caplog):
    caplog.set_level("INFO", "minidl")
    param = solver_param("solver_mode: GPU layer_wise_reduce: false delta: 1e-8")
    parameters.say_what_has_no_effect(param)
    said = {(r.levelname, r.getMessage()) for r in caplog.records}
    for field in ("layer_wise_reduce: 0", "delta: 1e-08"):
        assert any(level == "INFO" and field in text for level, text in said)
    assert len(said) == 2


NO_USE = {
    "momentum2: 0.5": "momentum2: 0.5 has no effect: it is for Adam and AdamW",
    "rms_decay: 0.5": "rms_decay: 0.5 has no effect: it is for RMSProp",
    "delta: 1": "delta: 1 has no effect: it is for AdaGrad, RMSProp, AdaDelta, Adam and AdamW",
    "min_lr: 0.25": "min_lr: 0.25 has no effect: it is for lr_policy poly and cosine",
    "plateau_winsize: 5": "plateau_winsize has no effect: it is for lr_policy plateau",
    "warmup_start_lr: 1": "warmup_start_lr: 1 has no effect: there is no warmup_iter",
    "rampup_lr: 1": "rampup_lr: 1 has no effect: there is no rampup_interval",
    "larc_eta: 2": "larc_eta: 2 has no effect: larc is not true",
    'larc: true larc_policy: "clip" larc_eta: 2 rampup_interval: 3 rampup_lr: 1': "",
    'type: "Adam" delta: 0.1 momentum2: 0.5': "",
    'type: "RMSProp" rms_decay: 0.5': "",
    'lr_policy: "cosine" min_lr: 0.1': "",
    'lr_policy: "plateau" plateau_winsize: 5': "",
    "warmup_iter: 1 warmup_start_lr: 1": "",
}


@pytest.mark.parametrize("fields", NO_USE)
def test_a_field_of_another_type_or_policy_is_said_to_have_no_effect(caplog, fields):
    caplog.set_level("INFO", "minidl")
    parameters.say_what_has_no_effect(solver_param(fields))
    expected = [f"<text>:1: {NO_USE[fields]}"] if NO_USE[fields] else []
    assert [r.getMessage() for r in caplog.records] == expected


def test_an_interval_without_anything_to_test_is_warned_of(caplog):
    make("test_interval: 500")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        (
            "WARNING",
            "<text>:1: test_interval: 500 has no effect: there is no test_iter, so nothing is "
            "tested",
        )
    ]
    caplog.clear()
    for fields in ("", "test_interval: 0", "test_interval: 5 test_iter: 1"):
        make(fields)
    assert not caplog.records


PREFIXES = {
    "left out": (None, "{dir}/lenet_solver"),
    "a prefix": ("{dir}/snap", "{dir}/snap"),
    "a folder": ("{dir}", "{dir}/lenet_solver"),
    "a folder that is not there": ("{dir}/absent/", "{dir}/absent/"),
}


@pytest.mark.parametrize("given, expected", PREFIXES.values(), ids=PREFIXES.keys())
def test_snapshot_prefix_follows_caffes_rules(tmp_path, given, expected):
    path = tmp_path / "lenet_solver.prototxt"
    path.write_text(f'snapshot_prefix: "{given.format(dir=tmp_path)}"' if given else "")
    param = prototxt.read_solver(path)
    assert parameters.snapshot_prefix(param) == expected.format(dir=tmp_path)


def test_a_solver_from_text_has_no_prefix_of_its_own():
    assert parameters.snapshot_prefix(solver_param()) == ""
    assert parameters.snapshot_prefix(solver_param('snapshot_prefix: "a/b"')) == "a/b"
    assert parameters.snapshot_prefix(solver_param('snapshot_prefix: "/"')) == "/"


REAL = sorted(
    p.name for p in SHARED.glob("prototxt/*.prototxt") if "base_lr" in p.read_text(errors="replace")
)


@pytest.mark.parametrize("name", REAL)
def test_real_solver_files_pass(name):
    try:
        parameters.check(prototxt.read_solver(SHARED / "prototxt" / name))
    except PrototxtError as error:
        assert "the solver has no field" in str(error)  # a fork's own


def test_hdf5_without_h5py_is_refused_before_the_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SolverError, match=r"h5py, which writes(.|\n)*pip install h5py"):
        parameters.check(solver_param("snapshot_format: HDF5"))
    parameters.check(solver_param("snapshot_format: BINARYPROTO"))
