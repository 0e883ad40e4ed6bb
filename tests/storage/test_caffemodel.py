"""Weight files: every form Caffe wrote, every way they break, and what we write."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import FormatError, MinidlError, RunError, UsageError
from minidl.storage import caffemodel, files
from tests.support import SHARED, shared

MODELS = sorted(p.parent.name for p in SHARED.glob("models/*/weights.caffemodel"))
RNG = np.random.default_rng(5)
WEIGHT = RNG.standard_normal((4, 3, 2, 2)).astype(np.float32)
BIAS = RNG.standard_normal(4).astype(np.float32)


def blob(array, **fields):
    return schema.BlobProto(data=array.reshape(-1), shape={"dim": array.shape}, **fields)


def legacy(array):
    axes = (1,) * (4 - array.ndim) + array.shape
    names = ("num", "channels", "height", "width")
    return schema.BlobProto(data=array.reshape(-1), **dict(zip(names, axes, strict=True)))


def net_of_today():
    net = schema.NetParameter(name="tiny")
    net.layer.add(name="data", type="Input", top=["data"])
    layer = net.layer.add(name="conv1", type="Convolution", bottom=["data"], top=["conv1"])
    layer.convolution_param.num_output = 4
    layer.blobs.extend([blob(WEIGHT, diff=[9] * WEIGHT.size), blob(BIAS)])
    return net


def net_of_2014():
    net = schema.NetParameter(name="tiny")
    layer = net.layers.add(name="conv1", type=schema.V1LayerParameter.CONVOLUTION)
    layer.blobs.extend([legacy(WEIGHT), legacy(BIAS)])
    return net


def net_of_2013():
    net = schema.NetParameter(name="tiny")
    inner = net.layers.add(bottom=["data"]).layer
    inner.name, inner.type = "conv1", "conv"
    inner.blobs.extend([legacy(WEIGHT), legacy(BIAS)])
    return net


def save(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    return path


AGES = {
    "today": (net_of_today, "Convolution", [False, False]),
    "2014": (net_of_2014, "CONVOLUTION", [True, True]),
    "2013": (net_of_2013, "conv", [True, True]),
}


@pytest.mark.parametrize("make, type, old", AGES.values(), ids=AGES.keys())
def test_every_age_of_file_is_read(tmp_path, make, type, old):
    weights = caffemodel.read(save(tmp_path / "w.caffemodel", make()))
    (layer,) = weights.layers
    assert (weights.name, layer.name, layer.type, layer.legacy) == ("tiny", "conv1", type, old)
    assert layer.blobs[1].shape == ((1, 1, 1, 4) if old[1] else (4,))
    np.testing.assert_array_equal(layer.blobs[0], WEIGHT)
    np.testing.assert_array_equal(layer.blobs[1].reshape(-1), BIAS)
    assert weights.notes == ([] if type == "Convolution" else [weights.notes[0]])


def test_arrays_are_views_of_the_bytes_of_the_file(tmp_path, monkeypatch):
    data = np.frombuffer(net_of_today().SerializeToString(), np.uint8)
    monkeypatch.setattr(files, "read", lambda path, what: data)
    (layer,) = caffemodel.read("w.caffemodel").layers
    assert all(np.shares_memory(b, data) for b in layer.blobs)
    assert not layer.blobs[0].flags.writeable


def test_floats_that_were_never_packed_are_read(tmp_path):
    floats = b"".join(b"\x2d" + struct.pack("<f", v) for v in BIAS)
    body = floats + schema.BlobProto(shape={"dim": [4]}).SerializeToString()
    layer = caffemodel.wire.field(1, b"ip") + caffemodel.wire.field(7, body)
    weights = caffemodel.read(save(tmp_path / "w", caffemodel.wire.field(100, layer)))
    np.testing.assert_array_equal(weights.layers[0].blobs[0], BIAS)


def test_a_net_without_weights_says_so(tmp_path):
    net = schema.NetParameter(name="empty")
    net.layer.add(name="data", type="Input")
    weights = caffemodel.read(save(tmp_path / "w", net))
    assert weights.layers == []
    assert weights.notes == ["holds no weights, only the net"]


@pytest.mark.parametrize("name", MODELS)
def test_real_models_are_read_as_protobuf_reads_them(name):
    path = shared(f"models/{name}/weights.caffemodel")
    net = schema.NetParameter.FromString(path.read_bytes())
    expected = [layer for layer in net.layer or net.layers if layer.blobs]
    weights = caffemodel.read(path)
    assert [layer.name for layer in weights.layers] == [layer.name for layer in expected]
    for got, want in zip(weights.layers, expected, strict=True):
        for array, proto, old in zip(got.blobs, want.blobs, got.legacy, strict=True):
            axes = (proto.num, proto.channels, proto.height, proto.width)
            assert array.shape == (axes if old else tuple(proto.shape.dim))
            assert old == proto.HasField("num")
            np.testing.assert_array_equal(array.reshape(-1), np.array(proto.data, np.float32))


# ------------------------------------------------------------------ writing


def test_what_is_written_is_what_caffe_would_write(tmp_path):
    path = shared("golden/cli/cli_snap_iter_20.caffemodel")
    net = schema.NetParameter.FromString(path.read_bytes())
    blobs = {layer.name: layer.blobs for layer in caffemodel.read(path).layers}
    assert any("split" in layer.name for layer in net.layer) or len(net.layer) == 5
    for layer in net.layer:
        layer.minidl_origin.line = 7  # ours; no file may hold it
    caffemodel.write(tmp_path / "w", net, blobs)
    again = schema.NetParameter.FromString((tmp_path / "w").read_bytes())
    assert again == schema.NetParameter.FromString(path.read_bytes())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_and_gradients_survive_the_round_trip(tmp_path, dtype):
    net = net_of_today()
    blobs = {"conv1": [WEIGHT.astype(dtype) / 3, BIAS.astype(dtype) / 3]}
    caffemodel.write(tmp_path / "w", net, blobs, {"conv1": [-b for b in blobs["conv1"]]})
    (layer,) = caffemodel.read(tmp_path / "w").layers
    for got, want in zip(layer.blobs, blobs["conv1"], strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want)
    proto = schema.NetParameter.FromString((tmp_path / "w").read_bytes()).layer[1].blobs[1]
    diff = proto.diff if dtype == np.float32 else proto.double_diff
    assert list(diff) == (-blobs["conv1"][1]).tolist()


def test_writing_does_not_touch_the_net(tmp_path):
    net = net_of_today()
    caffemodel.write(tmp_path / "w", net, {"conv1": [WEIGHT]})
    assert net == net_of_today()


def test_a_file_beyond_caffes_limit_is_written_with_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(caffemodel, "_CAFFE_READS", 100)
    caffemodel.write(tmp_path / "w", net_of_today(), {"conv1": [WEIGHT, BIAS]})
    assert "Caffe reads at most 100" in caplog.text
    assert caffemodel.read(tmp_path / "w").layers


def test_a_full_disk_leaves_the_last_weights(tmp_path, monkeypatch):
    save(tmp_path / "w", net_of_today())

    def fsync(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(RunError, match="No space left"):
        caffemodel.write(tmp_path / "w", net_of_today(), {"conv1": [WEIGHT, BIAS]})
    assert caffemodel.read(tmp_path / "w").layers


# ------------------------------------------------------------------ refusals


def broken_blob(**fields):
    net = net_of_today()
    proto = net.layer[1].blobs[1]
    for name, value in fields.items():
        proto.ClearField(name)
        proto.MergeFrom(schema.BlobProto(**{name: value}))
    return net.SerializeToString()


whole = net_of_today().SerializeToString()
REFUSED = {
    "a prototxt": (b'name: "LeNet"\nlayer {', r"is a text file \(a prototxt\?\)"),
    "nothing": (b"", "is empty"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "is an HDF5 file"),
    "a solver state": (
        schema.SolverState(iter=5, learned_net="a.caffemodel").SerializeToString(),
        r"is a solver state \(.solverstate\)\n  expected: a caffemodel",
    ),
    "a name only": (schema.NetParameter(name="x").SerializeToString(), "no layers"),
    "cut short": (whole[:-5], r"damaged at byte 28 of \d+: field 100 declares .* are left"),
    "values and shape disagree": (
        broken_blob(shape={"dim": [5]}),
        r"in layer 'conv1', blob 1: 4 values for the shape \(5,\)",
    ),
    "half a float": (
        whole.replace(BIAS.tobytes(), BIAS.tobytes()[:-4] + b"\x3a\x01\x00\x00").replace(
            b"\x2a\x10" + BIAS.tobytes()[:8], b"\x2a\x0d" + BIAS.tobytes()[:8]
        ),
        "in layer 'conv1', blob 1: ",
    ),
    "a huge blob": (broken_blob(shape={"dim": [2**31, 2**31]}), "blob 1: the shape"),
}


@pytest.mark.parametrize("data, message", REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_no_weights_is_refused(tmp_path, data, message):
    with pytest.raises(FormatError, match=rf"(?s)w\.caffemodel: .*{message}"):
        caffemodel.read(save(tmp_path / "w.caffemodel", data))


def test_a_missing_file_names_its_neighbour(tmp_path):
    save(tmp_path / "lenet.caffemodel", whole)
    with pytest.raises(UsageError, match=r"no such weights file(.|\n)*'lenet.caffemodel'"):
        caffemodel.read(tmp_path / "lennet.caffemodel")


@pytest.mark.parametrize("cut", range(0, len(whole), 7))
def test_no_cut_is_overlooked_within_the_layer_that_has_the_weights(tmp_path, cut):
    with pytest.raises(FormatError):
        weights = caffemodel.read(save(tmp_path / "w", whole[:cut]))
        assert not weights.layers  # a cut between two layers leaves a whole, smaller file
        raise FormatError("no weights")


SEEDS = [make().SerializeToString() for make, _, _ in AGES.values()]


@st.composite
def damaged(draw):
    """A weight file with bytes changed, cut out or put in; or bytes from nowhere."""
    data = bytearray(draw(st.sampled_from([*SEEDS, b""])))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.sampled_from([0, 0, 1, 1, 2, 8, 40]))
        data[at : at + cut] = draw(
            st.one_of(st.binary(max_size=12), st.just(b"\xff" * 9 + b"\x01"))
        )
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_no_bytes_give_anything_but_weights_or_a_minidl_error(data):
    read, files.read = files.read, lambda path, what: np.frombuffer(data, np.uint8)
    try:
        weights = caffemodel.read("w")
        for layer in weights.layers:
            assert sum(b.nbytes for b in layer.blobs) <= len(data)
    except MinidlError as error:
        assert str(error).startswith("w: ")
    finally:
        files.read = read


def test_memory_stays_near_the_size_of_the_file_even_for_hostile_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(caffemodel.wire, "MOST_FIELDS", 1 << 14)  # a sixteenth, to be quick
    tiny = caffemodel.wire.field(
        7, schema.BlobProto(data=[1], shape={"dim": [1]}).SerializeToString()
    )
    path = save(tmp_path / "w", caffemodel.wire.field(100, tiny) * 10_000)
    tracemalloc.start()
    with pytest.raises(FormatError, match="more than 16,384 fields"):
        caffemodel.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size + 80e6 / 16


def test_a_large_file_costs_its_own_size(tmp_path):
    net = schema.NetParameter(name="big")
    net.layer.add(name="fc", type="InnerProduct")
    path = tmp_path / "w"
    caffemodel.write(path, net, {"fc": [np.zeros((1000, 5000), np.float32)]})
    tracemalloc.start()
    weights = caffemodel.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert weights.layers[0].blobs[0].shape == (1000, 5000)
    assert peak < path.stat().st_size + 1e6
