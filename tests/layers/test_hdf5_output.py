"""HDF5Output: what stands in the file after each pass."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError, UsageError
from minidl.net import Net
from minidl.testing.harness import bind, build

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
DATA = np.random.default_rng(0).standard_normal((3, 2, 4, 5)).astype("f4")
LABEL = np.arange(3, dtype="f4")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.h5"


def read(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_passes_stand_one_behind_the_other(path, device, gpu):
    layer = build("HDF5Output", file_name=str(path), device=device, dtype=np.float32)
    bottom, _ = bind(layer, DATA, LABEL)
    for passes in range(1, 4):
        layer.ctx.device.write(bottom[1].data, LABEL + passes)
        layer.forward(bottom, [])
        found = read(path)
        assert found["data"].dtype == np.float32
        np.testing.assert_array_equal(found["data"], np.concatenate([DATA] * passes))
        labels = [LABEL + n for n in range(1, passes + 1)]
        np.testing.assert_array_equal(found["label"].shape, (3 * passes, 1, 1, 1))
        np.testing.assert_array_equal(found["label"].ravel(), np.concatenate(labels))


def test_a_file_that_was_there_is_begun_anew(path):
    for rows in (3, 3):
        layer = build("HDF5Output", file_name=str(path))
        bottom, _ = bind(layer, DATA, LABEL)
        layer.forward(bottom, [])
        assert len(read(path)["data"]) == rows


def test_any_other_file_is_refused_and_kept(path):
    layer = build("HDF5Output", file_name=str(path))
    bottom, _ = bind(layer, DATA, LABEL)
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match="out.h5: is not a file that minidl wrote"):
        layer.forward(bottom, [])
    assert path.read_bytes() == b"old"
    path.unlink()
    with h5py.File(path, "w") as file:
        file["data"] = file["label"] = file["years of work"] = np.arange(5)
    found = "is an HDF5 file of data, label, years of work; the new file is"
    with pytest.raises(UsageError, match=found):
        layer.forward(bottom, [])
    assert sorted(read(path)) == ["data", "label", "years of work"]


def test_wrong_bottoms_and_paths_are_refused(tmp_path):
    with pytest.raises(LayerConfigError, match="file_name is missing"):
        build("HDF5Output")
    layer = build("HDF5Output", file_name=str(tmp_path / "no" / "out.h5"))
    with pytest.raises(LayerConfigError, match="N rows each"):
        layer.top_shapes((3, 2), (4,))
    bottom, _ = bind(layer, DATA, LABEL)
    with pytest.raises(UsageError, match="HDF5Output layer 'layer': .*out.h5: cannot be written"):
        layer.forward(bottom, [])


NET = """
layer { name: "memory" type: "MemoryData" top: "x" top: "label"
  memory_data_param { batch_size: 3 channels: 2 height: 4 width: 5 } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "out" type: "HDF5Output" bottom: "ip" bottom: "label"
  hdf5_output_param { file_name: "OUT" } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def test_every_pass_of_a_gpu_is_written_too(path, gpu):
    """No pass is a CUDA graph then: a recorded one would not write."""
    with Net(NET.replace("OUT", str(path)), schema.TRAIN, device="cuda:0", seed=1) as net:
        net.set_input_arrays(np.concatenate([DATA, -DATA]), [0, 1, 2, 3, 2, 1])
        for _ in range(4):
            net.clear_param_diffs()
            net.training_pass()
        expected = net.device.to_host(net.blobs["ip"].data)
    found = read(path)
    np.testing.assert_array_equal(found["label"].ravel(), [0, 1, 2, 3, 2, 1] * 2)
    np.testing.assert_array_equal(found["data"][-3:, :, 0, 0], expected)
