"""Weights in safetensors: files of others, half precision, and what is refused."""

import contextlib
import json
import struct

import numpy as np
import pytest

from minidl.errors import FormatError
from minidl.storage import weights_safetensors
from tests.storage import support

pytest.importorskip("safetensors")


def by_hand(**tensors):
    """A file by the format's definition: length of the header, header in JSON, bytes."""
    header, data = {}, b""
    for name, (kind, shape, values) in tensors.items():
        header[name] = {
            "dtype": kind,
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(values)],
        }
        data += values
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def read(tmp_path, data):
    (tmp_path / "w").write_bytes(data)
    return weights_safetensors.read(tmp_path / "w")


def test_the_library_reads_what_is_written(tmp_path):
    from safetensors.numpy import load_file

    expected = support.weights()
    weights_safetensors.write(tmp_path / "w", expected)
    got = load_file(tmp_path / "w")["z/conv.1x1/0"]
    np.testing.assert_array_equal(got, expected.layers[0].blobs[0])


def test_half_precision_is_widened_exactly(tmp_path):
    halves = {
        "a/0": ("F16", [2], np.array([1.5, -65504], np.float16).tobytes()),
        "a/1": ("BF16", [2], np.array([1.5, -3.0e38], "<f4").view("<u2")[1::2].tobytes()),
    }
    (layer,) = read(tmp_path, by_hand(**halves)).layers
    assert [b.dtype for b in layer.blobs] == [np.float32] * 2
    assert layer.blobs[0].tolist() == [1.5, -65504]
    assert layer.blobs[1][0] == 1.5 and -3.02e38 < layer.blobs[1][1] < -2.98e38


REFUSED = {
    "whole numbers": (by_hand(**{"a/0": ("I64", [1], bytes(8))}), "'a/0' has the type I64"),
    "another name": (by_hand(**{"fc.weight": ("F32", [1], bytes(4))}), "called 'fc.weight'"),
    "too few bytes": (by_hand(**{"a/0": ("F32", [2], bytes(8))})[:-1], "cannot be read as safet"),
    "no header": (struct.pack("<Q", 1 << 20) + b"{", "cannot be read as safetensors"),
}


@pytest.mark.parametrize("data, message", REFUSED.values(), ids=REFUSED.keys())
def test_other_content_is_refused_in_words(tmp_path, data, message):
    with pytest.raises(FormatError, match=f"w: .*{message}"):
        read(tmp_path, data)


def test_a_description_that_is_null_says_nothing(tmp_path):
    header = b'{"__metadata__":null,"a/0":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (tmp_path / "w").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with contextlib.suppress(FormatError):  # some versions of the package refuse it
        assert weights_safetensors.read(tmp_path / "w").layers[0].name == "a"


def test_a_header_of_many_megabytes_is_refused_unread(tmp_path):
    header = b'{"a/0":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}' + b" " * (1 << 25) + b"}"
    (tmp_path / "w").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(FormatError, match="a header of 33,554,4.. bytes\n  expected: at most"):
        weights_safetensors.read(tmp_path / "w")
