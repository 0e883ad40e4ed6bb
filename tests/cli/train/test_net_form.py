"""Nets fitted to data sets of every kind: own ones, those of runs, DIGITS' all-in-one form."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minidl import preprocess, prototxt, schema
from minidl.cli import main
from minidl.data import described, lmdb_writer
from minidl.data.described import DataSet, Split
from minidl.prototxt.phases import filter_layers, net_state
from minidl.runs import job, store
from minidl.storage import weight_files

pytest.importorskip("lmdb", reason="lmdb is not installed")

RNG = np.random.default_rng(3)
NET = """
name: "own"
layer { name: "d" type: "Data" top: "data" top: "label" include { stage: "train" }
  transform_param { mirror: true } }
layer { name: "d" type: "Data" top: "data" top: "label" include { stage: "val" } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { weight_filler { type: "xavier" } } }
layer { name: "top5" type: "Accuracy" bottom: "ip" bottom: "label" top: "top5"
  accuracy_param { top_k: 5 } include { stage: "val" } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { stage: "val" } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
  exclude { stage: "deploy" } }
layer { name: "softmax" type: "Softmax" bottom: "ip" top: "softmax" include { stage: "deploy" } }
"""
DENOISE = """
name: "denoise"
layer { name: "in" type: "Data" top: "data" transform_param { scale: 0.00390625 } }
layer { name: "out" type: "Data" top: "label" transform_param { scale: 0.0078125 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 1 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "conv" bottom: "label" top: "loss" }
"""
SEGMENT = """
name: "segment"
layer { name: "in" type: "Data" top: "data" top: "label" transform_param { scale: 0.00390625 } }
layer { name: "score" type: "Convolution" bottom: "data" top: "score"
  convolution_param { num_output: 21 kernel_size: 2 stride: 2 weight_filler { type: "xavier" } } }
layer { name: "up" type: "Deconvolution" bottom: "score" top: "up" convolution_param {
  num_output: 21 group: 21 kernel_size: 2 stride: 2 weight_filler { type: "bilinear" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "up" bottom: "label" top: "loss" }
"""


def stored(path, count, classes=3, channels=1):
    labels = np.arange(count) % classes
    pictures = RNG.integers(0, 60, (count, channels, 8, 8)) + 60 * labels[:, None, None, None]
    lmdb_writer.write(Path(path), pictures.astype(np.uint8), labels)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder: nets, and the data set `d` whose stores are elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name, text in [("own", NET), ("denoise", DENOISE), ("segment", SEGMENT)]:
        (tmp_path / f"{name}.prototxt").write_text(text)
    stored("far/a", 24)
    stored("far/b", 9)
    os.mkdir("d")
    splits = {
        "train": Split(24, str(tmp_path / "far/a"), "lmdb", (8, 8, 8)),
        "val": Split(9, str(tmp_path / "far/b"), "lmdb", (3, 3, 3)),
    }
    described.write(
        "d",
        DataSet("classification", splits, "stores", (8, 8), 1, labels=("x", "y", "z"), mean=(70,)),
    )
    return tmp_path


def train(*words):
    return main(["train", "--epochs", "1", *words])


def net_of(run, phase=schema.TRAIN):
    return filter_layers(prototxt.read_net(f"{run}/train_val.prototxt"), net_state(phase))


def test_stores_are_used_where_they_are(folder, capsys):
    assert train("--net", "own.prototxt", "--data", "d", "--out", "run") == 0
    for phase, part in [(schema.TRAIN, "a"), (schema.TEST, "b")]:
        layer = net_of("run", phase).layer[0]
        assert layer.data_param.source == str(folder / "far" / part)
    found = preprocess.read("run/preprocess.json")
    assert (found.labels, found.channels) == (("x", "y", "z"), "gray")
    assert job.read("run").needs == {"data": "../d"}
    assert main(["train", "run/solver.prototxt", "-snapshot", "latest"]) == 0
    assert preprocess.read("run/preprocess.json").labels == ("x", "y", "z")


def test_names_of_the_data_set_count_before_those_beside_its_store(folder, capsys):
    theirs = preprocess.Preprocess(schema.TransformationParameter(), "gray", ("p", "q", "r"))
    theirs.write("far/preprocess.json")
    assert train("--net", "own.prototxt", "--data", "d", "--out", "run") == 0
    assert preprocess.read("run/preprocess.json").labels == ("x", "y", "z")


def test_a_net_of_all_stages_is_split_and_kept(capsys):
    assert train("--net", "own.prototxt", "--data", "d", "--out", "run") == 0
    assert Path("run/original.prototxt").read_text() == NET
    test = net_of("run", schema.TEST)
    assert [layer.name for layer in test.layer] == ["d", "conv", "ip", "accuracy", "loss"]
    assert test.layer[2].inner_product_param.num_output == 3  # it was open
    assert net_of("run").layer[0].transform_param.mirror
    assert not test.layer[0].transform_param.mirror


def test_a_stage_that_lacks_a_blob_is_refused_before_anything_is_written(folder, capsys):
    text = NET.replace('exclude { stage: "deploy" } }', "}")
    Path("own.prototxt").write_text(text)
    before = sorted(folder.rglob("*"))
    assert train("--net", "own.prototxt", "--data", "d") == 2
    assert 'which no layer before it makes in stage "deploy"' in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_the_look_of_a_record_is_as_the_flags_say(capsys):
    words = ["--net", "own.prototxt", "--data", "d", "--crop", "6", "--mean", "pixel"]
    assert train(*words, "--out", "run") == 0
    for phase in (schema.TRAIN, schema.TEST):
        t = net_of("run", phase).layer[0].transform_param
        assert (t.crop_size, list(t.mean_value)) == (6, [70])
    assert preprocess.read("run/preprocess.json").shape() == (1, 6, 6)
    assert train(*words[:-1], "image") == 2
    assert "has no mean.binaryproto" in capsys.readouterr().err
    Path("plain.prototxt").write_text(NET.replace("transform_param { mirror: true }", ""))
    words[1] = "plain.prototxt"
    for flags, mirror in [((), False), (("--mirror",), True)]:
        assert train(*words, *flags, "--out", f"run{mirror}") == 0
        assert net_of(f"run{mirror}").layer[0].transform_param.mirror == mirror
    assert train(*words[:-1], "none", "--out", "bare") == 0
    assert not net_of("bare").layer[0].transform_param.mean_value


def test_the_mean_image_is_that_of_the_data_set(folder, capsys):
    assert main(["compute_image_mean", "far/a", "d/mean.binaryproto"]) == 0
    words = ["--net", "own.prototxt", "--data", "d", "--mean", "image", "--out", "run"]
    assert train(*words) == 0
    assert net_of("run").layer[0].transform_param.mean_file == "d/mean.binaryproto"


def test_a_run_lends_its_net_and_its_weights(capsys):
    assert train("--net", "own.prototxt", "--data", "d", "--out", "first") == 0
    capsys.readouterr()
    assert train("--net", "first", "--data", "d", "--weights", "first", "--out", "second") == 0
    weights = str(store.latest_weights(Path("first")))
    assert capsys.readouterr().out.startswith(f"weights of {weights}: 2 layers\n")
    names = [layer.name for layer in weight_files.read(store.latest_weights(Path("second"))).layers]
    assert {"conv", "ip"} <= set(names)  # the same classes: nothing starts from scratch
    assert job.read("second").needs == {"data": "../d", "weights": "../first"}


def test_other_classes_start_from_scratch(folder, capsys):
    assert train("--net", "own.prototxt", "--data", "d", "--out", "first") == 0
    described.write("d", replace(described.read("d"), labels=("p", "q", "r")))
    capsys.readouterr()
    assert train("--net", "first", "--data", "d", "--weights", "first", "--out", "second") == 0
    assert "layer 'ip' is now 'ip_d'" in capsys.readouterr().out


def test_weights_of_a_run_are_taken_by_a_solver_file_too(run_folder, capsys):
    assert main(["train", "solver.prototxt"]) == 0
    words = ["--set", "max_iter=0", "--set", "snapshot_prefix=tuned/t", "-weights", "run"]
    assert main(["train", "solver.prototxt", *words]) == 0
    assert job.read("tuned").needs == {"weights": "../run"}


def test_a_net_for_use_learns_again_with_its_weights(folder, capsys):
    assert train("--net", "own.prototxt", "--data", "d", "--out", "first") == 0
    weights = str(store.latest_weights(Path("first")))
    os.mkdir("pets")
    Path("pets/deploy.prototxt").write_text("""
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
""")
    words = ["--net", "pets/deploy.prototxt", "--data", "d", "--weights", weights]
    assert train(*words) == 0
    assert "layer 'ip' is now 'ip_d'" in capsys.readouterr().out
    found = [layer.type for layer in net_of("runs/pets-d", schema.TEST).layer]
    assert found == ["Data", "Convolution", "InnerProduct", "Accuracy", "SoftmaxWithLoss"]


def test_weights_of_another_net_are_warned_of(capsys):
    assert train("--net", "own.prototxt", "--data", "d", "--out", "first") == 0
    text = NET.replace('"ip"', '"answer"').replace(
        'layer { name: "conv"',
        'layer { name: "more" type: "Convolution" bottom: "data" top: "data"'
        " convolution_param { num_output: 1 kernel_size: 1 } }"
        ' layer { name: "third" type: "Convolution" bottom: "data" top: "data"'
        " convolution_param { num_output: 1 kernel_size: 1 } }"
        ' layer { name: "conv"',
    )
    text = text.replace('bottom: "data" top: "data"', 'bottom: "data" top: "m"', 1)
    text = text.replace('bottom: "data" top: "data"', 'bottom: "m" top: "t"', 1)
    text = text.replace('bottom: "data" top: "conv"', 'bottom: "t" top: "conv"', 1)
    Path("other.prototxt").write_text(text)
    words = ["--net", "other.prototxt", "--data", "d", "--weights", "first", "--out", "second"]
    assert train(*words) == 0
    assert "most layers start from scratch" in capsys.readouterr().err


@pytest.fixture
def pairs(folder):
    """The data set `p` of pairs: noisy and clean pictures, or pictures and labels of pixels."""

    def write(**more):
        os.makedirs("p", exist_ok=True)
        for name, count in [("train", 16), ("val", 6)]:
            stored(f"p/{name}_lmdb", count)
            labels = RNG.integers(0, 4, (count, 1, 8, 8)).astype(np.uint8)
            lmdb_writer.write(Path(f"p/{name}_t_lmdb"), labels, np.zeros(count, int))
        splits = {
            "train": Split(16, "train_lmdb", target="train_t_lmdb"),
            "val": Split(6, "val_lmdb", target="val_t_lmdb"),
        }
        described.write("p", DataSet("pairs", splits, "", (8, 8), 1, **more))
        transform = schema.TransformationParameter(mean_value=[70])
        preprocess.Preprocess(transform, "gray", more.get("labels", ())).write("p/preprocess.json")

    return write


def test_pairs_of_pictures_go_to_two_data_layers(pairs, capsys):
    pairs(targets="image")
    assert train("--net", "denoise.prototxt", "--data", "p", "--out", "run") == 0
    for phase, part in [(schema.TRAIN, "train"), (schema.TEST, "val")]:
        first, second = net_of("run", phase).layer[:2]
        assert (first.name, second.name) == ("in", "out")
        assert first.data_param.source == f"p/{part}_lmdb"
        assert second.data_param.source == f"p/{part}_t_lmdb"
        assert first.data_param.shuffle == second.data_param.shuffle == (phase == schema.TRAIN)
        assert first.transform_param.scale == 1 / 256 and second.transform_param.scale == 1 / 128
        assert not first.transform_param.mean_value and not second.transform_param.mean_value
    out = capsys.readouterr().out
    assert "test loss = " in out and "classify with" not in out
    words = ["--net", "denoise.prototxt", "--data", "p", "--out", "run2", "--mean", "pixel"]
    described.write("p", replace(described.read("p"), mean=(70,)))
    assert train(*words) == 0
    first, second = net_of("run2").layer[:2]
    assert list(first.transform_param.mean_value) == [70]
    assert not second.transform_param.mean_value


def test_labels_of_pixels_are_taken_as_they_are(pairs, capsys):
    pairs(targets="classes", labels=tuple("wxyz"), ignore=3)
    assert train("--net", "segment.prototxt", "--data", "p", "--out", "run") == 0
    net = net_of("run")
    first, second = net.layer[:2]
    assert list(first.top) == ["data"] and list(second.top) == ["label"]
    assert first.transform_param.scale == 1 / 256 and not second.HasField("transform_param")
    by_name = {layer.name: layer for layer in net.layer}
    assert by_name["score"].convolution_param.num_output == 4
    up = by_name["up"].convolution_param
    assert (up.num_output, up.group) == (4, 4)
    assert by_name["loss"].loss_param.ignore_label == 3


def test_pairs_are_not_changed_each_in_its_own_way(pairs, capsys):
    pairs(targets="image")
    for flags in (["--mirror"], ["--crop", "6"]):
        assert train("--net", "denoise.prototxt", "--data", "p", *flags) == 2
        err = capsys.readouterr().err
        assert re.search(f"pairs of pictures, and {flags[0]} would", err)


def test_a_net_with_one_top_learns_from_the_first_pictures(pairs, capsys):
    pairs(targets="image")
    text = DENOISE.replace('bottom: "conv" bottom: "label"', 'bottom: "conv" bottom: "data"')
    text = re.sub(r"layer \{ name: \"out\".*\n", "", text)
    Path("auto.prototxt").write_text(text)
    assert train("--net", "auto.prototxt", "--data", "p", "--out", "run") == 0
    assert "it learns from the first" in capsys.readouterr().out
    assert [layer.type for layer in net_of("run").layer[:2]] == ["Data", "Convolution"]
    assert train("--net", "auto.prototxt", "--data", "d", "--out", "run2") == 0


def test_rows_of_hdf5_files_are_taken_by_their_names(folder, capsys):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    for part, count in [("a", 12), ("b", 6)]:
        with h5py.File(f"{part}.h5", "w") as file:
            file["data"] = RNG.random((count, 1, 8, 8), np.float32)
            file["label"] = (np.arange(count) % 3).astype(np.float32)
        Path(f"{part}.txt").write_text(f"{folder / part}.h5\n")
    splits = {
        "train": Split(12, str(folder / "a.txt"), "hdf5", (4, 4, 4)),
        "val": Split(6, str(folder / "b.txt"), "hdf5", (2, 2, 2)),
    }
    described.write("d", replace(described.read("d"), splits=splits))
    Path("own.prototxt").write_text(NET.replace("transform_param { mirror: true }", ""))
    assert train("--net", "own.prototxt", "--data", "d", "--out", "run") == 0
    layer = net_of("run").layer[0]
    assert (layer.type, layer.hdf5_data_param.source) == ("HDF5Data", str(folder / "a.txt"))
    assert train("--net", "own.prototxt", "--data", "d", "--mirror") == 2
    assert "rows of HDF5 files" in capsys.readouterr().err
