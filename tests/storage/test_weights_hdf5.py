"""Weights in HDF5: Caffe's files, names with slashes, and what a hostile file may hold."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import FormatError, MinidlError, UsageError
from minidl.storage import weights_hdf5
from tests.support import golden, shared

h5py = pytest.importorskip("h5py")

W = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.array([7, 8], np.float32)


def net(*layers):
    message = schema.NetParameter(name="tiny")
    for name, type_ in layers:
        message.layer.add(name=name, type=type_)
    return message


def made(path, **datasets):
    """An HDF5 file with these datasets below /data."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for name, values in datasets.items():
            data[name] = values
    return path


def test_caffes_file_is_read():
    found = weights_hdf5.read(shared("golden/resume/sgd_hdf5_iter_6.caffemodel.h5"))
    assert [(la.name, la.type, len(la.blobs)) for la in found.layers] == [
        ("conv", "", 2),
        ("ip", "", 2),
    ]
    np.testing.assert_array_equal(found.layers[1].blobs[0], binary("ip")[0])
    assert found.owners_only and found.name == ""


def binary(layer):
    """The blobs of the same run's other snapshot, which has the same weights."""
    from minidl.storage import caffemodel

    golden("resume/sgd_hdf5.npz")
    stored = caffemodel.read(shared("golden/resume/sgd_binaryproto_iter_6.caffemodel"))
    return next(la.blobs for la in stored.layers if la.name == layer)


def test_what_is_written_has_caffes_groups_and_types(tmp_path):
    layers = net(("data", "Input"), ("ip", "InnerProduct"))
    weights_hdf5.write(tmp_path / "w", layers, {"ip": [W, B]}, {"ip": [-W, -B]})
    with h5py.File(tmp_path / "w") as file:
        assert sorted(file["data"]) == ["data", "ip"]
        assert len(file["data/data"]) == 0
        assert file["data/ip/0"].dtype == np.float32
        np.testing.assert_array_equal(file["diff/ip/0"][()], -W)
        np.testing.assert_array_equal(file["data/ip/1"][()], B)


def test_the_file_has_the_oldest_form_as_caffes_own(tmp_path):
    weights_hdf5.write(tmp_path / "w", net(("a", "A")), {"a": [W]})
    caffes = shared("golden/resume/sgd_hdf5_iter_6.caffemodel.h5").read_bytes()
    version = slice(8, 12)  # of superblock, free space, root group, shared headers
    assert (tmp_path / "w").read_bytes()[version] == caffes[version] == bytes(4)


def test_a_slash_in_a_name_is_a_group_in_a_group(tmp_path):
    layers = net(("conv1/7x7_s2", "Convolution"), ("conv1/relu", "ReLU"), ("conv1", "Convolution"))
    blobs = {"conv1/7x7_s2": [W, B], "conv1": [B]}
    weights_hdf5.write(tmp_path / "w", layers, blobs)
    with h5py.File(tmp_path / "w") as file:
        np.testing.assert_array_equal(file["data/conv1/7x7_s2/1"][()], B)
        assert "0" in file["data/conv1"]
    found = {la.name: la.blobs for la in weights_hdf5.read(tmp_path / "w").layers}
    assert list(found) == ["conv1/7x7_s2", "conv1"]
    np.testing.assert_array_equal(found["conv1"][0], B)


def test_ten_blobs_come_in_order_of_number(tmp_path):
    blobs = [np.full(1, i, np.float32) for i in range(12)]
    weights_hdf5.write(tmp_path / "w", net(("a", "A")), {"a": blobs})
    (layer,) = weights_hdf5.read(tmp_path / "w").layers
    assert [float(b[0]) for b in layer.blobs] == list(range(12))


IMPOSSIBLE = {
    "beside its blobs": [("a", "A"), ("a/0", "B")],
    "below its blobs": [("a/1/b", "B"), ("a", "A")],
    "a slash at its end": [("a/", "A")],
    "two slashes": [("a//b", "A")],
    "a dot": [("a/./b", "A")],
    "nothing": [("", "A")],
}


@pytest.mark.parametrize("layers", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_a_name_that_hdf5_cannot_hold_is_refused_before_anything_is_written(tmp_path, layers):
    blobs = {name: [W, B] for name, _ in layers}
    with pytest.raises(UsageError, match="cannot be stored in HDF5(.|\n)*BINARYPROTO"):
        weights_hdf5.write(tmp_path / "w", net(*layers), blobs)
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_and_other_floats_are_read_as_caffe_reads_them(tmp_path):
    values = {
        "a/0": np.array([1, 2], np.int64),
        "a/1": np.array([1.5], np.float16),
        "a/2": np.array([1 / 3], np.float64),
        "a/3": np.array([0.25], ">f4"),
    }
    (layer,) = weights_hdf5.read(made(tmp_path / "w", **values)).layers
    assert [b.dtype.str for b in layer.blobs] == ["<f4", "<f4", "<f8", "<f4"]
    assert [float(b[0]) for b in layer.blobs] == [1, 1.5, 1 / 3, 0.25]


def test_compressed_weights_are_read(tmp_path):
    with h5py.File(tmp_path / "w", "w") as file:
        file.create_dataset("data/a/0", data=np.zeros((100, 50), "f"), compression="gzip")
    assert weights_hdf5.read(tmp_path / "w").layers[0].blobs[0].shape == (100, 50)


def cycle(file):
    file["data/a/b"] = file["data"]
    file["data/a/c"] = file["data"]


def endless(file):
    file["data"].create_dataset("a/1", (1 << 40,), "f4")


def elsewhere(file):
    file["data"].create_dataset("a/1", (4,), "f4", external=[("/etc/passwd", 0, 16)])


REFUSED = {
    "text": (lambda f: f.__setitem__("data/a/1", "words"), "/data/a/1 has the type object"),
    "a group that holds itself": (cycle, "its groups never end"),
    "values that nobody wrote": (endless, r"/data/a/1 has the shape \(1099511627776,\), but 0"),
    "values of another file": (elsewhere, "/data/a/1 has its values in another file"),
    "another name": (lambda f: f.__setitem__("data/a/weight", W), "an array called 'a/weight'"),
    "no layer": (lambda f: f.__setitem__("data/1", W), "an array called '1'"),
    "no data": (lambda f: f.__delitem__("data"), "has no group 'data'"),
}


@pytest.mark.parametrize("spoil, message", REFUSED.values(), ids=REFUSED.keys())
def test_other_content_is_refused_in_words(tmp_path, spoil, message):
    path = made(tmp_path / "w", **{"a/0": W})
    with h5py.File(path, "a") as file:
        spoil(file)
    with pytest.raises(FormatError, match=rf"w: .*{message}"):
        weights_hdf5.read(path)


def test_a_link_to_another_file_is_not_followed(tmp_path):
    made(tmp_path / "other", **{"a/0": W})
    path = made(tmp_path / "w", **{"b/0": B})
    with h5py.File(path, "a") as file:
        file["data/c"] = h5py.ExternalLink(str(tmp_path / "other"), "/data/a")
    assert [la.name for la in weights_hdf5.read(path).layers] == ["b"]


def test_a_solver_state_is_called_one():
    path = shared("golden/resume/sgd_hdf5_iter_6.solverstate.h5")
    with pytest.raises(FormatError, match="is a solver state in HDF5"):
        weights_hdf5.read(path)


def test_a_description_that_is_not_ours_does_no_harm(tmp_path):
    for text in (b"", b"{", b"[1]", b'{"layers": 3}', b'{"layers": [4, {"name": 2}]}', b"[" * 9999):
        path = made(tmp_path / "w", **{"a/0": W})
        with h5py.File(path, "a") as file:
            file["minidl"] = np.bytes_(text)
        assert [la.name for la in weights_hdf5.read(path).layers] == ["a"]


def test_a_full_disk_leaves_the_last_weights(tmp_path, monkeypatch):
    weights_hdf5.write(tmp_path / "w", net(("a", "A")), {"a": [W]})

    def fsync(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(Exception, match="No space left"):
        weights_hdf5.write(tmp_path / "w", net(("a", "A")), {"a": [B]})
    assert weights_hdf5.read(tmp_path / "w").layers[0].blobs[0].shape == W.shape
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        for layer in "abcd":
            options = dict(chunks=(1 << 20,), compression="gzip", dtype="f4")
            dataset = file.create_dataset(f"data/{layer}/0", (1 << 23,), **options)
            for start in range(0, 1 << 23, 1 << 20):
                dataset[start : start + (1 << 20)] = 0
    assert path.stat().st_size < 1 << 18
    with pytest.raises(MinidlError, match=r"w.h5: has [\d,]+ bytes and would become 134,217,728"):
        weights_hdf5.read(path)
