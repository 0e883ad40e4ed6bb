"""What is there is replaced only by a file of its own kind; everything else is refused and kept."""

import os
import time

import numpy as np
import pytest

from minidl import schema
from minidl.cli import main
from minidl.data import lmdb_writer
from minidl.errors import UsageError
from minidl.storage import files, replaceable, snapshot, weight_files
from minidl.storage.content import LayerWeights, Weights

WEIGHTS = Weights("net", [LayerWeights("ip", "InnerProduct", [np.ones((2, 3), "f4")])], [])
NET = 'name: "n"\nlayer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }\n'
NET += 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'


def hdf5_file(path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(path, "w") as file:
        file["mine"] = np.arange(3)


FOREIGN = {
    "prose": lambda path: path.write_text("Years of work: chapter 1\n"),
    "bytes": lambda path: path.write_bytes(bytes(range(1, 200))),
    "another's zip": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(60)),
    "another's HDF5": hdf5_file,
    "a cut caffemodel": lambda path: path.write_bytes(b"\x0a\x03ne"),
}
WRITTEN = ("w.caffemodel", "w.h5", "w.npz", "w.safetensors", "w.solverstate")


def write(path):
    """What minidl writes under such a name."""
    pytest.importorskip("h5py", reason="h5py is not installed")
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    if path.suffix == ".solverstate":
        snapshot.write(path, snapshot.State(3, "w.caffemodel", [np.zeros(2, "f4")]))
    else:
        weight_files.write(path, WEIGHTS, weight_files.format_of(path))


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_of_another_kind_is_named_and_kept(tmp_path, name, what):
    path = tmp_path / name
    FOREIGN[what](path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=rf"{name}: is .*(.|\n)*remove the file first"):
        write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name], "and nothing is left beside it"


@pytest.mark.parametrize("old", WRITTEN)
@pytest.mark.parametrize("new", WRITTEN)
def test_a_file_gives_way_to_one_of_its_kind_only(tmp_path, old, new):
    write(tmp_path / old)
    write(tmp_path / new)
    content = (tmp_path / new).read_bytes()
    (tmp_path / old).rename(tmp_path / "there")
    if old == new:
        files.write_all(tmp_path / "there", [content])
    else:
        with pytest.raises(UsageError, match="the new file is"):
            files.write_all(tmp_path / "there", [content])


def test_an_empty_file_gives_way_to_anything(tmp_path):
    (tmp_path / "w.caffemodel").touch()
    write(tmp_path / "w.caffemodel")


def test_a_device_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "w.caffemodel")
    with pytest.raises(UsageError, match="is not a regular file"):
        write(tmp_path / "w.caffemodel")
    assert os.listdir(tmp_path) == ["w.caffemodel"]


def test_a_link_beside_the_file_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    os.symlink("mine", tmp_path / f"w.caffemodel.partial-{os.getpid()}")
    write(tmp_path / "w.caffemodel")
    assert (tmp_path / "mine").read_text() == "mine"


def test_nets_of_any_beginning_are_known_as_caffemodels(tmp_path):
    layer = schema.LayerParameter(name="a", type="ReLU")
    for i, net in enumerate(
        [
            schema.NetParameter(layer=[layer]),
            schema.NetParameter(name="n", layer=[layer], force_backward=True),
            schema.NetParameter(name="n", input=["x"], input_dim=[1, 2], layer=[layer]),
            schema.NetParameter(name="n", layers=[schema.V1LayerParameter(name="a")]),
        ]
    ):
        path = tmp_path / str(i)
        path.write_bytes(net.SerializeToString())
        assert replaceable.kind_of(path) == "a caffemodel"


COMMANDS = {
    "draw": ["draw", "net.prototxt", "-o", "mine.svg"],
    "upgrade": ["upgrade", "net.prototxt", "mine.svg", "--force"],
    "convert": ["convert", "w.caffemodel", "mine.svg", "--to", "npz", "--force"],
    "export": ["export", "net.prototxt", "--onnx", "mine.svg"],
    "compute_image_mean": ["compute_image_mean", "db", "mine.svg"],
    "plot": ["plot", "events.jsonl", "-o", "mine.svg"],
}
EVENT = '{"event": "display", "time": 1, "iter": 1, "loss": 1, "lr": 1, "outputs": {"l": 1}}\n'


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_over_what_is_not_its_own(tmp_path, monkeypatch, capsys, command):
    for package in {"export": ["onnx"], "plot": ["matplotlib"]}.get(command, []):
        pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "events.jsonl").write_text(EVENT)
    write(tmp_path / "w.caffemodel")
    lmdb_writer.write(tmp_path / "db", np.zeros((2, 1, 2, 2), np.uint8), np.zeros(2))
    (tmp_path / "mine.svg").write_text("mine, all mine")
    code = main(COMMANDS[command])
    err = capsys.readouterr().err
    assert code == 2 and "mine.svg: is not a file that minidl wrote" in err, err
    assert (tmp_path / "mine.svg").read_text() == "mine, all mine"


NOT_AN_LMDB = {
    "other files": lambda folder: (folder / "thesis.txt").write_text("years"),
    "an LMDB and more": lambda folder: (
        lmdb_writer.write(folder, np.zeros((1, 1, 1, 1), np.uint8), [0]),
        (folder / "thesis.txt").write_text("years"),
    ),
    "a data.mdb that is none": lambda folder: (folder / "data.mdb").write_text("thesis " * 9),
    "a folder in it": lambda folder: (folder / "sub").mkdir(),
}


@pytest.mark.parametrize("what", NOT_AN_LMDB)
def test_a_folder_that_is_not_an_lmdb_alone_is_kept(tmp_path, what):
    folder = tmp_path / "mine"
    folder.mkdir()
    NOT_AN_LMDB[what](folder)
    before = sorted(os.listdir(folder))
    with pytest.raises(UsageError, match=r"mine: holds .*(.|\n)*nothing else, which would be"):
        lmdb_writer.write(folder, np.zeros((2, 1, 2, 2), np.uint8), np.zeros(2))
    assert sorted(os.listdir(folder)) == before and os.listdir(tmp_path) == ["mine"]


def test_a_linked_folder_and_a_file_are_kept(tmp_path):
    lmdb_writer.write(tmp_path / "db", np.zeros((1, 1, 1, 1), np.uint8), [0])
    os.symlink(tmp_path / "db", tmp_path / "link")
    (tmp_path / "file").write_text("mine")
    for name, found in (("link", "is a link to .*db"), ("file", "is not a folder")):
        with pytest.raises(UsageError, match=found):
            lmdb_writer.write(tmp_path / name, np.zeros((1, 1, 1, 1), np.uint8), [0])


def test_an_empty_folder_and_a_damaged_lmdb_give_way(tmp_path):
    images = np.zeros((1, 1, 1, 1), np.uint8)
    (tmp_path / "db").mkdir()
    lmdb_writer.write(tmp_path / "db", images, [0])
    data = (tmp_path / "db" / "data.mdb").read_bytes()
    (tmp_path / "db" / "data.mdb").write_bytes(data[:3000])
    lmdb_writer.write(tmp_path / "db", images, [0])
    assert (tmp_path / "db" / "data.mdb").stat().st_size > 3000


def test_what_is_of_no_known_kind_is_kept_whatever_is_to_be_written(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UsageError, match="is not a file that minidl wrote"):
        files.write_all(tmp_path / "a", [b"something else"])
    assert (tmp_path / "a").read_text() == "mine"


@pytest.mark.parametrize("head", [b" " * 5000, b"#\n" * 2500, b"a" * 5000, b"\n# \n" * 1250])
def test_looking_at_a_file_takes_no_time(tmp_path, head):
    (tmp_path / "a").write_bytes(head + b"!")
    began = time.process_time()
    assert replaceable.kind_of(tmp_path / "a") == ""
    assert time.process_time() - began < 2
