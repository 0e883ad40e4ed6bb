"""minidl train --net NET --data FOLDER: what is written, what it learns, what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import preprocess, prototxt
from minidl.cli import main, zoo
from minidl.runs import job
from minidl.storage import weight_files

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("lmdb", reason="lmdb is not installed")

RNG = np.random.default_rng(6)
SMALL = """
name: "small"
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { mirror: true crop_size: 6 } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 9 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder with small.prototxt and pictures/: dark, middling and light ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.prototxt").write_text(SMALL)
    for k, name in enumerate(["dark", "light", "middling"]):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        grey = (20, 200, 110)[k]
        for i in range(12):
            pixels = RNG.integers(grey, grey + 40, (7, 8), np.uint8)
            image.fromarray(pixels).save(f"pictures/{name}/{i}.png")
    return tmp_path


def dataset(*words):
    assert main(["dataset", "folder", "pictures", *words]) == 0


def train(*words):
    return main(["train", "--net", "small.prototxt", "--data", "data/pictures", *words])


def test_two_commands_lead_from_pictures_to_a_prediction(capsys, folder):
    words = ["--data", "pictures", "--epochs", "15", "--out", "run", "--set", "base_lr=0.001"]
    (folder / "tiny.prototxt").write_text(SMALL.replace(" crop_size: 6", ""))
    assert main(["train", "--net", "tiny.prototxt", *words]) == 0
    out = capsys.readouterr().out
    assert "net     run/train_val.prototxt\nsolver  run/solver.prototxt\n" in out
    assert "classify with: minidl classify PICTURE --run run" in out
    image.fromarray(np.full((30, 40), 220, np.uint8)).save("new.png")
    assert main(["classify", "new.png", "--run", "run", "--top", "1"]) == 0
    assert re.fullmatch(r"new\.png  [01]\.\d{4}  light\n", capsys.readouterr().out)


def test_the_nets_data_layers_do_what_the_description_says():
    dataset("--size", "8")
    assert train("--epochs", "1", "--out", "run") == 0
    net = prototxt.read_net("run/train_val.prototxt")
    first, test = net.layer[:2]
    for layer, part, mirror in [(first, "train", True), (test, "val", False)]:
        t = layer.transform_param
        assert layer.data_param.source == f"data/pictures/{part}_lmdb"
        assert (t.crop_size, t.resize.height, t.mirror) == (6, 8, mirror)
        assert len(t.mean_value) == 1
    assert first.data_param.shuffle and not test.data_param.shuffle
    head = next(x for x in net.layer if x.name == "ip")
    assert head.inner_product_param.num_output == 3
    found = preprocess.read("run/preprocess.json")
    assert found.labels == ("dark", "light", "middling") and found.shape() == (1, 6, 6)
    assert found.transform == preprocess.of_net(net).transform


def test_the_solver_counts_in_epochs():
    dataset("--val", "50")
    assert train("--epochs", "7", "--batch-size", "5", "--out", "run", "--seed", "3") == 0
    solver = prototxt.read_solver("run/solver.prototxt")
    assert solver.max_iter == 7 * 4  # 18 pictures are four batches of 5
    assert solver.test_iter[0] * 9 == 18 or solver.test_iter[0] * 18 == 18  # each of them once
    assert solver.test_interval == 4 and solver.random_seed == 3
    with minidl.Net("run/trained_net.prototxt", minidl.TEST) as net:
        assert net.blobs["data"].shape[0] * solver.test_iter[0] == 18


def test_runs_are_counted_up_and_never_written_over(capsys):
    dataset()
    for name in ("small-pictures", "small-pictures-2"):
        assert train("--epochs", "1") == 0
        assert f"runs/{name}/solver.prototxt" in capsys.readouterr().out
    assert train("--epochs", "1", "--out", "runs/small-pictures") == 2
    assert "holds a run already" in capsys.readouterr().err


def test_fine_tuning_takes_all_but_the_last_layer(capsys):
    dataset()
    assert train("--epochs", "1", "--out", "first") == 0
    capsys.readouterr()
    weights = str(minidl.runs.store.find("first").weights)
    words = ["--weights", weights, "--freeze-until", "conv", "--epochs", "2", "--out", "second"]
    assert train(*words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == [
        "layer 'ip' is now 'ip_pictures': it starts from scratch, at 10 times the rate",
        f"weights of {weights}: 1 layer",
        "frozen: conv",
    ]
    before, after = (
        {x.name: x.blobs for x in weight_files.read(w).layers if x.blobs}
        for w in (weights, minidl.runs.store.find("second").weights)
    )
    for old, new in zip(before["conv"], after["conv"], strict=True):
        np.testing.assert_array_equal(old, new)
    assert set(after) == {"conv", "ip_pictures"}
    assert prototxt.read_solver("second/solver.prototxt").base_lr == pytest.approx(0.001)


def test_every_net_of_the_zoo_that_tells_classes_apart_has_its_name():
    assert {"lenet", "alexnet", "squeezenet", "googlenet", "resnet18"} <= set(zoo.known())
    assert "autoencoder" not in zoo.known()
    for name in zoo.known():
        model = zoo.find(name)
        assert model.size and model.net.layer and model.solver.base_lr > 0


REFUSED = {
    "no data": (["--net", "lenet"], "--net is given without --data"),
    "no net": (["--data", "x"], "--data is given without --net"),
    "nothing": ([], "which solver"),
    "both": (["s.prototxt", "--net", "lenet", "--data", "x"], "exclude each other"),
    "a misspelt net": (["--net", "lennet", "--data", "pictures"], "did you mean 'lenet'"),
    "going on": (["--net", "lenet", "--data", "x", "--snapshot", "latest"], "starts a new run"),
    "frozen": (["--net", "lenet", "--data", "x", "--freeze-until", "a"], "needs --weights"),
    "for nets": (["s.prototxt", "--batch-size", "3"], "--batch-size needs --net"),
    "size": (
        ["--net", "alexnet", "--data", "data/pictures"],
        r"pictures of 7 x 8, and alexnet takes at least 227(.|\n)*--size 256",
    ),
    "no pictures": (["--net", "lenet", "--data", "nowhere"], "nowhere: there is no such folder"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, capsys, folder):
    dataset()
    capsys.readouterr()
    assert main(["train", *words]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert not (folder / "runs").exists()


def test_a_folder_that_waits_says_at_once_what_became_of_it(capsys):
    """A page makes it, with what was asked for, before the command runs."""
    for name in ("runs/good", "runs/bad"):
        Path(name).mkdir(parents=True)
        job.write(name, job.Job("train", name="my run", form={"epochs": 1}))
        job.write_status(name, job.Status(job.WAITING))
    words = ["--data", "pictures", "--epochs", "1", "--out"]
    assert main(["train", "--net", "small.prototxt", *words, "runs/good"]) == 0
    made = job.read("runs/good")
    assert (made.name, made.form) == ("my run", {"epochs": 1})
    assert made.needs == {"data": "data"}  # that was made of the pictures, in the run's folder
    assert [s for s, _ in job.status("runs/good").history] == ["running", "done"]
    Path("small.prototxt").write_text("layer {")
    assert main(["train", "--net", "small.prototxt", *words, "runs/bad"]) == 2
    found = job.status("runs/bad")
    assert found.state == "failed" and "small.prototxt" in found.error["message"]


def test_a_new_run_goes_on_with_its_own_words(capsys, monkeypatch):
    from minidl.cli.train import watch

    class Stop(watch.Summary):
        def on_step(self, solver):
            super().on_step(solver)
            if solver.iter == 4:  # after the snapshot of the first epoch
                raise KeyboardInterrupt

    words = ["train", "--net", "small.prototxt", "--data", "pictures", "--out", "run"]
    words += ["--epochs", "4", "--snapshot-every", "1", "--batch-size", "13", "--crop", "5"]
    with monkeypatch.context() as patch:
        patch.setattr(watch, "Summary", Stop)
        assert main(words) == 130
    assert job.status("run").state == "stopped"
    assert main(["train", "--resume", "run"]) == 0
    found = job.read("run")
    assert list(found.argv) == words and found.needs == {"data": "data"}
    assert Path("run/run_iter_12.caffemodel").is_file()
    # the same bits as of one that was never broken off
    words[6] = "whole"
    assert main(words) == 0
    one, other = (weight_files.read(f"{n}/{n}_iter_12.caffemodel").layers for n in ("run", "whole"))
    for a, b in zip(one, other, strict=True):
        for mine, theirs in zip(a.blobs, b.blobs, strict=True):
            np.testing.assert_array_equal(mine, theirs)
