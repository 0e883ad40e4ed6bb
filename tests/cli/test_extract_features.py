"""minidl extract_features: the items of blobs, in each form, whole or not at all."""

import numpy as np
import pytest

from minidl import Net
from minidl.cli import main
from minidl.data.sources import lmdb

BATCHES = 4  # of 5 records; the data set has 15, so it begins again


@pytest.fixture
def expected(run_folder):
    """What a net in phase TEST holds, batch by batch; its weights are in tiny.caffemodel."""
    with Net("net.prototxt", seed=1) as net:
        net.save("tiny.caffemodel")
        found = {"data": [], "ip2": [], "label": []}
        for _ in range(BATCHES):
            net.forward_pass()
            for name, parts in found.items():
                parts.append(net.blobs[name].data.copy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def extract(*words):
    return main(["extract_features", "tiny.caffemodel", "net.prototxt", *words])


def records(path):
    """Every record of an LMDB, by its key."""
    source = lmdb.Lmdb(path, None)
    try:
        return {source[i].key: source[i].image for i in range(len(source))}
    finally:
        source.close()


def test_one_npz_takes_several_blobs(expected, capsys):
    assert extract("data,ip2,label", "all.npz", str(BATCHES)) == 0
    with np.load("all.npz") as found:
        assert set(found.files) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)
    assert capsys.readouterr().out.splitlines() == [
        "all.npz  data: 20 items of 1 x 7 x 7",
        "all.npz  ip2: 20 items of 3",
        "all.npz  label: 20 items of 1",
    ]


def test_hdf5(expected):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    assert extract("ip2,data", "ip2.h5,data.npz", str(BATCHES)) == 0
    with h5py.File("ip2.h5") as file:
        np.testing.assert_allclose(file["ip2"], expected["ip2"], rtol=1e-5, atol=1e-6)


def test_lmdbs_are_caffes(expected, run_folder, capsys):
    assert extract("ip2,data", "ip2_db,data_db", str(BATCHES), "lmdb", "CPU") == 0
    for name, shape in [("ip2", (3, 1, 1)), ("data", (1, 7, 7))]:
        found = records(run_folder / f"{name}_db")
        assert list(found)[:2] == ["0000000000", "0000000001"]
        assert len(found) == 20
        for image, values in zip(found.values(), expected[name], strict=True):
            assert image.shape == shape
            np.testing.assert_allclose(image, values.reshape(shape), rtol=1e-5, atol=1e-6)
    assert "ip2_db  ip2: 20 items of 3 x 1 x 1" in capsys.readouterr().out


def test_an_lmdb_grows_as_it_needs(tmp_path):
    from minidl.cli.feature_files import writers

    rng = np.random.default_rng(0)
    batches = rng.standard_normal((3, 40, 2, 60, 60)).astype(np.float32)  # 3 MB
    with writers([str(tmp_path / "db")], ["x"], None) as [(file, blob)]:
        for batch in batches:
            file.add(blob, batch)
    found = records(tmp_path / "db")
    assert len(found) == 120
    np.testing.assert_array_equal(found["0000000119"], batches[-1, -1])


REFUSED = {
    "unknown blob": (["ip3", "a.npz", "1"], "has no blob 'ip3'"),
    "a single number": (["loss", "a.npz", "1"], "'loss' is a single number"),
    "too few files": (["ip1,ip2", "a.db", "1"], "has 2 blobs and 1 files"),
    "twice": (["ip1,ip1", "a.npz,b.npz", "1"], "twice"),
    "LevelDB": (["ip1", "a", "1", "leveldb"], "cannot write 'leveldb'"),
    "no folder": (["ip1", "gone/a.npz", "1"], "no such folder"),
    "there already": (["ip1", "test_lmdb", "1"], "is there already"),
    "no number": (["ip1", "a.npz", "none"], "'none' is not a whole number"),
    "no device": (["ip1", "a.npz", "1", "npz", "TPU"], "'TPU'"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_refusals_leave_no_file(expected, run_folder, capsys, words, message):
    before = sorted(path.name for path in run_folder.iterdir())
    assert extract(*words) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in run_folder.iterdir()) == before


def test_a_blob_of_five_axes_does_not_fit_a_datum(tmp_path):
    from minidl.cli.feature_files import writers
    from minidl.errors import UsageError

    with pytest.raises(UsageError, match="at most 4 axes"):
        with writers([str(tmp_path / "db")], ["x"], "lmdb") as [(file, blob)]:
            file.check(blob, (2, 3, 4, 5, 6))
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_nothing(tmp_path):
    from minidl.cli.feature_files import writers

    with pytest.raises(ZeroDivisionError):
        with writers([str(tmp_path / "db")], ["x"], None) as [(file, blob)]:
            file.add(blob, np.ones((2, 3), np.float32))
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
