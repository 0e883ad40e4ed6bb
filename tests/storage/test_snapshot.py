"""Solver states: Caffe's, ours, and broken ones."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import FormatError, MinidlError, UsageError, WeightsError
from minidl.storage import files, snapshot
from tests.storage import support
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


@pytest.fixture(params=[".solverstate", ".solverstate.h5"])
def path(request, tmp_path):
    if request.param.endswith(".h5"):
        pytest.importorskip("h5py")
    return tmp_path / f"a{request.param}"


def test_a_state_survives_the_round_trip(path):
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


@pytest.mark.parametrize("stem, end", [("sgd_binaryproto", ""), ("sgd_hdf5", ".h5")])
def test_caffes_state_is_read(stem, end):
    if end:
        pytest.importorskip("h5py")
    back = snapshot.read(shared(f"golden/resume/{stem}_iter_6.solverstate{end}"))
    assert (back.iter, back.learned_net) == (6, f"{stem}_iter_6.caffemodel{end}")
    assert back.current_step == 1
    assert [h.shape for h in back.history] == [(4, 2, 3, 3), (4,), (3, 16), (3,)]
    assert back.resume is None


def test_a_state_of_2014_is_read(tmp_path):
    old = schema.BlobProto(num=1, channels=1, height=1, width=2, data=[1, 2])
    proto = schema.SolverState(iter=5, learned_net="a", history=[old])
    (tmp_path / "a").write_bytes(proto.SerializeToString())
    back = snapshot.read(tmp_path / "a")
    assert (back.legacy, back.history[0].shape) == ([True], (1, 1, 1, 2))


def test_many_arrays_come_in_order_of_number(path):
    history = [np.full((), i, np.float32) for i in range(12)]
    snapshot.write(path, snapshot.State(1, "a", history))
    assert [int(h) for h in snapshot.read(path).history] == list(range(12))


def test_a_state_of_windows_has_its_weights_beside_it(tmp_path):
    (tmp_path / "net_iter_6.caffemodel").touch()
    found = snapshot.weights_path(
        snapshot.State(6, r"C:\runs\net_iter_6.caffemodel", []), tmp_path / "a.solverstate"
    )
    assert found == tmp_path / "net_iter_6.caffemodel"


@pytest.mark.parametrize("end", ["", ".h5"])
def test_a_state_that_was_renamed_with_its_weights_finds_them(tmp_path, end):
    (tmp_path / f"best.caffemodel{end}").touch()
    found = snapshot.weights_path(state(), tmp_path / f"best.solverstate{end}")
    assert found == tmp_path / f"best.caffemodel{end}"


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
    with pytest.raises(WeightsError, match="are not the file(.|\n)*resume from another snapshot"):
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
    "HDF5, cut": (b"\x89HDF\r\n\x1a\n", "cannot be read as HDF5"),
    "weights": (
        schema.NetParameter(name="net", layer=[{"name": "a"}]).SerializeToString(),
        "is a caffemodel\n  expected: a solver state",
    ),
    "not a state": (b"\x0a\x01a", "in iter: field 1 has the wire type 2"),
    "no iteration": (b"\x12\x01a", "no iteration"),
    "no weights": (b"\x08\x05", "no weight file name"),
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
    read, files.read = files.read, lambda *_, **__: np.frombuffer(bytes(content), np.uint8)
    try:
        snapshot.read("a")
    except MinidlError as error:
        assert str(error).startswith("a: ")
    finally:
        files.read = read


# ------------------------------------------------------------------ HDF5


def spoilt(name, value):
    def spoil(file):
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value

    return spoil


REFUSED_HDF5 = {
    "no iteration": (spoilt("iter", None), "has no dataset 'iter'"),
    "a negative iteration": (spoilt("iter", np.array([-4], np.int32)), "has iteration -4"),
    "half an iteration": (spoilt("iter", np.array([0.5])), "its 'iter' has the shape"),
    "no weights": (spoilt("learned_net", None), "has no name of a weight file"),
    "a number for a name": (spoilt("learned_net", 5), "its 'learned_net' has the type int64"),
    "no history": (spoilt("history", None), "has no group 'history'"),
    "a gap": (spoilt("history/1", None), "its history has an array '2'"),
    "another name": (spoilt("history/x/y", 1.0), "its history has an array 'x/y'"),
    "words for numbers": (spoilt("history/1", b"words"), "/history/1 has the type object"),
    "damage in our part": (spoilt("minidl_resume", np.full(9, 255, np.uint8)), "is damaged in min"),
    "weights": (lambda f: [f.__delitem__("iter"), f.create_group("data")], "holds weights in HDF5"),
}


@pytest.mark.parametrize("spoil, message", REFUSED_HDF5.values(), ids=REFUSED_HDF5.keys())
def test_an_hdf5_file_that_is_no_state_is_refused(tmp_path, spoil, message):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.solverstate.h5"
    snapshot.write(path, state())
    with h5py.File(path, "a") as file:
        spoil(file)
    with pytest.raises(FormatError, match=rf"a\.solverstate\.h5: .*{message}"):
        snapshot.read(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damaged_hdf5_gives_anything_but_a_state_or_a_minidl_error(tmp_path, data):
    pytest.importorskip("h5py")
    whole, path = tmp_path / "whole.h5", tmp_path / "a"
    if not whole.exists():
        snapshot.write(whole, state())
    path.write_bytes(support.damage(data.draw, st, whole.read_bytes()))
    try:
        snapshot.read(path)
    except MinidlError as error:
        assert str(error).startswith(f"{path}: ")
        assert error.exit_code == 2


COUNTED = {
    "passes": lambda r, n: setattr(r, "train_passes", n),
    "passes of a test": lambda r, n: r.test_passes.append(n),
    "batches": lambda r, n: r.position.add(net="train", layer="d", batches=n),
    "iterations": lambda r, n: setattr(r.plateau, "iter", n),
    "iterations of tests": lambda r, n: setattr(r.early_stop, "iter", n),
}


@pytest.mark.parametrize("what", COUNTED)
@pytest.mark.parametrize("number", [-1, -(2**63), 2**53, 2**63 - 1])
def test_counts_that_no_run_reaches_are_damage(tmp_path, what, number):
    message = resume()
    COUNTED[what](message, number)
    snapshot.write(tmp_path / "a", snapshot.State(6, "w", [], 0, message))
    with pytest.raises(FormatError, match=f"damaged: it counts {number:,} {what.split()[0]}"):
        snapshot.read(tmp_path / "a")


def test_an_iteration_beyond_caffes_field_is_refused_not_written(tmp_path):
    with pytest.raises(UsageError, match="cannot hold iteration 2,147,483,648"):
        snapshot.write(tmp_path / "a", snapshot.State(2**31, "w", []))


def test_weights_with_an_impossible_name_are_not_there(tmp_path):
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(UsageError, match="weights that belong to this solver state were not"):
            snapshot.weights_path(snapshot.State(6, name, []), tmp_path / "a.solverstate")
