"""minidl train --net ... --plan: what a run would be, in numbers, and nothing written."""

import json

import numpy as np
import pytest

from minidl.cli import main
from minidl.data import lmdb_writer
from minidl.preprocess import Preprocess
from minidl.schema import TransformationParameter

pytest.importorskip("lmdb", reason="lmdb is not installed")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder with a data set of 200 and 50 pictures of 28 x 28."""
    monkeypatch.chdir(tmp_path)
    for part, count in [("train", 200), ("val", 50)]:
        pictures = np.zeros((count, 1, 28, 28), np.uint8)
        lmdb_writer.write(tmp_path / "d" / f"{part}_lmdb", pictures, np.arange(count) % 4)
    Preprocess(TransformationParameter(), "gray", tuple("abcd")).write("d/preprocess.json")
    return tmp_path


def plan(capsys, *words):
    assert main(["train", "--net", "lenet", "--data", "d", "--plan", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_plan_has_the_numbers_of_the_run(capsys, folder):
    before = sorted(folder.rglob("*"))
    form = "--epochs 10 --batch-size 10 --accumulate 2 --rate 0.1 --policy step:50,0.5"
    found = plan(capsys, *form.split(), "--test-every", "2", "--solver-type", "nesterov")
    assert sorted(folder.rglob("*")) == before
    solver, rates, net = found.pop("solver"), found.pop("rates"), found.pop("net")
    assert "d/train_lmdb" in net and "num_output: 4" in net  # the data set's source and classes
    assert found == {
        "records": {"train": 200, "val": 50},
        "classes": 4,
        "epoch_iters": 10,
        "batch_size": 10,
        "test_batch_size": 50,
        "tested_on": "val",
        "max_iter": 100,
        "notes": [],
    }
    assert solver == {
        "test_iter": [1],
        "test_interval": 20,
        "base_lr": 0.1,
        "display": 1,
        "max_iter": 100,
        "lr_policy": "step",
        "gamma": 0.5,
        "momentum": 0.9,
        "weight_decay": 0.001,
        "stepsize": 50,
        "snapshot": 20,
        "random_seed": 1,
        "iter_size": 2,
        "type": "Nesterov",
    }
    assert rates == [0.1] * 50 + [0.05] * 50 + [0.025]


def test_settings_count_in_the_plan_and_are_checked(capsys):
    found = plan(capsys, "--set", "warmup_iter=60", "--set", "max_iter=120")
    assert found["solver"]["max_iter"] == 120 and found["rates"][0] == 0
    assert main(["train", "--net", "lenet", "--data", "d", "--plan", "--set", "momentum=7"]) == 2
    assert "momentum is 7" in capsys.readouterr().err


def test_a_plan_in_words(capsys):
    assert main(["train", "--net", "lenet", "--data", "d", "--plan", "--epochs", "2"]) == 0
    out = capsys.readouterr().out
    assert "records      train 200, val 50; 4 classes\n" in out
    assert "epoch        4 iterations\n" in out and "max_iter     8\n" in out
    assert "rates        0.01, " in out


def test_pictures_are_not_counted_before_there_is_a_data_set(capsys, folder):
    (folder / "pictures").mkdir()
    assert main(["train", "--net", "lenet", "--data", "pictures", "--plan"]) == 2
    assert "fix: minidl dataset folder pictures" in capsys.readouterr().err


def test_json_is_for_plans(capsys):
    assert main(["train", "--net", "lenet", "--data", "d", "--json"]) == 2
    assert "--json needs --plan" in capsys.readouterr().err
