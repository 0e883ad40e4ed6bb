"""Weights in .npz: NumPy's own reading of ours, ours of NumPy's, and no pickles."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from numpy.lib import format as headers

from minidl.errors import FormatError, MinidlError, UsageError
from minidl.storage import weights_npz
from minidl.storage.content import Weights
from tests.storage import support

W = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_numpy_reads_what_is_written(tmp_path):
    expected = support.weights()
    weights_npz.write(tmp_path / "w.npz", expected)
    with np.load(tmp_path / "w.npz") as file:
        np.testing.assert_array_equal(file["z/conv.1x1/0"], expected.layers[0].blobs[0])
        assert b'"type": "PReLU"' in file["minidl.json"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, save):
    arrays = {"b/1": W[0], "b/0": np.asfortranarray(W), "a/0": W.astype(np.float16)}
    save(tmp_path / "w.npz", **arrays)
    b, a = weights_npz.read(tmp_path / "w.npz").layers
    assert (b.name, a.name) == ("b", "a")
    np.testing.assert_array_equal(b.blobs[0], W)
    assert b.blobs[0].flags.c_contiguous
    assert a.blobs[0].dtype == np.float32


def test_a_name_that_zip_cannot_hold_is_refused_and_nothing_written(tmp_path):
    layers = [support.layer("a\0b", "A", (2,))]
    with pytest.raises(UsageError, match=r"layer 'a\\x00b' has a NUL byte"):
        weights_npz.write(tmp_path / "w", Weights("n", layers, []))
    assert list(tmp_path.iterdir()) == []


def archive(**members):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return memory.getvalue()


def npy(array):
    memory = io.BytesIO()
    np.save(memory, array, allow_pickle=True)
    return memory.getvalue()


whole = npy(W)
REFUSED = {
    "a pickle": ({"a/0.npy": npy(np.array([{}, []], object))}, "holds Python objects"),
    "whole numbers": ({"a/0.npy": npy(np.arange(3))}, "'a/0' has the type int64"),
    "another name": ({"weight.npy": whole}, "called 'weight'\n  expected: LAYER/INDEX"),
    "a huge index": ({"a/99999.npy": whole}, "called 'a/99999'"),
    "a gap": ({"a/0.npy": whole, "a/2.npy": whole}, "has blob 2 of layer 'a', but not blob 1"),
    "too few values": ({"a/0.npy": whole[:-4]}, r"has the shape \(2, 3\), but 20 bytes"),
    "too many": ({"a/0.npy": whole + b"1234"}, r"has the shape \(2, 3\), but 28 bytes"),
    "a huge shape": (
        {"a/0.npy": whole.replace(b"(2, 3), }         ", b"(2, 3000000000), }")},
        r"has the shape \(2, 3000000000\), but",
    ),
    "a broken header": (
        {"a/0.npy": whole.replace(b"(2, 3), }", b"(2, 3(, }")},
        "cannot be read as .npz: ",
    ),
    "no array": ({"a/0.npy": b"words"}, "cannot be read as .npz: "),
    "no archive": (None, "cannot be read as .npz: "),
}


@pytest.mark.parametrize("members, message", REFUSED.values(), ids=REFUSED.keys())
def test_other_content_is_refused_in_words(tmp_path, members, message):
    data = b"PK\x03\x04" + bytes(50) if members is None else archive(**members)
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(FormatError, match=rf"w: .*{message}"):
        weights_npz.read(tmp_path / "w")


def test_an_archive_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a/0.npy", "w") as member:
            headers.write_array_header_1_0(
                member, {"descr": "<f4", "fortran_order": False, "shape": (1 << 25,)}
            )
            for _ in range(128):
                member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 18
    tracemalloc.start()
    with pytest.raises(MinidlError, match=r"w.npz: has [\d,]+ bytes and would become 134,21"):
        weights_npz.read(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_pruned_weights_may_be_packed(tmp_path):
    values = np.zeros((1000, 1000), "f4")
    np.savez_compressed(tmp_path / "w.npz", **{"a/0": values})
    np.testing.assert_array_equal(weights_npz.read(tmp_path / "w.npz").layers[0].blobs[0], values)
