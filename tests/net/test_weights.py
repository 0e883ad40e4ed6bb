"""Weights in and out of a net, in every format: nothing is lost, nothing goes unsaid."""

import logging

import numpy as np
import pytest

from minidl import schema
from minidl.errors import WeightsError
from minidl.net import Net
from minidl.prototxt import read_message
from minidl.storage import caffemodel, weight_files
from minidl.storage.content import LayerWeights, Weights
from tests.places import on
from tests.support import golden, shared

pytestmark = on("cpu", "cuda:0/numpy")

SHARED_WEIGHT = 'param { name: "w" }'
TEXT = """
name: "twins"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }
layer { name: "left/ip" type: "InnerProduct" bottom: "x" top: "y" PARAM
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "right" type: "InnerProduct" bottom: "y" top: "z" PARAM
  inner_product_param { num_output: 4 weight_filler { type: "xavier" }
    bias_filler { type: "gaussian" } } }
"""
ENDINGS = (".caffemodel", ".caffemodel.h5", ".npz", ".safetensors")


def net(param="", seed=0, text=TEXT, **options):
    return Net(text.replace("PARAM", param), seed=seed, phase=schema.TRAIN, **options)


def values(net):
    return [p.data.tobytes() for params in net.params.values() for p in params]


@pytest.fixture(params=ENDINGS)
def path(request, tmp_path):
    if request.param in (".caffemodel.h5", ".safetensors"):
        pytest.importorskip("h5py" if ".h5" in request.param else "safetensors")
    return tmp_path / f"w{request.param}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("param", ["", SHARED_WEIGHT], ids=["apart", "shared"])
def test_a_net_survives_every_format(path, caplog, param, dtype):
    one, other = net(param, dtype=dtype), net(param, seed=9, dtype=dtype)
    one.save(path)
    other.copy_from(path)
    assert values(one) == values(other)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_the_file_knows_net_layers_and_types(path):
    net().save(path)
    found = weight_files.read(path)
    assert found.name == "twins"
    assert [(la.name, la.type) for la in found.layers] == [
        ("left/ip", "InnerProduct"),
        ("right", "InnerProduct"),
    ]


def test_hdf5_has_a_shared_parameter_with_each_layer(tmp_path):
    h5py = pytest.importorskip("h5py")
    one = net(SHARED_WEIGHT)
    one.params["right"][0].diff[...] = 3
    one.save(tmp_path / "w.h5", diffs=True)
    with h5py.File(tmp_path / "w.h5") as file:
        for root in ("data", "diff"):
            assert sorted(file[root]["left/ip"]) == sorted(file[root]["right"]) == ["0", "1"]
        assert (file["diff/left/ip/0"][()] == 3).all()
        np.testing.assert_array_equal(file["data/right/0"][()], one.params["left/ip"][0].data)


def test_what_was_shared_fills_a_net_that_shares_nothing_or_has_one_of_the_layers(path):
    one = net(SHARED_WEIGHT)
    one.save(path)
    apart = net(seed=9)
    apart.copy_from(path)
    assert values(apart) == values(one)
    right = Net(TEXT.replace("PARAM", "").replace("left/ip", "new"), seed=9)
    right.copy_from(path)
    np.testing.assert_array_equal(right.params["right"][0].data, one.params["left/ip"][0].data)


def caffes(path):
    """HDF5 as Caffe writes it: what layers share stands with the first of them."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for i, shape in enumerate([(4, 4), (4,)]):
            file[f"data/left/ip/{i}"] = np.full(shape, i + 1.0, np.float32)
        file.create_group("data/right")
        file["data/right/1"] = np.full(4, 3.0, np.float32)
    return path


def test_caffes_hdf5_has_shared_parameters_with_their_first_layer(tmp_path):
    path = caffes(tmp_path / "w.h5")
    assert weight_files.read(path).owners_only
    one = net(SHARED_WEIGHT)
    one.copy_from(path)
    assert (one.params["right"][0].data == 1).all() and (one.params["right"][1].data == 3).all()
    with pytest.raises(WeightsError, match="layer 'right' has 1 blobs in the file, but 2 in the"):
        net().copy_from(path)


def test_a_net_without_the_first_layer_is_told_where_caffe_stores_what_is_shared(tmp_path):
    path = caffes(tmp_path / "w.h5")
    text = TEXT.replace("left/ip", "new").replace('"right"', '"other"').replace("PARAM", "")
    with pytest.raises(WeightsError, match="with the first of them only"):
        Net(text).copy_from(path)


def test_a_caffemodel_has_a_shared_parameter_with_each_layer(tmp_path):
    path = stored(tmp_path / "w", ("left/ip", False, (4, 4), (4,)), ("right", False, (4, 4)))
    with pytest.raises(WeightsError, match="layer 'right' has 1 blobs in the file, but 2 in the"):
        net('param { name: "w" } param { name: "b" }').copy_from(path)


def test_caffes_hdf5_and_binary_files_of_one_run_load_alike():
    golden("resume/sgd_hdf5.npz")
    folder, found = shared("golden/resume"), []
    for name in ("sgd_hdf5_iter_6.caffemodel.h5", "sgd_binaryproto_iter_6.caffemodel"):
        toy = Net(folder / "toy.prototxt", phase=schema.TRAIN, weights=[folder / name])
        found.append(values(toy))
    assert found[0] == found[1]


def test_pycaffes_calls_for_hdf5(tmp_path):
    pytest.importorskip("h5py")
    one, other = net(), net(seed=9)
    one.save_hdf5(tmp_path / "weights")
    other.load_hdf5(tmp_path / "weights")
    assert values(one) == values(other)
    assert weight_files.read(tmp_path / "weights").layers[0].type == "InnerProduct"


# ------------------------------------------------------------------ nothing goes unsaid


def stored(path, *layers):
    blobs = [
        LayerWeights(name, "InnerProduct", [np.zeros(s, "f") for s in shapes], [old] * len(shapes))
        for name, old, *shapes in layers
    ]
    weight_files.write(path, Weights("other", blobs, []), weight_files.format_of(path))
    return path


def test_what_the_net_lacks_and_what_the_file_lacks_is_said_once_with_shapes(tmp_path, caplog):
    path = stored(tmp_path / "w.npz", ("right", False, (4, 4), (4,)), ("lost", False, (7, 2), (7,)))
    net().copy_from(path)
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        f"Ignoring source layer lost (7, 2), (7,) of {path}: not in the net",
        f"Layer left/ip keeps its initial values (4, 4), (4,): {path} has none",
    ]


def test_what_one_of_several_files_has_is_not_missed(tmp_path, caplog):
    first = stored(tmp_path / "a.npz", ("right", False, (4, 4), (4,)))
    second = stored(tmp_path / "b.npz", ("left/ip", False, (4, 4), (4,)))
    net(weights=[first, second])
    assert "keeps its initial values" not in caplog.text
    caplog.clear()
    net(text=TEXT.replace("left/ip", "middle"), weights=[first, first])
    assert f"Layer middle keeps its initial values (4, 4), (4,): {first} and {first} have none" in (
        caplog.messages
    )


def test_old_shapes_that_become_new_ones_are_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, "minidl")
    path = stored(tmp_path / "w.npz", ("right", True, (1, 1, 4, 4), (1, 1, 1, 4)))
    net().copy_from(path)
    (line,) = [m for m in caplog.messages if "axes" in m]
    assert line == (
        f"{path}: old shapes of four axes are read as today's: "
        "right/0 (1, 1, 4, 4) as (4, 4), right/1 (1, 1, 1, 4) as (4,)"
    )


def test_the_same_shapes_without_their_age_are_a_misfit(tmp_path):
    path = stored(tmp_path / "w.npz", ("right", False, (1, 1, 4, 4), (4,)))
    with pytest.raises(WeightsError, match=r"blob 0 of layer 'right' has the shape \(1, 1, 4, 4\)"):
        net().copy_from(path)


def test_a_layer_that_comes_twice_is_said(tmp_path, caplog):
    message = schema.NetParameter(name="n")
    for _ in range(2):
        message.layer.add(name="right", type="InnerProduct")
    blobs = [np.ones((4, 4), "f"), np.ones(4, "f")]
    caffemodel.write(tmp_path / "w", message, {"right": blobs})
    net().copy_from(tmp_path / "w")
    assert f"{tmp_path}/w has 2 layers called right: the last one counts" in caplog.text


def test_numbers_that_lose_half_their_bits_are_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, "minidl")
    net(dtype=np.float64).save(tmp_path / "w")
    net().copy_from(tmp_path / "w")
    assert "its 64-bit numbers are rounded to the net's 32 bits" in caplog.text


def test_weights_that_are_no_numbers_are_said(tmp_path, caplog):
    values = np.ones((4, 4))
    values[0, :3] = [np.nan, -np.inf, 1e300]
    message = schema.NetParameter(name="n")
    message.layer.add(name="right", type="InnerProduct")
    caffemodel.write(tmp_path / "w", message, {"right": [values, np.ones(4)]})
    net().copy_from(tmp_path / "w")
    said = [m for m in caplog.messages if "values of right" in m]
    assert said == [
        f"{tmp_path}/w: values of right/0 that are NaN or infinite: 2 of 16",
        f"{tmp_path}/w: values of right/0 beyond the range of float32, which become infinite: "
        "1 of 16",
    ]


def test_of_very_many_layers_that_are_ignored_the_first_are_named(tmp_path, caplog):
    layers = [LayerWeights(f"rigth{i}", "", [np.ones(1, "f4")], [False]) for i in range(3000)]
    ours = [LayerWeights("right", "", [np.ones((4, 4), "f4"), np.ones(4, "f4")], [False] * 2)]
    weight_files.write(tmp_path / "w.npz", Weights("n", [*layers, *ours], []), "npz")
    net().copy_from(tmp_path / "w.npz")
    ignored = [m for m in caplog.messages if m.startswith("Ignoring")]
    assert len(ignored) == 101 and ignored[-1].startswith("Ignoring 2900 more source layers")


NVIDIAS = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y" PARAM }
"""
FIVE = [[1, 2, 3], [4, 5, 6], [2], [7, 8, 9], [-1, 0, 1]]  # mean, variance, factor, scale, shift


def batch_norm_of_nvidia(path, shape):
    blobs = [np.array(blob, np.float32).reshape(shape) for blob in FIVE]
    text = 'layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y" }'
    caffemodel.write(path, read_message(text, schema.NetParameter), {"bn": blobs})
    return path


@pytest.mark.parametrize("shape", [(-1,), (1, -1, 1, 1)], ids=["one axis", "four axes"])
def test_a_batch_norm_of_five_blobs_gives_two_to_its_scale(tmp_path, shape):
    path = batch_norm_of_nvidia(tmp_path / "w.caffemodel", shape)
    param = "batch_norm_param { scale_bias: true }"
    loaded = Net(NVIDIAS.replace("PARAM", param), weights=path)
    assert [p.data.tolist() for p in loaded.params["bn"]] == FIVE[:3]
    assert [p.data.tolist() for p in loaded.params["bn/scale_bias"]] == FIVE[3:]
    x = np.array([[1, -2, 0.5], [3, 4, 5]])
    mean, variance, scale, shift = (np.array(FIVE[i]) for i in (0, 1, 3, 4))
    expected = (x - mean / 2) / np.sqrt(variance / 2 + 1e-5) * scale + shift
    np.testing.assert_allclose(loaded.forward(x=x)["y"], expected, rtol=1e-5, atol=1e-5)


def test_a_net_that_has_no_place_for_them_is_told_which_field_makes_one(tmp_path):
    path = batch_norm_of_nvidia(tmp_path / "w.caffemodel", (-1,))
    with pytest.raises(WeightsError, match=r"5 blobs in the file, but 3(.|\n)*scale_bias: true"):
        Net(NVIDIAS.replace("PARAM", ""), weights=path)
