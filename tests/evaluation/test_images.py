"""Nets that answer with pictures: denoising with a second store of targets, and an autoencoder."""

import json

import numpy as np
import pytest

import minidl
from minidl.data import lmdb_writer
from minidl.evaluation import kept
from minidl.evaluation.items import Choice, Evaluation
from tests.evaluation.support import evaluated, make_run

RNG = np.random.default_rng(6)
CLEAN = RNG.integers(0, 256, (7, 3, 6, 5)).astype(np.uint8)
NOISY = np.clip(CLEAN + RNG.normal(0, 20, CLEAN.shape), 0, 255).astype(np.uint8)

DENOISER = """
name: "denoiser"
layer { name: "x" type: "Data" top: "noisy" include { phase: TEST }
  transform_param { scale: 0.01 mean_value: 100 mean_value: 110 mean_value: 120 }
  data_param { source: "data/val_lmdb" batch_size: 3 backend: LMDB } }
layer { name: "y" type: "Data" top: "clean" include { phase: TEST }
  transform_param { scale: 0.02 mean_value: 90 }
  data_param { source: "data/val_target_lmdb" batch_size: 3 backend: LMDB } }
layer { name: "c" type: "Convolution" bottom: "noisy" top: "c" convolution_param {
  num_output: 3 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "c" bottom: "clean" top: "loss" }
"""


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name, images in (("val", NOISY), ("val_target", CLEAN)):
        lmdb_writer.write(tmp_path / f"data/{name}_lmdb", images, np.zeros(len(images), int))
    return tmp_path


def outputs():
    """What the denoiser makes of the noisy pictures, in pixels, by hand."""
    with minidl.Net(DENOISER, minidl.TEST, weights="run/x_iter_7.caffemodel") as net:
        found = []
        for _ in range(3):
            net.forward()
            found.append(net.blobs["c"].data.copy())
    return np.concatenate(found)[:7].astype("f8") / 0.02 + 90


def psnr_by_definition(picture, target):
    error = np.mean((picture.astype("f8") - target) ** 2)
    return 10 * np.log10(255**2 / error)


def test_psnr_of_outputs_and_of_inputs_in_pixels(data):
    make_run(data, DENOISER)
    facts = evaluated(data / "run", data / "e")
    expected = [psnr_by_definition(o, c) for o, c in zip(outputs(), CLEAN, strict=True)]
    before = [psnr_by_definition(n, c) for n, c in zip(NOISY, CLEAN, strict=True)]
    assert facts["task"] == "pairs" and facts["records"] == 7 and facts["labels"] == []
    assert facts["psnr"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert facts["input_psnr"] == pytest.approx(np.mean(before), abs=1e-3)
    found = Evaluation(data / "e").items(Choice(sort="loss", count=3), None)["items"]
    assert [item["index"] for item in found] == np.argsort(expected)[:3].tolist()
    assert found[0]["psnr"] == pytest.approx(min(expected), abs=1e-3)
    rows = (data / "e/predictions.csv").read_text().splitlines()
    assert rows[0] == "index,name,psnr,input_psnr,loss" and len(rows) == 8


def test_pictures_are_kept_as_pixels(data):
    make_run(data, DENOISER)
    evaluated(data / "run", data / "e")
    np.testing.assert_array_equal(np.load("e/inputs.npy"), NOISY)
    np.testing.assert_array_equal(np.load("e/targets.npy"), CLEAN)
    expected = np.clip(np.rint(outputs()), 0, 255)
    assert np.abs(np.load("e/outputs.npy").astype(int) - expected).max() <= 1
    (item,) = Evaluation(data / "e").items(Choice(indices=(4,)))["items"]
    assert item["png"] and item["output_png"] and item["target_png"]
    assert item["size"] == [6, 5]


def test_where_they_take_too_much_room_those_of_the_first_records_are_kept(data, monkeypatch):
    make_run(data, DENOISER)
    monkeypatch.setattr(kept, "MOST", 3 * 5 * 3 * 6 * 5 + 2)
    assert evaluated(data / "run", data / "e")["kept"] == 5
    assert len(np.load("e/outputs.npy")) == 5
    last, first = Evaluation(data / "e").items(Choice(indices=(5, 4)))["items"]
    assert last["png"] is None and "first 5 only" in last["why_not"]
    assert first["output_png"]


def test_a_part_of_a_data_set_of_pairs_has_two_stores(data):
    """dataset.json names them; the other part holds the records the other way around."""
    for name, images in (("in", NOISY[::-1]), ("out", CLEAN[::-1])):
        lmdb_writer.write(data / f"data/{name}", images, np.zeros(len(images), int))
    split = {"records": 7, "store": "in", "target": "out"}
    text = {"format": "minidl dataset 1", "task": "pairs", "splits": {"test": split}}
    (data / "data/dataset.json").write_text(json.dumps(text))
    make_run(data, DENOISER)
    own, other = (evaluated(data / "run", data / n, split=n) for n in ("val", "test"))
    assert other["split"] == "test"
    assert other["psnr"] == pytest.approx(own["psnr"], abs=1e-5)
    np.testing.assert_array_equal(np.load("test/targets.npy"), CLEAN[::-1])


AUTOENCODER = """
name: "auto"
layer { name: "x" type: "Data" top: "data" include { phase: TEST }
  transform_param { scale: 0.0039215684 }
  data_param { source: "data/grey_lmdb" batch_size: 3 backend: LMDB } }
layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" }
layer { name: "ip" type: "InnerProduct" bottom: "flat" top: "ip"
  inner_product_param { num_output: 30 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "ip" bottom: "flat" top: "loss" }
layer { name: "s" type: "Sigmoid" bottom: "ip" top: "s" }
layer { name: "l2" type: "EuclideanLoss" bottom: "s" bottom: "flat" top: "l2" loss_weight: 0 }
"""


def test_an_autoencoder_is_measured_by_its_input(data):
    grey = CLEAN[:, :1]
    lmdb_writer.write(data / "data/grey_lmdb", grey, np.zeros(7, int))
    make_run(data, AUTOENCODER)
    facts = evaluated(data / "run", data / "e")
    with minidl.Net(AUTOENCODER, minidl.TEST, weights="run/x_iter_7.caffemodel") as net:
        found = []
        for _ in range(3):
            net.forward()
            found.append(net.blobs["s"].data.copy())
    pixels = np.concatenate(found)[:7].reshape(7, 1, 6, 5).astype("f8") * 255
    expected = [psnr_by_definition(o, c) for o, c in zip(pixels, grey, strict=True)]
    assert facts["psnr"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert facts["input_psnr"] is None
    assert not (data / "e/targets.npy").exists()
    np.testing.assert_array_equal(np.load("e/inputs.npy"), grey)


def test_a_denoiser_on_pictures_in_files_has_no_targets(data):
    """What comes out is in the target's scale, not in the input's."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    make_run(data, DENOISER)
    for i, picture in enumerate(NOISY):
        image.fromarray(picture[::-1].transpose(1, 2, 0)).save(f"{i}.png")
    named = [minidl.evaluation.sources.Named(f"{i}.png") for i in range(7)]
    facts = evaluated(data / "run", data / "e", pictures=named, called="list")
    assert facts["psnr"] is None and facts["loss"] is None
    expected = np.clip(np.rint(outputs()), 0, 255)
    assert np.abs(np.load("e/outputs.npy").astype(int) - expected).max() <= 1
    assert not (data / "e/targets.npy").exists()


def test_an_autoencoder_on_pictures_in_files(data):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    grey = CLEAN[:, :1]
    lmdb_writer.write(data / "data/grey_lmdb", grey, np.zeros(7, int))
    make_run(data, AUTOENCODER)
    for i, picture in enumerate(grey):
        image.fromarray(picture[0]).save(f"{i}.png")
    named = [minidl.evaluation.sources.Named(f"{i}.png") for i in range(7)]
    stored = evaluated(data / "run", data / "e")
    facts = evaluated(data / "run", data / "f", pictures=named, called="list")
    assert facts["psnr"] == pytest.approx(stored["psnr"], abs=1e-4)


ROWS = """
name: "rows"
layer { name: "r" type: "HDF5Data" top: "noisy" top: "clean" include { phase: TEST }
  hdf5_data_param { source: "data/val.txt" batch_size: 3 } }
layer { name: "c" type: "Convolution" bottom: "noisy" top: "c" convolution_param {
  num_output: 3 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "c" bottom: "clean" top: "loss" }
"""


@pytest.mark.parametrize("peak", [1, 255])
def test_arrays_from_0_to_1_are_stretched_to_pixels(data, peak):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    noisy, clean = (x.astype("f4") / 255 * peak for x in (NOISY, CLEAN))
    with h5py.File("data/val.h5", "w") as file:
        file["noisy"], file["clean"] = noisy, clean
    (data / "data/val.txt").write_text("data/val.h5\n")
    make_run(data, ROWS, description=False)
    facts = evaluated(data / "run", data / "e")
    with minidl.Net(ROWS, minidl.TEST, weights="run/x_iter_7.caffemodel") as net:
        found = []
        for _ in range(3):
            net.forward()
            found.append(net.blobs["c"].data.copy())
    made = np.concatenate(found)[:7].astype("f8")
    errors = ((made - clean) ** 2).reshape(7, -1).mean(axis=1)
    assert facts["psnr"] == pytest.approx(np.mean(10 * np.log10(peak**2 / errors)), abs=1e-3)
    np.testing.assert_array_equal(np.load("e/targets.npy"), CLEAN)
