"""Messages: four parts, several at once, near names."""

import builtins

import pytest

from minidl import errors


def test_only_the_parts_that_exist_are_printed():
    assert str(errors.DataError("gone")) == "gone"
    full = errors.DataError("found", where="here", expected="that", fix="do")
    assert str(full) == "here: found\n  expected: that\n  fix: do"


def test_one_error_is_raised_as_itself_and_none_not_at_all():
    errors.raise_all([])
    with pytest.raises(errors.GraphError, match="^a$"):
        errors.raise_all([errors.GraphError("a")])


def test_several_errors_are_raised_together_as_their_common_class():
    with pytest.raises(errors.PrototxtError, match="a\nb") as raised:
        errors.raise_all([errors.PrototxtError("a"), errors.PrototxtError("b")])
    assert isinstance(raised.value, errors.Several)


def test_several_of_several_are_one_list():
    two = errors.Several([errors.GraphError("a"), errors.GraphError("b")])
    with pytest.raises(errors.GraphError, match="a\nb\nc"):
        errors.raise_all([two, errors.UnknownLayerTypeError("c")])


def test_mixed_errors_keep_the_base_class():
    with pytest.raises(errors.Several):
        errors.raise_all([errors.GraphError("a"), errors.DataError("b")])


def test_a_flood_is_cut_and_counted():
    many = errors.Several([errors.GraphError(f"e{i}") for i in range(25)])
    assert str(many).endswith("... and 5 more errors")


@pytest.mark.parametrize("cls", errors.MinidlError.__subclasses__())
def test_every_class_says_when_it_is_raised_and_has_an_exit_code(cls):
    assert cls.__doc__
    assert cls.exit_code in (1, 2)


def test_near_names_ignore_case():
    assert errors.nearest("convolution", ["Convolution", "Pooling"]) == "Convolution"
    assert errors.did_you_mean("zzz", ["Convolution"]) == ""


BUILTIN = [
    kind
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
]


@pytest.mark.parametrize("builtin", BUILTIN, ids=lambda kind: kind.__name__)
def test_an_error_may_also_be_any_that_python_has(builtin):
    error = errors.also(errors.RunError, builtin)("found", where="here", fix="do")
    assert isinstance(error, errors.RunError) and error.exit_code == 1
    assert isinstance(error, builtin) or issubclass(builtin, errors.GROUPS)
    assert str(error) == "here: found\n  fix: do"
    assert errors.also(errors.RunError, builtin) is errors.also(errors.RunError, builtin)


def test_errors_are_those_that_pycaffe_raises():
    for kind in (errors.GraphError, errors.LayerConfigError, errors.DataError, errors.Several):
        assert issubclass(kind, RuntimeError)
    assert issubclass(errors.UsageError, ValueError) and issubclass(errors.FormatError, ValueError)
