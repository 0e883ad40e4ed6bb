"""Solver states: Caffe's, ours, and broken ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import FormatError, MinidlError, UsageError, WeightsError
from minidl.storage import files, snapshot
from tests.support import shared

RNG = np.random.default_rng(11)
HISTORY = [RNG.standard_normal(s).astype(np.float32) for s in [(4, 2, 3, 3), (4,), ()]]


def resume():
    return schema.ResumeState(
        seed=2**63 + 5,
        train_passes=12,
        recent_losses=[0.1, 1 / 3],
        smoothed_loss=0.2,
        test_passes=[8],
        format_version=snapshot.FORMAT,
        position=[dict(net="train", layer="mnist", batches=12)],
    )


def state():
    return snapshot.State(6, "dir/net_iter_6.caffemodel", HISTORY, 2, resume())


def test_a_state_survives_the_round_trip(tmp_path):
    path = tmp_path / "a.solverstate"
    snapshot.write(path, state())
    back = snapshot.read(path)
    assert (back.iter, back.learned_net, back.current_step) == (6, "dir/net_iter_6.caffemodel", 2)
    assert back.resume == resume()
    assert back.legacy == [False] * 3
    for got, want in zip(back.history, HISTORY, strict=True):
        assert got.tobytes() == want.tobytes()
        assert got.shape == want.shape


def test_caffe_finds_its_fields_in_our_file(tmp_path):
    snapshot.write(tmp_path / "a", state())
    proto = schema.SolverState.FromString((tmp_path / "a").read_bytes())
    proto.ClearField("minidl_resume")
    assert (proto.iter, proto.current_step) == (6, 2)
    assert [tuple(b.shape.dim) for b in proto.history] == [(4, 2, 3, 3), (4,), ()]
    assert list(proto.history[1].data) == HISTORY[1].tolist()


def test_caffes_state_is_read():
    back = snapshot.read(shared("golden/resume/sgd_binaryproto_iter_6.solverstate"))
    assert (back.iter, back.learned_net) == (6, "sgd_binaryproto_iter_6.caffemodel")
    assert [h.shape for h in back.history] == [(4, 2, 3, 3), (4,), (3, 16), (3,)]
    assert back.resume is None


def test_a_state_of_2014_is_read(tmp_path):
    old = schema.BlobProto(num=1, channels=1, height=1, width=2, data=[1, 2])
    proto = schema.SolverState(iter=5, learned_net="a", history=[old])
    (tmp_path / "a").write_bytes(proto.SerializeToString())
    back = snapshot.read(tmp_path / "a")
    assert (back.legacy, back.history[0].shape) == ([True], (1, 1, 1, 2))


def test_weights_are_looked_for_beside_the_state_then_at_their_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moved").mkdir()
    (tmp_path / "dir").mkdir()
    moved = tmp_path / "moved" / "a.solverstate"
    with pytest.raises(UsageError, match=r"moved/net_iter_6.caffemodel or dir/net_iter_6"):
        snapshot.weights_path(state(), moved)
    (tmp_path / "dir" / "net_iter_6.caffemodel").touch()
    assert str(snapshot.weights_path(state(), moved)) == "dir/net_iter_6.caffemodel"
    (tmp_path / "moved" / "net_iter_6.caffemodel").touch()
    found = snapshot.weights_path(state(), moved)
    assert found == tmp_path / "moved" / "net_iter_6.caffemodel"


def test_only_the_weights_that_were_written_with_the_state_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    known = state()
    known.resume.weights_sha256 = (  # of "abc", from FIPS 180-2
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    beside, old = tmp_path / "net_iter_6.caffemodel", tmp_path / "dir" / "net_iter_6.caffemodel"
    beside.write_bytes(b"abd")
    message = r"a\.solverstate: .*net_iter_6\.caffemodel is not the file that was written with it"
    with pytest.raises(WeightsError, match=message):
        snapshot.weights_path(known, tmp_path / "a.solverstate")
    old.write_bytes(b"abc")
    found = snapshot.weights_path(known, tmp_path / "a.solverstate")
    assert str(found) == "dir/net_iter_6.caffemodel"
    beside.write_bytes(b"abc")
    assert snapshot.weights_path(known, tmp_path / "a.solverstate") == beside
    for place in (beside, old):
        place.write_bytes(b"")
    with pytest.raises(WeightsError, match="are not the file(.|\n)*go on from another snapshot"):
        snapshot.weights_path(known, tmp_path / "a.solverstate")
    known.resume = None  # Caffe's does not say
    assert snapshot.weights_path(known, tmp_path / "a.solverstate") == beside


def proto(**fields):
    message = schema.SolverState(iter=5, learned_net="a.caffemodel", history=[])
    message.MergeFrom(schema.SolverState(**fields))
    return message


def newer():
    message = proto(minidl_resume=resume())
    message.minidl_resume.format_version = "2"
    return message.SerializeToString()


whole = proto(minidl_resume=resume()).SerializeToString()
REFUSED = {
    "text": (b'net: "lenet.prototxt"\n', "is a text file"),
    "nothing": (b"", "is empty"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "HDF5, which cannot be read yet"),
    "weights": (
        schema.NetParameter(name="net", layer=[{"name": "a"}]).SerializeToString(),
        "is a caffemodel\n  expected: a solver state",
    ),
    "not a state": (b"\x0a\x01a", "in iter: field 1 has the wire type 2"),
    "no iteration": (b"\x12\x01a", "no iteration"),
    "no weights": (b"\x08\x05", "no name of a weight file"),
    "a negative iteration": (proto(iter=-4).SerializeToString(), "no iteration"),
    "history cut": (
        proto(history=[schema.BlobProto(data=[1, 2], shape={"dim": [3]})]).SerializeToString(),
        r"in history 0: 2 values for the shape \(3,\)",
    ),
    "cut short": (whole[:-9], "field 20000 declares"),
    "damage in our part": (whole[:-20] + b"\xff" * 20, "in minidl_resume: "),
    "a newer minidl": (newer(), "has the version '2'\n  expected: version '1'"),
}


@pytest.mark.parametrize("data, message", REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_no_state_is_refused(tmp_path, data, message):
    (tmp_path / "a.solverstate").write_bytes(data)
    with pytest.raises(FormatError, match=rf"(?s)a\.solverstate: .*{message}"):
        snapshot.read(tmp_path / "a.solverstate")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_bytes_give_anything_but_a_state_or_a_minidl_error(data):
    seed = schema.SolverState(iter=6, learned_net="a", minidl_resume=resume())
    seed.history.add(data=[1, 2], shape={"dim": [2]})
    content = bytearray(data.draw(st.sampled_from([seed.SerializeToString(), b""])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.sampled_from([0, 1, 2, 10]))
        content[at : at + cut] = data.draw(st.binary(max_size=10))
    read, files.read = files.read, lambda *_: np.frombuffer(bytes(content), np.uint8)
    try:
        snapshot.read("a")
    except MinidlError as error:
        assert str(error).startswith("a: ")
    finally:
        files.read = read
