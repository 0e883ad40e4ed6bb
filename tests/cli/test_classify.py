"""minidl classify and detect: what the Python classes say, in files."""

import csv
import json
import os
import re

import numpy as np
import pytest

import minidl
from minidl.cli import main
from minidl.storage import arrays

NET = """
name: "sums"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""
RNG = np.random.default_rng(2)
PIXELS = RNG.integers(0, 256, (3, 7, 9, 3), np.uint8)
MODEL = ["--model-def", "net.prototxt", "--pretrained-model", "net.caffemodel"]
FLAGS = [*MODEL, "--mean-value", "100,110,120", "--images-dim", "6,6"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A net, its weights, and pictures/ with three PNGs."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    minidl.Net(NET, seed=3).save("net.caffemodel")
    (tmp_path / "pictures").mkdir()
    for name, pixels in zip("abc", PIXELS, strict=True):
        image.fromarray(pixels).save(f"pictures/{name}.png")
    (tmp_path / "pictures" / "notes.txt").write_text("no image")
    return tmp_path


def options(**more):
    given = dict(mean=np.array([100, 110, 120]), raw_scale=255, channel_swap=(2, 1, 0))
    return given | more


def predicted(**how):
    net = minidl.Classifier(NET, "net.caffemodel", image_dims=(6, 6), **options())
    return net.predict(list(PIXELS.astype(np.float32) / 255), **how)


def test_a_folder_of_images(capsys):
    assert main(["classify", "pictures", "out.npy", "--ext", "png", *FLAGS]) == 0
    np.testing.assert_allclose(np.load("out.npy"), predicted(), rtol=1e-4, atol=1e-6)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3 * 3  # three classes are all there are
    best = predicted()[0]
    assert shown[0] == f"pictures/a.png  {best.max():.4f}  {best.argmax()}"


def test_the_centre_of_one_image_with_names_for_classes(capsys, folder):
    (folder / "names.txt").write_text("cat\ndog\nowl\n")
    words = ["--center-only", "--labels", "names.txt", "--top", "1"]
    assert main(["classify", "pictures/b.png", "out.npy", *FLAGS, *words]) == 0
    expected = predicted(oversample=False)[1:2]
    np.testing.assert_allclose(np.load("out.npy"), expected, rtol=1e-4, atol=1e-6)
    name = ["cat", "dog", "owl"][expected[0].argmax()]
    assert capsys.readouterr().out == f"pictures/b.png  {expected.max():.4f}  {name}\n"


def test_images_in_an_array():
    np.save("images.npy", PIXELS / 255)
    assert main(["classify", "images.npy", "out.npy", *FLAGS]) == 0
    np.testing.assert_allclose(np.load("out.npy"), predicted(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ending", ["npy", "binaryproto"])
def test_a_mean_image_of_the_images_size(ending):
    mean = np.broadcast_to(np.array([100, 110, 120.0])[:, None, None], (3, 6, 6))
    if ending == "npy":
        np.save("mean.npy", mean)
    else:
        blob = arrays.to_blob(mean.astype(np.float32)[None], None)
        with open("mean.binaryproto", "wb") as file:
            file.write(blob.SerializeToString())
    words = [*MODEL, "--images-dim", "6,6", "--ext", "png", "--mean-file", f"mean.{ending}"]
    assert main(["classify", "pictures", "out.npy", *words]) == 0
    np.testing.assert_allclose(np.load("out.npy"), predicted(), rtol=1e-4, atol=1e-5)


LIST = """filename,ymin,xmin,ymax,xmax
pictures/a.png,0,0,7,9
pictures/a.png,2,1,6,8
pictures/c.png,1,1,4,4
"""


def detected():
    net = minidl.Detector(NET, "net.caffemodel", context_pad=1, **options())
    windows = [[(0, 0, 7, 9), (2, 1, 6, 8)], [(1, 1, 4, 4)]]
    pictures = [f"pictures/{name}.png" for name in "ac"]
    return [f["prediction"] for f in net.detect_windows(zip(pictures, windows, strict=True))]


@pytest.mark.parametrize("ending", ["csv", "npz", "h5"])
def test_windows_are_scored(ending, folder, capsys):
    if ending == "h5":
        h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    (folder / "list.csv").write_text(LIST)
    out = f"out.{ending}"
    words = [*MODEL, "--mean-value", "100,110,120", "--context-pad", "1"]
    assert main(["detect", "list.csv", out, *words]) == 0
    assert capsys.readouterr().out == f"{out}  3 windows\n"
    if ending == "csv":
        with open(out) as file:
            rows = list(csv.reader(file))
        assert rows[0][5:] == ["class0", "class1", "class2"]
        assert [",".join(row[:5]) for row in rows] == LIST.splitlines()
        scores = np.array([row[5:] for row in rows[1:]], float)
    elif ending == "npz":
        with np.load(out) as found:
            scores, names = found["prediction"], found["filename"]
        assert list(names) == ["pictures/a.png"] * 2 + ["pictures/c.png"]
    else:
        with h5py.File(out) as file:
            scores, windows = file["prediction"][:], file["window"][:]
        assert windows.tolist()[2] == [1, 1, 4, 4]
    np.testing.assert_allclose(scores, detected(), rtol=1e-5, atol=1e-7)


REFUSED = {
    "no image": (
        ["classify", "pictures", "o.npy", *FLAGS, "--ext", "jpg"],
        r"no files ending in \.jpg",
    ),
    "no net": (["classify", "pictures/a.png", "o.npy"], r"which net(.|\n)*--run RUN, or --model"),
    "no weights": (["classify", "pictures/a.png", "--model", "net.prototxt"], "which weights"),
    "no run": (["classify", "pictures/a.png", "--run", "nowhere"], "nowhere: there is no such"),
    "no run's folder": (["classify", "pictures/a.png", "--run", "."], "trained_net.prototxt"),
    "run and net": (["classify", "pictures/a.png", "--run", ".", *MODEL], "--run and --model"),
    "two ways": (
        ["classify", "pictures/a.png", *FLAGS, "--preprocess", "x.json"],
        "--preprocess and Caffe's words",
    ),
    "damaged": (["classify", "pictures/notes.txt", *FLAGS], "pictures/notes.txt: holds 8 bytes"),
    "weights": (
        ["classify", "pictures/a.png", "o.npy", *MODEL[:3], "x.caffemodel"],
        "no such file",
    ),
    "size": (["classify", "pictures/a.png", "o.npy", *MODEL, "--images-dim", "6"], "not a size"),
    "not an array": (["classify", "bad.npy", "o.npy", *FLAGS], "bad.npy: is not an array"),
    "axes": (["classify", "axes.npy", "o.npy", *FLAGS], r"\(N, H, W, C\)"),
    "labels": (["classify", "pictures/a.png", "o.npy", *FLAGS, "--labels", "two"], "2 names"),
    "ending": (["detect", "list.csv", "out.txt", *MODEL], "out.txt: cannot be written"),
    "columns": (["detect", "columns.csv", "o.csv", *MODEL], "no column ymin, xmin"),
    "numbers": (["detect", "numbers.csv", "o.csv", *MODEL], "numbers.csv:2: has the window"),
    "empty": (["detect", "empty.csv", "o.csv", *MODEL], "has no windows"),
    "search": (
        ["detect", "list.csv", "o.csv", *MODEL, "--crop-mode", "selective_search"],
        "Matlab",
    ),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, folder, capsys):
    (folder / "bad.npy").write_bytes(b"no")
    np.save("axes.npy", np.zeros((3, 4)))
    (folder / "two").write_text("a\nb\n")
    (folder / "list.csv").write_text(LIST)
    (folder / "columns.csv").write_text("filename,ymax,xmax\na,1,1\n")
    (folder / "numbers.csv").write_text("filename,ymin,xmin,ymax,xmax\na,0,0,x,1\n")
    (folder / "empty.csv").write_text("filename,ymin,xmin,ymax,xmax\n")
    assert main(words) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (folder / "o.npy").exists() and not (folder / "o.csv").exists()


# ---------------------------------------------------------------------- as the net was trained

TRAINED = """
name: "trained"
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "data/train_lmdb" batch_size: 2 backend: LMDB }
  transform_param { scale: 0.01 mirror: true mean_value: 50 } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "data/train_lmdb" batch_size: 6 backend: LMDB }
  transform_param { scale: 0.01 mean_value: 50 crop_size: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture
def trained(folder):
    """trained.prototxt on data/train_lmdb, which holds the pictures of shown/, two of a class."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pytest.importorskip("lmdb", reason="lmdb is not installed")
    (folder / "trained.prototxt").write_text(TRAINED)
    for i, label in enumerate(["owl", "cat", "dog"] * 2):
        (folder / "shown" / label).mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (5, 6, 3), np.uint8)
        image.fromarray(pixels).save(f"shown/{label}/{i}.PNG")
    words = ["--out", "data", "--val", "0", "--size", "5,6"]
    assert main(["dataset", "folder", "shown", *words]) == 0
    with minidl.Net("trained.prototxt", minidl.TEST, seed=5) as net:
        net.save("trained.caffemodel")
        net.forward()
        ip, labels = net.blobs["ip"].data.astype("f8"), net.blobs["label"].data.astype(int)
    scores = np.exp(ip) / np.exp(ip).sum(axis=1, keepdims=True)
    lines = (folder / "data/train.txt").read_text().splitlines()
    return {line.rsplit(" ", 1)[0]: row for line, row in zip(lines, scores, strict=True)}, labels


NETWORK = ["--model", "trained.prototxt", "--weights", "trained.caffemodel"]


def test_a_net_for_training_does_to_pictures_what_its_data_layer_does(trained, capsys):
    expected, _ = trained
    paths = sorted(expected)
    assert main(["classify", *paths, *NETWORK, "--top", "1", "--out", "out.npy"]) == 0
    found = np.load("out.npy")
    np.testing.assert_allclose(found, [expected[path] for path in paths], rtol=1e-5)
    shown = capsys.readouterr().out.splitlines()
    names = ["cat", "dog", "owl"]
    best = [f"{p}  {expected[p].max():.4f}  {names[expected[p].argmax()]}" for p in paths]
    assert shown[-6:] == best


def test_folders_of_classes_give_accuracy_and_a_matrix(trained, capsys):
    expected, _ = trained
    capsys.readouterr()
    assert main(["classify", "shown", *NETWORK]) == 0
    lines = capsys.readouterr().out.splitlines()
    names, matrix = ["cat", "dog", "owl"], np.zeros((3, 3), int)
    for path, row in expected.items():
        matrix[names.index(path.split("/")[1]), row.argmax()] += 1
    right = matrix.trace()
    assert lines[0] == f"accuracy {right / 6:.4f} ({right} of 6)"
    assert lines[2].split() == names
    for name, row, line in zip(names, matrix, lines[3:], strict=True):
        share = row[names.index(name)] / row.sum()
        assert line.split() == [name, *map(str, row), f"{share:.1%}"]


def test_the_description_beside_the_weights_serves_a_deploy_net(trained, folder, capsys):
    expected, _ = trained
    (folder / "run").mkdir()
    (folder / "trained.caffemodel").rename(folder / "run/w.caffemodel")
    minidl.preprocess.of_net(minidl.prototxt.read_net("trained.prototxt")).write(
        "run/preprocess.json"
    )
    path = min(expected)
    words = ["--model", "net.prototxt", "--weights", "run/w.caffemodel", "--out", "out.npy"]
    assert main(["classify", path, *words]) == 0
    np.testing.assert_allclose(np.load("out.npy"), [expected[path]], rtol=1e-5)


def test_where_nothing_says_what_becomes_of_pictures_a_warning_does(capsys):
    assert main(["classify", "pictures/a.png", *MODEL, "--out", "out.npy"]) == 0
    assert "no preprocessing is given" in capsys.readouterr().err
    image = pytest.importorskip("PIL.Image")
    picture = image.open("pictures/a.png")
    whole = (0, 0, *picture.size)
    small = picture.transform((4, 4), image.Transform.EXTENT, whole, image.Resampling.BILINEAR)
    x = np.asarray(small, np.float32)[:, :, ::-1].transpose(2, 0, 1)
    with minidl.Net(NET, weights="net.caffemodel") as net:
        expected = net.forward_all(data=[x])["prob"]
    np.testing.assert_allclose(np.load("out.npy"), expected, rtol=1e-5, atol=1e-7)


def test_one_damaged_picture_of_many_is_left_out(folder, capsys):
    (folder / "pictures" / "bad.jpg").write_text("no")
    assert main(["classify", "pictures", *FLAGS, "--top", "1"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [
        f"pictures/{name}.png" for name in "abc"
    ]
    assert "left out: pictures/bad.jpg" in err


def test_a_run_in_python_gives_its_last_weights_and_its_description(trained, folder):
    expected, _ = trained
    (folder / "run").mkdir()
    minidl.Net("trained.prototxt", minidl.TEST, seed=9).save("run/x_iter_2.caffemodel")
    (folder / "trained.caffemodel").rename(folder / "run/x_iter_10.caffemodel")
    os.utime("run/x_iter_2.caffemodel", (1, 1))
    (folder / "trained.prototxt").rename(folder / "run/trained_net.prototxt")
    paths = sorted(expected)
    with minidl.Classifier.from_run("run") as net:
        np.testing.assert_allclose(net.predict(paths), [expected[p] for p in paths], rtol=1e-5)
        ten = net.predict(paths[:1], oversample=True)
        with pytest.raises(minidl.MinidlError, match="is one image"):
            net.predict(paths[0])
    assert not np.allclose(ten, [expected[paths[0]]])


def test_windows_are_treated_as_the_description_says(trained, folder):
    (folder / "list.csv").write_text(LIST)
    assert main(["detect", "list.csv", "out.npz", *NETWORK]) == 0
    words = dict(mean=np.full(3, 50.0), raw_scale=255, channel_swap=(2, 1, 0), input_scale=0.01)
    net = minidl.Detector("trained.prototxt", "trained.caffemodel", **words)
    windows = [[(0, 0, 7, 9), (2, 1, 6, 8)], [(1, 1, 4, 4)]]
    names = [f"pictures/{name}.png" for name in "ac"]
    found = [f["prediction"] for f in net.detect_windows(zip(names, windows, strict=True))]
    np.testing.assert_allclose(np.load("out.npz")["prediction"], found, rtol=1e-5)


# ---------------------------------------------------------------------- for programs


def test_answers_as_json(trained, capsys):
    expected, _ = trained
    capsys.readouterr()
    assert main(["classify", "shown", *NETWORK, "--json", "--top", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == 3
    assert sorted(item["name"] for item in found["pictures"]) == sorted(expected)
    names = ["cat", "dog", "owl"]
    for item in found["pictures"]:
        row = expected[item["name"]]
        order = np.argsort(-row)
        assert [label for label, _ in item["top"]] == [names[i] for i in order[:2]]
        assert [score for _, score in item["top"]] == pytest.approx(row[order[:2]], rel=1e-5)
        assert item["truth"] == item["name"].split("/")[1]
    assert main(["classify", "pictures/a.png", *FLAGS, "--json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["pictures"]
    assert len(item["top"]) == 3 and "truth" not in item


def test_a_snapshot_is_chosen_by_its_iteration(trained, folder, capsys):
    expected, _ = trained
    (folder / "run").mkdir()
    (folder / "trained.caffemodel").rename(folder / "run/x_iter_2.caffemodel")
    minidl.Net("trained.prototxt", minidl.TEST, seed=9).save("run/x_iter_10.caffemodel")
    (folder / "trained.prototxt").rename(folder / "run/trained_net.prototxt")
    path = min(expected)
    words = ["classify", path, "--run", "run", "--out", "out.npy"]
    assert main([*words, "--snapshot", "2"]) == 0
    np.testing.assert_allclose(np.load("out.npy"), [expected[path]], rtol=1e-5)
    assert main(words) == 0
    assert not np.allclose(np.load("out.npy"), [expected[path]])
    capsys.readouterr()
    assert main([*words, "--snapshot", "3"]) == 2
    assert "no weights of iteration 3\n  expected: 2, 10" in capsys.readouterr().err
    assert main([*words, "--snapshot", "2", "--weights", "net.caffemodel"]) == 2
    assert main(["classify", path, *MODEL, "--snapshot", "2"]) == 2
    assert "--snapshot needs --run" in capsys.readouterr().err
