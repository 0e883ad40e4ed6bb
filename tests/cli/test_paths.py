"""Paths that are pipes, devices, folders, holes, loops or no paths at all: never more than words.

Each command reads and writes each of them. None waits, none fills the memory, none ends in a bug.
"""

import os

import numpy as np
import pytest

from minidl.cli import main
from minidl.net import Net

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

NET = """name: "n"
layer { name: "in" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "y"
  inner_product_param { num_output: 2 } }
"""
SOLVER = """net_param {
  layer { name: "in" type: "DummyData" top: "data" top: "t"
    dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 2 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "data" top: "y"
    inner_product_param { num_output: 2 } }
  layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "l" } }
base_lr: 0.1 lr_policy: "fixed" max_iter: 2
"""
PATHS = [
    "pipe",
    "folder",
    "text",
    "bytes",
    "hole",
    "loop",
    "/dev/zero",
    "/dev/full",
    "text/inside",
    "",
    ".",
    "x" * 300,
]
CLASSIFY = ["--model-def", "n.prototxt", "--pretrained-model", "w", "--images-dim", "8,8"]
COMMANDS = {
    "check": ["check", "PATH"],
    "draw": ["draw", "n.prototxt", "-o", "PATH.svg"],
    "time": ["time", "-model", "n.prototxt", "-weights", "PATH", "-iterations", "1"],
    "train": ["train", "-solver", "PATH"],
    "snapshot": ["train", "-solver", "s.prototxt", "-snapshot", "PATH"],
    "weights": ["train", "-solver", "s.prototxt", "-weights", "PATH"],
    "log_dir": ["check", "n.prototxt", "-log_dir", "PATH"],
    "test": ["test", "-model", "n.prototxt", "-weights", "PATH", "-iterations", "1"],
    "convert": ["convert", "PATH", "o.npz", "--force"],
    "convert to": ["convert", "w", "PATH", "--to", "npz", "--force"],
    "upgrade": ["upgrade", "PATH", "o.prototxt", "--force"],
    "upgrade to": ["upgrade", "n.prototxt", "PATH", "--force"],
    "extract": ["extract_features", "w", "n.prototxt", "y", "PATH", "1"],
    "extract npz": ["extract_features", "w", "n.prototxt", "y", "PATH", "1", "npz"],
    "classify": ["classify", "PATH", "o.npy", *CLASSIFY],
    "classify to": ["classify", "a.png", "PATH", *CLASSIFY],
    "classes": ["classify", "a.png", "o.npy", *CLASSIFY, "--labels", "PATH"],
    "mean file": ["classify", "a.png", "o.npy", *CLASSIFY, "--mean-file", "PATH"],
    "detect": ["detect", "PATH", "o.csv", *CLASSIFY[:4]],
    "parse_log": ["parse_log", "PATH"],
    "list": ["convert_imageset", "./", "PATH", "o_lmdb", "--force"],
    "lmdb": ["convert_imageset", "./", "list.txt", "PATH", "--force"],
    "mean": ["compute_image_mean", "PATH", "o.binaryproto"],
    "idx": ["dataset", "mnist", "--from", "PATH", "--out", "o"],
}
FIELDS = {
    "Data": 'type: "Data" top: "x" data_param { source: "PATH" batch_size: 1 }',
    "ImageData": 'type: "ImageData" top: "x" top: "l" image_data_param { source: "PATH" }',
    "HDF5Data": 'type: "HDF5Data" top: "x" hdf5_data_param { source: "PATH" batch_size: 1 }',
    "mean_file": 'type: "ImageData" top: "x" top: "l" image_data_param { source: "list.txt" } '
    'transform_param { mean_file: "PATH" }',
    "WindowData": 'type: "WindowData" top: "x" top: "l" window_data_param '
    '{ source: "PATH" batch_size: 1 fg_fraction: 0.5 } transform_param { crop_size: 4 }',
    "Python": 'type: "Python" top: "x" python_param { module: "PATH" layer: "a" }',
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkdir("folder")
    os.symlink("loop", "loop")
    files = {"text": b"hello\nworld\n", "bytes": bytes(np.arange(256, dtype=np.uint8)) * 9}
    files |= {"n.prototxt": NET.encode(), "s.prototxt": SOLVER.encode(), "list.txt": b"a.png 0\n"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with open("hole", "wb") as file:
        file.truncate(1 << 40)
    Image.new("RGB", (8, 8)).save("a.png")
    with Net("n.prototxt") as net:
        net.save("w")
    return tmp_path


def untouched(folder):
    """What was there before the commands ran is as it was."""
    assert (folder / "text").read_bytes() == b"hello\nworld\n"
    assert (folder / "hole").stat().st_size == 1 << 40
    assert (folder / "pipe").is_fifo() and os.listdir(folder / "folder") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_is_wrong_with_a_path(folder, capsys, name):
    for path in PATHS:
        words = [word.replace("PATH", path) for word in COMMANDS[name]]
        code = main(words)
        err = capsys.readouterr().err
        assert "a bug in minidl" not in err, f"{words}: {err[-500:]}"
        assert code in (0, 1, 2)
    if name not in ("log_dir", "lmdb"):  # which may use an empty folder
        untouched(folder)


@pytest.mark.parametrize("field", FIELDS)
def test_a_net_says_what_is_wrong_with_a_path(folder, capsys, field):
    for path in [*PATHS, "a\\000b"]:
        text = FIELDS[field].replace("PATH", path)
        (folder / "f.prototxt").write_text(f'name: "f" layer {{ name: "d" {text} }}')
        code = main(["test", "-model", "f.prototxt", "-weights", "w", "--allow-python"])
        err = capsys.readouterr().err
        assert code in (0, 1, 2) and "a bug in minidl" not in err, f"{path}: {err[-500:]}"
    untouched(folder)
