"""Files of the wrong kind are called what they are."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import FormatError
from minidl.storage import arrays, caffemodel, mean, snapshot, sniff
from tests.support import shared

IMAGE = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4)
LAYER = {"name": "ip", "blobs": [arrays.to_blob(IMAGE)]}
LEGACY = dict(num=1, channels=2, height=3, width=4, data=IMAGE.reshape(-1))
FILES = {
    "state": (sniff.STATE, schema.SolverState(iter=500, learned_net="a_iter_500.caffemodel")),
    "state at 0": (sniff.STATE, schema.SolverState(iter=0, learned_net="a", current_step=1)),
    "long name": (sniff.STATE, schema.SolverState(iter=1, learned_net="a" * 600)),
    "weights": (sniff.CAFFEMODEL, schema.NetParameter(name="net", layer=[LAYER])),
    "of 2014": (sniff.CAFFEMODEL, schema.NetParameter(name="net", layers=[{"name": "ip"}])),
    "no name": (sniff.CAFFEMODEL, schema.NetParameter(layer=[LAYER])),
    "an input": (sniff.CAFFEMODEL, schema.NetParameter(name="n", input=["x"], input_dim=[1])),
    "mean": (sniff.MEAN, arrays.to_blob(IMAGE)),
    "old mean": (sniff.MEAN, schema.BlobProto(**LEGACY)),
    "shape first": (sniff.MEAN, b"\x3a\x05\x0a\x03\x01\x01\x01" + b"\x2a\x04" + bytes(4)),
}
READERS = {
    sniff.CAFFEMODEL: caffemodel.read,
    sniff.STATE: snapshot.read,
    sniff.MEAN: mean.read,
}


def content(message):
    return message if isinstance(message, bytes) else message.SerializeToString()


@pytest.mark.parametrize("kind, message", FILES.values(), ids=FILES.keys())
def test_each_kind_is_known_by_its_beginning(kind, message):
    assert sniff.message(content(message)[:512]) == kind


@pytest.mark.parametrize("expected", READERS)
@pytest.mark.parametrize("kind, message", FILES.values(), ids=FILES.keys())
def test_another_kind_is_named_and_not_called_damaged(tmp_path, kind, message, expected):
    if kind == expected:
        return
    path = tmp_path / "some.file"
    path.write_bytes(content(message))
    with pytest.raises(FormatError) as caught:
        READERS[expected](path)
    assert str(caught.value) == f"{path}: is a {kind}\n  expected: a {expected}"


@pytest.mark.parametrize("kind, message", FILES.values(), ids=FILES.keys())
def test_the_kind_that_is_wanted_is_damaged_and_nothing_else(tmp_path, kind, message):
    path = tmp_path / "some.file"
    path.write_bytes(content(message) + b"\x0a\xff")
    with pytest.raises(FormatError, match=r"some\.file: is damaged at byte"):
        READERS[kind](path)


OTHERS = {
    "a datum": schema.Datum(channels=1, height=28, width=28, data=b"a" * 784, label=5),
    "one integer": b"\x08\x05",
    "nothing": b"",
    "an endless number": b"\xff" * 20,
    "a huge field": b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "groups": b"\x0b\x0c",
}


@pytest.mark.parametrize("message", OTHERS.values(), ids=OTHERS.keys())
def test_other_bytes_are_none_of_them(message):
    assert sniff.message(content(message)) == ""


def test_files_of_caffe_are_known():
    assert sniff.message(shared("golden/data/mean.binaryproto").read_bytes()[:512]) == sniff.MEAN
    stem = "golden/resume/sgd_binaryproto_iter_6"
    for suffix, kind in ((".solverstate", sniff.STATE), (".caffemodel", sniff.CAFFEMODEL)):
        assert sniff.message(shared(stem + suffix).read_bytes()[:512]) == kind
