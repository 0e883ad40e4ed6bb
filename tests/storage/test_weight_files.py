"""Weights in every format: what goes in comes out, bit for bit; what is damaged is refused."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.errors import FormatError, MinidlError, UsageError
from minidl.storage import caffemodel, legacy, weight_files
from minidl.storage.content import LayerWeights, Weights
from tests.storage import support
from tests.support import SHARED, shared

MODELS = sorted(p.parent.name for p in SHARED.glob("models/*/weights.caffemodel"))
SUFFIXES = {
    "caffemodel": ".caffemodel",
    "hdf5": ".caffemodel.h5",
    "npz": ".npz",
    "safetensors": ".safetensors",
}


@pytest.fixture(params=weight_files.FORMATS)
def kind(request):
    if request.param in ("hdf5", "safetensors"):
        pytest.importorskip({"hdf5": "h5py"}.get(request.param, request.param))
    return request.param


def test_what_is_written_comes_back_bit_for_bit(tmp_path, kind):
    path = tmp_path / f"w{SUFFIXES[kind]}"
    expected = support.weights()
    weight_files.write(path, expected, kind)
    support.check_same(weight_files.read(path), expected)


@pytest.mark.parametrize("model", MODELS)
def test_real_weights_survive_every_format(tmp_path, kind, model):
    expected = legacy.modern(caffemodel.read(shared(f"models/{model}/weights.caffemodel")))
    path = tmp_path / f"w{SUFFIXES[kind]}"
    weight_files.write(path, expected, kind)
    support.check_same(weight_files.read(path), expected)


def test_the_format_is_told_by_the_content_not_the_name(tmp_path, kind):
    weight_files.write(tmp_path / "w.bin", support.weights(), kind)
    assert [la.name for la in weight_files.read(tmp_path / "w.bin").layers][0] == "z/conv.1x1"


@pytest.mark.parametrize("kind, suffix", SUFFIXES.items())
def test_the_ending_of_a_name_says_what_to_write(kind, suffix):
    assert weight_files.format_of(f"a/lenet{suffix}") == kind
    assert weight_files.format_of(f"a/lenet{suffix.upper()}") == kind


def test_the_same_weights_give_the_same_bytes(tmp_path, kind):
    for name in "ab":
        weight_files.write(tmp_path / name, support.weights(), kind)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_parameter_that_is_stored_with_another_layer_keeps_its_place(tmp_path, kind):
    expected = support.weights()
    expected.owners_only = True
    expected.layers[1].blobs[1] = None
    path = tmp_path / "w"
    if kind == "caffemodel":
        with pytest.raises(
            UsageError, match="layer 'a' shares parameters(.|\n)*has them with both"
        ):
            weight_files.write(path, expected, kind)
        return
    weight_files.write(path, expected, kind)
    support.check_same(weight_files.read(path), expected)


def test_no_weights_at_all_are_weights(tmp_path, kind):
    weight_files.write(tmp_path / "w", Weights("empty", [], []), kind)
    if kind == "caffemodel":
        with pytest.raises(FormatError, match="no layers"):
            weight_files.read(tmp_path / "w")
        return
    got = weight_files.read(tmp_path / "w")
    assert (got.layers, got.notes) == ([], ["holds no weights"])


@pytest.mark.parametrize("kind, package", [("hdf5", "h5py"), ("safetensors", "safetensors")])
def test_without_its_package_a_format_names_it(tmp_path, monkeypatch, kind, package):
    pytest.importorskip(package)
    weight_files.write(tmp_path / "w", support.weights(), kind)
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"w: (.|\n)*not installed\n  fix: pip install {package}"
    with pytest.raises(UsageError, match=message):
        weight_files.read(tmp_path / "w")
    with pytest.raises(UsageError, match=message):
        weight_files.write(tmp_path / "w", support.weights(), kind)


def test_a_format_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no format 'onnx'(.|\n)*caffemodel, hdf5, npz, safetens"):
        weight_files.write(tmp_path / "w", support.weights(), "onnx")


def test_an_absent_file_names_its_neighbour(tmp_path):
    weight_files.write(tmp_path / "lenet.npz", support.weights(), "npz")
    with pytest.raises(UsageError, match="no such weights file(.|\n)*'lenet.npz'"):
        weight_files.read(tmp_path / "lennet.npz")


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_give_anything_but_weights_or_a_minidl_error(tmp_path, kind, data):
    whole = tmp_path / "whole"
    if not whole.exists():
        small = Weights("n", [LayerWeights("ip/1", "IP", [np.ones(3, "f")], [False])], [])
        weight_files.write(whole, small, kind)
    path = tmp_path / "w"
    path.write_bytes(support.damage(data.draw, st, whole.read_bytes()))
    try:
        found = weight_files.read(path)
    except MinidlError as error:
        assert str(error).startswith(f"{path}: ")
        assert error.exit_code == 2
    else:
        held = sum(b.nbytes for la in found.layers for b in la.blobs if b is not None)
        assert held <= 2 * path.stat().st_size


@pytest.mark.parametrize("cut", [9, 40, 0.2, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_refused(tmp_path, kind, cut):
    path = tmp_path / "w"
    weight_files.write(path, support.weights(), kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(cut * len(data)) if cut < 1 else cut])
    with pytest.raises(FormatError, match="w: "):
        weight_files.read(path)
