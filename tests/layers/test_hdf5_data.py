"""HDF5Data: against Caffe's recorded batches; order, shuffling, refusals."""

import gc

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.device import Device
from minidl.arrays.rng import Streams
from minidl.errors import DataError, LayerConfigError, MinidlError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.net import Net
from minidl.testing.harness import bind, make_spec
from tests.layers.test_data import batches
from tests.support import golden, golden_cases, shared

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

CASES = golden_cases("data/hdf5.npz")
ROWS = [5, 1, 4]  # of the files; row k of all has the label k


def write(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


@pytest.fixture
def listed(tmp_path):
    """Three files of ten rows in all, and their list."""
    starts = np.cumsum([0, *ROWS])
    for i, (start, rows) in enumerate(zip(starts, ROWS, strict=False)):
        label = np.arange(start, start + rows)
        data = label[:, None, None] + np.arange(6).reshape(2, 3) / 10
        write(tmp_path / f"{i}.h5", x=data.astype("f4"), y=label.astype(np.uint8))
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path}/{i}.h5\n" for i in range(3)))
    return tmp_path / "list.txt"


@pytest.fixture
def make():
    layers = []

    def made(source, tops=("x", "y"), batch_size=4, seed=1, device="cpu", **keywords):
        spec = make_spec(
            "HDF5Data", source=str(source), batch_size=batch_size, **{"name": "rows", **keywords}
        )
        spec.top[:] = tops
        ctx = Context(Device(device), np.float32, schema.TRAIN, Streams(seed))
        layers.append(layer_class(spec)(spec, ctx))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


def order(layer, count):
    return np.concatenate([y for _, y in batches(layer, count)]).astype(int).tolist()


@pytest.mark.skipif(not CASES, reason="reference material not found: golden/data")
def test_the_first_five_batches_are_those_that_caffe_read(monkeypatch):
    case = golden(CASES[0])
    monkeypatch.chdir(shared("golden/data"))
    with Net(str(case["prototxt"]), phase=schema.TEST) as net:
        for k in range(5):
            net.forward_pass()
            np.testing.assert_array_equal(net.blobs["data"].data, case[f"data_{k}"])
            np.testing.assert_array_equal(net.blobs["label"].data, case[f"label_{k}"])


def test_rows_of_all_files_follow_one_another_and_wrap(listed, make):
    layer = make(listed)
    assert layer.top_shapes() == ((4, 2, 3), (4,))
    got = batches(layer, 5)
    rows = np.arange(20) % 10
    np.testing.assert_array_equal(np.concatenate([y for _, y in got]), rows)
    expected = rows[:, None, None] + np.arange(6).reshape(2, 3) / 10
    np.testing.assert_allclose(np.concatenate([x for x, _ in got]), expected, rtol=1e-6)


def test_a_batch_may_be_longer_than_all_files(listed, make):
    assert order(make(listed, batch_size=23), 1) == [k % 10 for k in range(23)]


def test_shuffling_mixes_files_and_the_rows_of_each(listed, make):
    got = order(make(listed, batch_size=10, shuffle=True), 40)
    passes = [tuple(got[i : i + 10]) for i in range(0, 400, 10)]
    assert all(sorted(one) == list(range(10)) for one in passes) and len(set(passes)) > 35
    files = [tuple(dict.fromkeys(np.digitize(one, [5, 6]).tolist())) for one in passes]
    assert len(set(files)) == 6, "every order of the files"
    assert order(make(listed, batch_size=10, shuffle=True), 40) == got
    assert order(make(listed, batch_size=10, shuffle=True, seed=2), 40) != got


def test_a_shuffled_run_goes_on_where_it_was(listed, make):
    whole = order(make(listed, shuffle=True), 8)
    resumed = make(listed, shuffle=True)
    resumed.position = 5
    assert order(resumed, 3) == whole[20:]


def test_any_dataset_may_be_a_top(listed, make):
    assert make(listed, tops=("y",)).top_shapes() == ((4,),)


def test_batches_reach_a_gpu(listed, make, gpu):
    expected = batches(make(listed, shuffle=True), 4)
    layer = make(listed, shuffle=True, device="cuda:0")
    _, top = bind(layer)
    for arrays in expected:
        layer.forward([], top)
        for blob, array in zip(top, arrays, strict=True):
            np.testing.assert_array_equal(layer.ctx.device.to_host(blob.data), array)


def test_a_row_of_the_batch_in_words(listed, make):
    layer = make(listed)
    batches(layer, 2)
    assert layer.record(2) == f"row 0 of {listed.parent}/2.h5"
    assert layer.labels_of(1).tolist() == [4, 5, 6, 7]


X, Y = np.zeros((3, 2), "f4"), np.zeros(3, "f4")
WRONG = {
    "no such dataset": (dict(x=X), r"a.h5: has no dataset 'y'(.|\n)*it has 'x'"),
    "more of one": (dict(x=X, y=Y[:2]), "has rows: 3 of 'x', 2 of 'y'"),
    "no row": (dict(x=X[:0], y=Y[:0]), "has rows: 0 of 'x', 0 of 'y'"),
    "no rows at all": (dict(x=X, y=np.float32(3)), r"'y' has the type float32 and the shape \(\)"),
    "text": (dict(x=X, y=np.array([b"a", b"b", b"c"])), "'y' has the type .S1"),
    "rows of another shape": (
        dict(x=np.zeros((3, 3), "f4"), y=Y),
        r"has rows of shape \(\(3,\), \(\)\), .*0.h5 of shape \(\(2, 3\), \(\)\)",
    ),
}


@pytest.mark.parametrize("arrays, message", WRONG.values(), ids=WRONG.keys())
def test_files_that_do_not_fit_are_refused(listed, make, arrays, message):
    write(listed.parent / "a.h5", **arrays)
    first = f"{listed.parent}/0.h5\n" if "another" in message or "rows of" in message else ""
    listed.write_text(f"{first}{listed.parent}/a.h5\n")
    with pytest.raises(DataError, match=f"HDF5Data layer 'rows': .*{message}"):
        make(listed).top_shapes()


@pytest.mark.parametrize("text, message", [
    ("", "lists no file"),
    ("nowhere.h5\n", "nowhere.h5: there is no such data set file"),
])  # fmt: skip
def test_lists_that_do_not_fit_are_refused(listed, make, text, message):
    listed.write_text(text)
    with pytest.raises(MinidlError, match=message):
        make(listed).top_shapes()


@pytest.mark.parametrize("keep", [0, 20, 300, 2000])
def test_a_file_that_was_cut_is_refused(listed, make, keep):
    path = listed.parent / "1.h5"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MinidlError, match=r"layer 'rows': .*1\.h5: (cannot be read|.* bytes)"):
        batches(make(listed), 3)


def test_changed_bytes_give_numbers_or_an_error_in_words(listed, make):
    path = listed.parent / "1.h5"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(whole), 4):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            batches(make(listed), 2)
        except MinidlError as error:
            assert "1.h5" in str(error)


def test_files_are_closed_when_the_layer_is_forgotten(listed, make):
    layer = make(listed)
    batches(layer, 1)
    layer.close()
    (listed.parent / "0.h5").unlink()
    del layer
    gc.collect()


def test_transform_param_is_refused(listed):
    spec = make_spec("HDF5Data", source=str(listed), batch_size=2)
    spec.transform_param.scale = 2
    with pytest.raises(LayerConfigError, match="takes rows as they are"):
        layer_class(spec)(spec, Context())
