"""What data sets may be wrong with: a sentence that names the place, status 2, no traceback."""

import numpy as np
import pytest

from minidl.cli import main

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")

IMAGES = """
layer { name: "images" type: "ImageData" top: "x" top: "label"
  image_data_param { source: "list.txt" batch_size: 2 new_height: 4 new_width: 4 } }"""
ROWS = """
layer { name: "rows" type: "HDF5Data" top: "x" top: "label"
  hdf5_data_param { source: "files.txt" batch_size: 2 } }"""
WINDOWS = """
layer { name: "windows" type: "WindowData" top: "x" top: "label"
  transform_param { crop_size: 4 }
  window_data_param { source: "windows.txt" batch_size: 2 fg_fraction: 0.5 } }"""
REST = """
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 3
    weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 3 snapshot_prefix: "run/x"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a small good data set of each kind."""
    rng = np.random.default_rng(0)
    for i in range(4):
        pixels = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.jpg")
    (tmp_path / "list.txt").write_text("".join(f"{i}.jpg {i % 3}\n" for i in range(4)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = rng.standard_normal((4, 5)).astype("f4")
        file["label"] = np.arange(4) % 3
    (tmp_path / "files.txt").write_text("a.h5\n")
    lines = ["# 0", "0.jpg", "3", "8", "9", "2", "1 0.9 0 0 5 5", "0 0.0 2 2 8 7"]
    (tmp_path / "windows.txt").write_text("\n".join(lines))
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(folder, layer):
    (folder / "net.prototxt").write_text(layer + REST)
    return main(["train", "solver.prototxt"])


@pytest.mark.parametrize("layer", [IMAGES, ROWS, WINDOWS], ids=["images", "rows", "windows"])
def test_good_data_train(folder, layer):
    assert train(folder, layer) == 0


def cut(name, keep):
    def change(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:keep])

    return change


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def relabel(folder):
    with h5py.File(folder / "a.h5", "a") as file:
        file["label"][2] = 7


BAD = {
    "a list of nothing": (IMAGES, write("list.txt", "\n"), "list.txt: lists no image"),
    "a line without a label": (IMAGES, write("list.txt", "0.jpg 1\n1.jpg\n"), "list.txt:2: "),
    "an absent image": (IMAGES, write("list.txt", "0.jpg 1\nz.jpg 1\n"), "list.txt:2: z.jpg"),
    "a cut image": (IMAGES, cut("1.jpg", 200), "list.txt:2: holds 200 bytes"),
    "an empty image": (IMAGES, cut("0.jpg", 0), "list.txt:1: holds 0 bytes"),
    "a label too high": (
        IMAGES,
        write("list.txt", "0.jpg 1\n1.jpg 3\n"),
        "is 3 ('1.jpg', line 2 of list.txt)",
    ),
    "half a label": (IMAGES, write("list.txt", "0.jpg 0.5\n"), "is 0.5 ('0.jpg', line 1"),
    "two labels for one": (IMAGES, write("list.txt", "0.jpg 1 2\n1.jpg 0 1\n"), "(2, 2)"),
    "no file": (ROWS, write("files.txt", ""), "files.txt: lists no file"),
    "an absent file": (ROWS, write("files.txt", "b.h5\n"), "b.h5: there is no such data set"),
    "a cut file": (ROWS, cut("a.h5", 1000), "a.h5: cannot be read as HDF5"),
    "an empty file": (ROWS, cut("a.h5", 0), "a.h5: cannot be read as HDF5"),
    "a label too high in a row": (ROWS, relabel, "is 7 (row 2 of a.h5)"),
    "a cut window file": (WINDOWS, cut("windows.txt", 17), "windows.txt: ends after line 6"),
    "a window beyond": (
        WINDOWS,
        write("windows.txt", "# 0\n0.jpg\n3\n8\n9\n1\n1 0.9 0 0 9 5"),
        "windows.txt:7: the window 0 0 9 5",
    ),
}


@pytest.mark.parametrize("layer, change, message", BAD.values(), ids=BAD.keys())
def test_bad_data_is_a_sentence_and_status_2(folder, capsys, layer, change, message):
    change(folder)
    assert train(folder, layer) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err


@pytest.mark.parametrize("name, layer", [("2.jpg", IMAGES), ("a.h5", ROWS)])
def test_changed_bytes_train_or_are_refused(folder, capsys, name, layer):
    """Of a file with some bytes changed there comes a run, or an error in words; never a bug."""
    whole, rng = (folder / name).read_bytes(), np.random.default_rng(1)
    for _ in range(12):
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3)
        (folder / name).write_bytes(data.tobytes())
        code = train(folder, layer)
        err = capsys.readouterr().err
        assert code in (0, 1, 2) and "a bug in minidl" not in err and "Traceback" not in err
