"""minidl extract_features: the items of blobs, in each form, whole or not at all."""

import os

import numpy as np
import pytest
from PIL import Image

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
    "there already": (["ip1", "test_lmdb", "1"], "exists already"),
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


# --------------------------------------------------------------------------------- pictures

BY_HAND = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 7 dim: 7 } } }
layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" }
layer { name: "ip1" type: "InnerProduct" bottom: "flat" top: "ip1"
  inner_product_param { num_output: 16 } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 3 } }
"""


@pytest.fixture
def album(expected, run_folder):
    """Five grey pictures in two folders, one more that is none; their pixels by path."""
    rng = np.random.default_rng(5)
    pixels = {}
    for name in ("b/2.png", "b/1.png", "a/x.PNG", "a/y.png", "z.png"):
        path = run_folder / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels[f"album/{name}"] = rng.integers(0, 256, (9, 9), dtype=np.uint8)
        Image.fromarray(pixels[f"album/{name}"]).save(path)
    (run_folder / "album" / "a" / "broken.png").write_bytes(b"no picture")
    return pixels


def by_hand(pixels):
    """ip2 of one picture: scaled and cut in the middle as the data layer says."""
    with Net(BY_HAND, weights="tiny.caffemodel") as net:
        x = pixels[1:8, 1:8].astype(np.float32) * np.float32(0.0039)
        return net.forward(data=x[None, None])["ip2"][0].copy()


def test_pictures_go_through_a_net_for_training_as_its_records_do(album, capsys):
    assert extract("ip2,data", "out.npz", "--pictures", "album") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "out.npz  ip2: 5 items of 3"
    assert "left out: " in err and "broken.png" in err
    with np.load("out.npz") as found:
        assert sorted(found["pictures"]) == sorted(album)
        for name, row, data in zip(found["pictures"], found["ip2"], found["data"], strict=True):
            np.testing.assert_allclose(row, by_hand(album[str(name)]), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(data[0], album[str(name)][1:8, 1:8] * 0.0039, rtol=1e-5)


def test_more_pictures_than_a_batch_and_any_order_of_files(album, monkeypatch):
    monkeypatch.setattr("minidl.cli.extract_features.AT_ONCE", 2)
    names = ["album/z.png", "album/b/2.png", "album/a/y.png"]
    assert extract("ip2", "out.npz", "--pictures", *names) == 0
    with np.load("out.npz") as found:
        assert found["pictures"].tolist() == names
        expected = [by_hand(album[name]) for name in names]
        np.testing.assert_allclose(found["ip2"], expected, rtol=1e-4, atol=1e-5)


def test_hdf5_and_lmdb_take_them_too(album, run_folder):
    names = ["album/z.png", "album/b/2.png"]
    assert extract("ip2", "out_db", "--pictures", *names) == 0
    assert [x.reshape(3).shape for x in records(run_folder / "out_db").values()] == [(3,)] * 2
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    assert extract("ip2", "out.h5", "--pictures", *names) == 0
    with h5py.File("out.h5") as file:
        assert [name.decode() for name in file["pictures"]] == names


def test_a_deploy_net_that_reads_nothing_is_refused_and_told_of_pictures(album, capsys):
    with open("deploy.prototxt", "w") as file:
        file.write(BY_HAND)
    words = ["extract_features", "tiny.caffemodel", "deploy.prototxt", "ip2", "out.npz"]
    assert main([*words, "3"]) == 2
    err = capsys.readouterr().err
    assert "reads nothing: its input 'data' would be zero" in err and "--pictures" in err
    assert not os.path.exists("out.npz")
    assert main(["test", "deploy.prototxt", "-weights", "tiny.caffemodel"]) == 2
    assert "reads nothing: its input 'data' would be zero" in capsys.readouterr().err
    assert main([*words, "--pictures", "album/z.png"]) == 0
    assert "no preprocessing is given" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["ip2", "out.npz"], "BATCHES is missing"),
        (["ip2", "out.npz", "2", "--pictures", "album/z.png"], "are both given"),
        (["ip9", "out.npz", "--pictures", "album/z.png"], "has no blob 'ip9'"),
        (["ip2", "out.npz", "--pictures", "album/a/broken.png"], "that are not an image"),
        (["ip2", "out.npz", "--pictures", "nowhere.png"], "no such image file"),
    ],
)
def test_wrong_words_about_pictures_are_refused(album, capsys, words, said):
    assert extract(*words) == 2
    assert said in capsys.readouterr().err
    assert not os.path.exists("out.npz")
