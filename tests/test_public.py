"""The public names: all there, all fetched only when used."""

import subprocess
import sys

import pytest

import minidl


@pytest.mark.parametrize("name", minidl.__all__)
def test_every_public_name_exists(name):
    assert getattr(minidl, name) is not None
    assert name in dir(minidl)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'minidl' has no attribute 'Nett'"):
        minidl.Nett  # noqa: B018


def test_importing_minidl_loads_neither_numpy_nor_anything_optional():
    code = "import sys, minidl; print(*sorted(m.split('.')[0] for m in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "google", "lmdb", "tqdm", "PIL", "cupy"} & set(loaded.stdout.split())


def test_a_seed_set_for_all_makes_new_nets_equal():
    text = """layer { name: "x" type: "DummyData" top: "x" dummy_data_param {
      shape { dim: 5 } data_filler { type: "gaussian" } } }"""
    minidl.set_random_seed(7)
    try:
        a, b = minidl.Net(text), minidl.Net(text)
        assert (a.forward()["x"] == b.forward()["x"]).all()
    finally:
        minidl.set_random_seed(None)
    assert minidl.Net(text).streams.seed != minidl.Net(text).streams.seed


def test_the_layer_types_are_listed():
    assert {"Convolution", "SoftmaxWithLoss"} <= set(minidl.layer_type_list())
