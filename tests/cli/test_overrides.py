"""--set: fields of a solver, typed and checked."""

import pytest

from minidl import prototxt
from minidl.cli.overrides import apply
from minidl.errors import MinidlError

TEXT = """
net: "a.prototxt"
base_lr: 0.01
lr_policy: "multistep"
stepvalue: 10
stepvalue: 20
max_iter: 100
solver_mode: GPU
"""


def solver():
    return prototxt.read_solver(TEXT)


SETTINGS = {
    "max_iter=1000": ("max_iter", 1000),
    "max_iter = 1000": ("max_iter", 1000),
    "base_lr=-2.5e-1": ("base_lr", -0.25),
    "stepvalue=5,50,500": ("stepvalue", [5, 50, 500]),
    "net=b.prototxt": ("net", "b.prototxt"),
    'net="with space.prototxt"': ("net", "with space.prototxt"),
    "snapshot_prefix=a=b:{c}\\d": ("snapshot_prefix", "a=b:{c}\\d"),
    "test_initialization=false": ("test_initialization", False),
    "solver_mode=CPU": ("solver_mode", 0),
    "test_iter=3": ("test_iter", [3]),
}


@pytest.mark.parametrize("setting, expected", SETTINGS.items())
def test_a_field_is_replaced(setting, expected):
    param = solver()
    apply(param, [setting])
    name, value = expected
    assert getattr(param, name) == value
    assert param.HasField(name) if not isinstance(value, list) else True


def test_the_other_fields_stay():
    param, other = solver(), solver()
    apply(param, ["max_iter=7"])
    other.max_iter = 7
    assert prototxt.to_text(param) == prototxt.to_text(other)


REFUSALS = {
    "max_itre=3": ("a solver has no field 'max_itre'", "did you mean 'max_iter'?"),
    "max_iter": ("there is no '='", "field=value"),
    "max_iter=many": ("'many' is not a valid value for 'max_iter'", "whole number"),
    "max_iter=1.5": ("'1.5' is not a valid value for 'max_iter'", "whole number"),
    "max_iter=": ("'' is not a valid value for 'max_iter'", ""),
    "base_lr=fast": ("'fast' is not a valid value for 'base_lr'", "number"),
    "test_initialization=perhaps": ("'perhaps' is not a valid value", "true"),
    "solver_mode=TPU": ("'TPU' is not a valid value for 'solver_mode'", "CPU"),
    "snapshot_prefix=": ("'snapshot_prefix' is empty", "text"),
    'net=" "': ("'net' is empty", "text"),
    "test_net=a,,b": ("'test_net' is empty", "text"),
    "net_param=x": ("'net_param' is a message", "in the solver file"),
    "minidl_origin=x": ("a solver has no field 'minidl_origin'", ""),
    "max_iter=1 base_lr: 3": ("is not a valid value for 'max_iter'", ""),
}


@pytest.mark.parametrize("setting, texts", REFUSALS.items())
def test_a_bad_setting_is_refused_and_changes_nothing(setting, texts):
    param = solver()
    with pytest.raises(MinidlError) as refusal:
        apply(param, [setting])
    assert str(refusal.value).startswith(f"--set {setting}: ")
    assert all(text in str(refusal.value) for text in texts)
    assert prototxt.to_text(param) == prototxt.to_text(solver())


def test_all_bad_settings_are_reported_at_once():
    with pytest.raises(MinidlError, match=r"'a'(.|\n)*'b'"):
        apply(solver(), ["a=1", "max_iter=3", "b=2"])


def test_an_error_in_a_value_that_was_set_does_not_point_to_the_old_line(tmp_path):
    from minidl.errors import SolverError
    from minidl.solver import parameters

    file = tmp_path / "solver.prototxt"
    file.write_text(TEXT)
    param = prototxt.read_solver(file)
    apply(param, ["max_iter=-1"])
    with pytest.raises(SolverError) as refusal:
        parameters.check(param)
    assert "solver: max_iter is -1" in str(refusal.value).splitlines()
