"""A net or solver that nobody holds any more has closed its files and threads, at once.

The garbage collector is off: what only it would find is a leak in a loop that makes nets.
"""

import gc
import os
import threading
import time

import numpy as np
import pytest
from PIL import Image

from minidl import Net, get_solver
from tests.data.support import datum, image_lmdb, random_images, write_leveldb

NETS = 12
FOLDER = "/proc/self/fd"
HEAD = """
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "l" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "l" }
"""
SIZE = 'transform_param { crop_size: 4 } top: "x" top: "t"'
LAYERS = {
    "LMDB": f"""layer {{ name: "d" type: "Data" {SIZE}
      data_param {{ source: "lmdb" batch_size: 2 backend: LMDB }} }}""",
    "LevelDB": f"""layer {{ name: "d" type: "Data" {SIZE}
      data_param {{ source: "leveldb" batch_size: 2 }} }}""",
    "images, two threads": """layer { name: "d" type: "ImageData" top: "x" top: "t"
      transform_param { crop_size: 4 workers: 2 }
      image_data_param { source: "list.txt" batch_size: 2 } }""",
    "HDF5": """layer { name: "d" type: "HDF5Data" top: "x" top: "t"
      hdf5_data_param { source: "h5.txt" batch_size: 2 } }""",
    "windows": f"""layer {{ name: "d" type: "WindowData" {SIZE}
      window_data_param {{ source: "windows.txt" batch_size: 4 fg_threshold: 0.5
      bg_threshold: 0.5 fg_fraction: 0.5 }} }}""",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    images = random_images(6)
    image_lmdb(folder / "lmdb", images, [i % 5 for i in range(6)])
    write_leveldb(
        folder / "leveldb", [(b"%08d" % i, datum(x, i % 5)) for i, x in enumerate(images)]
    )
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(folder / f"{i}.png")
    (folder / "list.txt").write_text("".join(f"{folder}/{i}.png {i % 5}\n" for i in range(6)))
    windows = [
        f"# {i}\n{folder}/{i}.png\n3\n5\n4\n2\n1 0.9 0 0 3 3\n0 0.1 0 0 2 2\n" for i in (0, 1)
    ]
    (folder / "windows.txt").write_text("".join(windows))
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(folder / "a.h5", "w") as file:
        file["x"], file["t"] = np.zeros((6, 3), np.float32), np.zeros((6, 1), np.float32)
    (folder / "h5.txt").write_text(f"{folder}/a.h5\n")
    return folder


@pytest.fixture
def held(data, monkeypatch):
    """What the process holds: open files and threads."""
    if not os.path.isdir(FOLDER):
        pytest.skip(f"this system has no {FOLDER}")
    monkeypatch.chdir(data)
    gc.collect()
    gc.disable()
    yield lambda: (len(os.listdir(FOLDER)), threading.active_count())
    gc.enable()


def settles(held, expected):
    """Whether that is what the process holds, once threads that were told to end have done so."""
    limit = time.monotonic() + 5
    while held() != expected and time.monotonic() < limit:
        time.sleep(0.001)
    return held() == expected


@pytest.mark.parametrize("text", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize("engine", ["numpy", "auto"])
def test_nets_that_are_dropped_leave_nothing_open(held, text, engine):
    Net(text + HEAD, 0, seed=1, engine=engine).forward()  # what is loaded once for all
    gc.collect()
    before = held()
    for _ in range(NETS):
        net = Net(text + HEAD, 0, seed=1, engine=engine)
        net.forward()
        net.backward()
        del net
        assert settles(held, before)


def test_nets_that_never_ran_leave_nothing_open_either(held):
    before = held()
    for _ in range(NETS):
        Net(LAYERS["LMDB"] + HEAD, 0)
    assert settles(held, before)


def test_solvers_that_are_dropped_leave_nothing_open(held, tmp_path):
    (tmp_path / "net.prototxt").write_text(LAYERS["LMDB"] + HEAD)
    text = f"""net: "{tmp_path}/net.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9
      test_iter: 1 test_interval: 2 snapshot_prefix: "{tmp_path}/s" """
    (tmp_path / "s.prototxt").write_text(text)

    def step():
        get_solver(str(tmp_path / "s.prototxt")).step(3)

    step()
    gc.collect()
    before = held()
    for _ in range(NETS):
        step()
        assert settles(held, before)
