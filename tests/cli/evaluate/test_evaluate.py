"""minidl evaluate: a run on data with known answers, and the records behind its figures."""

import base64
import csv
import io
import json
import os
import re

import numpy as np
import pytest

import minidl
from minidl.cli import main
from minidl.data import lmdb_writer
from minidl.data.sources.lmdb import Lmdb
from minidl.runs import job

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
RNG = np.random.default_rng(8)
LABELS = ["cat", "dog", "=owl", "yak", "ant", "bee", "cow"]
NET = """
name: "seven"
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "data/train_lmdb" batch_size: 4 backend: LMDB shuffle: true }
  transform_param { scale: 0.01 mirror: true mean_value: 50 crop_size: 5 } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "data/val_lmdb" batch_size: 6 backend: LMDB }
  transform_param { scale: 0.01 mean_value: 50 crop_size: 5 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "first" type: "Accuracy" bottom: "ip" bottom: "label" top: "first"
  include { phase: TEST } }
layer { name: "five" type: "Accuracy" bottom: "ip" bottom: "label" top: "five"
  include { phase: TEST } accuracy_param { top_k: 5 } }
"""


def pictures(count):
    return RNG.integers(0, 256, (count, 3, 8, 7), np.uint8), np.arange(count) % 7


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """run/ with weights of two iterations, data/ with 24 records for validation."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "run/trained_net.prototxt").write_text(NET)
    for part, count in (("train", 9), ("val", 24)):
        lmdb_writer.write(tmp_path / f"data/{part}_lmdb", *pictures(count))
    with minidl.Net(NET, seed=3) as net:
        net.save("run/x_iter_20.caffemodel")
    with minidl.Net(NET, seed=4) as net:
        net.save("run/x_iter_5.caffemodel")
    os.utime("run/x_iter_5.caffemodel", (1, 1))
    described = minidl.preprocess.of_net(minidl.prototxt.read_net(NET))
    minidl.preprocess.Preprocess(described.transform, "BGR", tuple(LABELS)).write(
        "run/preprocess.json"
    )
    return tmp_path


def expected(weights="run/x_iter_20.caffemodel", batches=4, source="data/val_lmdb"):
    """Labels and scores of the validation part, by the net itself."""
    text = NET.replace("data/val_lmdb", source)
    with minidl.Net(text, minidl.TEST, weights=weights) as net:
        found = []
        for _ in range(batches):
            net.forward()
            found.append((net.blobs["label"].data.astype(int), net.blobs["ip"].data.astype("f8")))
    labels, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    return labels, scores


def evaluated(*words):
    assert main(["evaluate", "run", "--out", "e", *words]) == 0
    with open("e/evaluation.json") as file:
        return json.load(file)


def asked(capsys, *words):
    capsys.readouterr()
    assert main(["evaluate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_figures_are_those_of_minidl_test(folder, capsys):
    facts = evaluated()
    capsys.readouterr()
    words = ["run/trained_net.prototxt", "-weights", "run/x_iter_20.caffemodel"]
    assert main(["test", *words, "-iterations", "4", "--json", "--minloglevel", "3"]) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert round(facts["top1"] * 24) == round(outputs["first"] * 24)
    assert facts["top1"] == pytest.approx(outputs["first"], abs=1e-7)
    assert facts["top5"] == pytest.approx(outputs["five"], abs=1e-7)
    assert facts["loss"] == pytest.approx(outputs["loss"], rel=1e-6)
    assert (facts["split"], facts["records"], facts["iter"]) == ("val", 24, 20)
    assert facts["labels"] == LABELS


def test_figures_follow_their_definitions(folder):
    facts = evaluated()
    labels, scores = expected()
    answers, matrix = scores.argmax(axis=1), np.zeros((7, 7), int)
    for truth, answer in zip(labels, answers, strict=True):
        matrix[truth, answer] += 1
    assert facts["confusion"] == matrix.tolist()
    with open("e/confusion.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["truth", "cat", "dog", "'=owl", *LABELS[3:]]
    assert [[int(n) for n in row[1:]] for row in rows[1:]] == matrix.tolist()
    for number, found in enumerate(facts["per_class"]):
        assert found["records"] == (labels == number).sum()
        assert found["right"] == matrix[number, number]


def test_a_row_for_each_record_even_where_the_last_batch_begins_again(folder):
    lmdb_writer.write(folder / "data/test_lmdb", *pictures(10))
    facts = evaluated("--split", "test", "--scores")
    labels, scores = expected(source="data/test_lmdb", batches=2)
    assert facts["records"] == 10 and facts["split"] == "test"
    np.testing.assert_allclose(np.load("e/scores.npy"), scores[:10], rtol=1e-5)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    with open("e/predictions.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == [str(i) for i in range(10)]
    names = [LABELS[n] if n != 2 else "'=owl" for n in range(7)]
    for row, truth, share in zip(rows, labels, shares, strict=False):
        order = np.argsort(-share)
        assert row["truth"] == names[truth]
        assert row["predicted"] == names[order[0]] and row["fifth"] == names[order[4]]
        assert float(row["score"]) == pytest.approx(share[order[0]], abs=1e-6)
        assert float(row["loss"]) == pytest.approx(-np.log(share[truth]), abs=1e-5)


def test_records_come_in_order_where_tests_shuffle(folder, capsys):
    evaluated()
    text = NET.replace("batch_size: 6 backend: LMDB", "batch_size: 6 backend: LMDB shuffle: true")
    (folder / "run/trained_net.prototxt").write_text(text)
    assert main(["evaluate", "run", "--out", "again"]) == 0
    for name in ("predictions.csv", "confusion.csv"):
        assert (folder / "again" / name).read_text() == (folder / "e" / name).read_text()


def test_the_weights_of_an_iteration(folder, capsys):
    facts = evaluated("--snapshot", "5")
    labels, scores = expected("run/x_iter_5.caffemodel")
    assert facts["iter"] == 5
    assert facts["top1"] == (scores.argmax(axis=1) == labels).mean()
    assert main(["evaluate", "run", "--out", "f", "--snapshot", "6"]) == 2
    assert "no weights of iteration 6\n  expected: 5, 20" in capsys.readouterr().err
    assert not os.path.exists("f")


def test_on_a_gpu_the_figures_are_the_same(folder, gpu):
    evaluated("--gpu", "0")
    labels, scores = expected()
    with open("e/evaluation.json") as file:
        facts = json.load(file)
    assert facts["top1"] == (scores.argmax(axis=1) == labels).mean()


def test_the_first_records_only(folder):
    facts = evaluated("--count", "8", "--split", "train")
    labels, scores = expected(source="data/train_lmdb", batches=2)
    assert facts["records"] == 8
    assert facts["top1"] == (scores.argmax(axis=1) == labels)[:8].mean()


def test_where_no_part_is_for_validation_it_is_what_the_run_was_tested_on(folder):
    os.rename("data/val_lmdb", "data/test_lmdb")
    text = NET.replace("data/val_lmdb", "data/test_lmdb")
    (folder / "run/trained_net.prototxt").write_text(text)
    facts = evaluated("--split", "val")
    assert (facts["split"], facts["records"]) == ("test", 24)


def test_the_folder_is_a_job(folder):
    evaluated()
    found, status = job.read("e"), job.status("e")
    assert found.kind == "evaluate" and found.needs == {"run": "../run"}
    assert (job.state(status), status.done, status.total) == ("done", 24, 24)


def test_an_evaluation_is_not_replaced_unless_asked(folder, capsys):
    evaluated()
    assert main(["evaluate", "run", "--out", "e"]) == 2
    assert "holds an evaluation already" in capsys.readouterr().err
    assert job.state(job.status("e")) == "done"
    assert evaluated("--force", "--count", "3")["records"] == 3


# ---------------------------------------------------------------------- pictures in files


def test_listed_pictures_are_seen_as_in_validation(folder):
    """A crop is cut out of the middle, not made of the whole picture by resizing it."""
    pixels, labels = pictures(9)
    lmdb_writer.write(folder / "data/test_lmdb", pixels, labels)
    for i, picture in enumerate(pixels):
        Image.fromarray(picture[::-1].transpose(1, 2, 0)).save(f"{i}.png")
    text = "".join(f"{i}.png {label}\n" for i, label in enumerate(labels))
    (folder / "list.txt").write_text(text + "gone.png 1\nbad.png 2\n")
    (folder / "bad.png").write_text("no picture")
    stored = evaluated("--split", "test")
    assert main(["evaluate", "run", "--out", "l", "--list", "list.txt"]) == 0
    with open("l/evaluation.json") as file:
        facts = json.load(file)
    for name in ("records", "top1", "top5", "confusion"):
        assert facts[name] == stored[name]
    assert facts["loss"] == pytest.approx(stored["loss"], rel=1e-5)
    assert [text.split(":")[0] for text in facts["left_out"]] == ["gone.png", "bad.png"]


def test_a_folder_for_each_class(folder, capsys):
    for i, label in enumerate(["cat", "dog", "dog", "elk"]):
        (folder / "shown" / label).mkdir(parents=True, exist_ok=True)
        picture = RNG.integers(0, 256, (8, 7, 3), np.uint8)
        Image.fromarray(picture).save(f"shown/{label}/{i}.png")
    facts = evaluated("--folder", "shown")
    assert "no class is called 'elk': its pictures do not count" in capsys.readouterr().err
    assert (facts["records"], facts["labelled"]) == (4, 3)  # nothing is called elk
    assert [row["records"] for row in facts["per_class"]] == [1, 2, 0, 0, 0, 0, 0]


def test_pictures_without_labels_have_answers_but_no_figures(folder):
    Image.fromarray(RNG.integers(0, 256, (8, 7, 3), np.uint8)).save("a b.png")
    (folder / "list.txt").write_text("a b.png\n")
    facts = evaluated("--list", "list.txt")
    assert facts["records"] == 1 and facts["labelled"] == 0
    assert facts["top1"] is facts["confusion"] is facts["per_class"] is None
    with open("e/predictions.csv") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "a b.png" and row["truth"] == row["loss"] == ""


# ---------------------------------------------------------------------- questions


def test_the_records_of_a_cell(folder, capsys):
    evaluated()
    labels, scores = expected()
    answers = scores.argmax(axis=1)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth, answer = labels[0], answers[0]
    words = ["show", "e", "--truth", str(truth), "--predicted", LABELS[answer]]
    found = asked(capsys, *words, "--sort", "confident")
    own = [i for i in range(24) if labels[i] == truth and answers[i] == answer]
    own.sort(key=lambda i: -shares[i].max())
    assert found["total"] == len(own)
    assert [item["index"] for item in found["items"]] == own
    assert found["items"][0]["truth"] == LABELS[truth]
    assert found["items"][0]["predicted"] == LABELS[answer]


def test_the_worst_and_the_surest_errors_page_by_page(folder, capsys):
    evaluated()
    labels, scores = expected()
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    losses = -np.log(shares[np.arange(24), labels])
    worst = np.argsort(-losses).tolist()
    found = asked(capsys, "show", "e", "--worst", "3", "--offset", "2")
    assert [item["index"] for item in found["items"]] == worst[2:5]
    assert (found["total"], found["offset"]) == (24, 2)
    wrong = [i for i in np.argsort(-shares.max(axis=1)) if scores[i].argmax() != labels[i]]
    words = ["show", "e", "--wrong", "--sort", "confident", "--count", "4", "--thumb", "0"]
    found = asked(capsys, *words)
    assert [item["index"] for item in found["items"]] == wrong[:4]
    assert found["total"] == len(wrong) and "png" not in found["items"][0]
    assert asked(capsys, "show", "e", "--right")["total"] == 24 - len(wrong)


def test_the_best_of_each_class(folder, capsys):
    evaluated()
    _, scores = expected()
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    best = []
    for number in range(7):
        own = [i for i in range(24) if scores[i].argmax() == number]
        best += sorted(own, key=lambda i: -shares[i, number])[:2]
    found = asked(capsys, "show", "e", "--best-per-class", "2")
    assert [item["index"] for item in found["items"]] == best


def shown(item):
    with Image.open(io.BytesIO(base64.b64decode(item["png"]))) as picture:
        return np.asarray(picture)


def test_pictures_of_records_by_number(folder, capsys):
    evaluated()
    pixels = Lmdb(folder / "data/val_lmdb")
    found = asked(capsys, "thumbs", "e", "--indices", "7,2")
    for item, number in zip(found["items"], (7, 2), strict=True):
        assert item["index"] == number and item["size"] == [8, 7]
        picture = pixels[number].image[::-1].transpose(1, 2, 0)
        np.testing.assert_array_equal(shown(item), picture)
    small = asked(capsys, "thumbs", "e", "--indices", "2", "--thumb", "4")["items"][0]
    assert max(shown(small).shape[:2]) == 4 and small["size"] == [8, 7]
    lmdb_writer.write(folder / "data/val_lmdb", *pictures(3))
    here, gone = asked(capsys, "thumbs", "e", "--indices", "2,3")["items"]
    assert here["png"] and gone["png"] is None and "another record 3" in gone["why_not"]
    os.rename("data", "elsewhere")
    gone = asked(capsys, "thumbs", "e", "--indices", "2")["items"][0]
    assert gone["png"] is None and "no such data set" in gone["why_not"]


def test_a_table_for_people(folder, capsys):
    evaluated()
    capsys.readouterr()
    assert main(["evaluate", "show", "e", "--count", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["index", "name", "truth", "predicted", "score", "loss"]
    assert [line.split()[0] for line in lines[2:4]] == ["0", "1"] and lines[-1] == "2 of 24"


REFUSED = {
    "where": (["run"], "where to write"),
    "no run": (["nowhere", "--out", "f"], "nowhere: there is no such folder"),
    "no part": (["run", "--out", "f", "--split", "test"], "no part 'test'\n  expected: train, val"),
    "no data": (["run", "--out", "f", "--data", "gone"], "gone: there is no such folder"),
    "list": (["run", "--out", "f", "--list", "gone.txt"], "gone.txt: cannot be read"),
    "folder": (["run", "--out", "f", "--folder", "gone"], "gone: there is no such folder"),
    "two": (["run", "--out", "f", "--folder", "a", "--split", "val"], "not allowed with"),
    "class number": (["run", "--out", "f", "--list", "high.txt"], "of class 7\n  expected: 0 to 6"),
    "words": (["run", "more", "--out", "f"], "unexpected argument 'more'"),
    "no evaluation": (["show", "run"], "holds no evaluation.json"),
    "no class": (["show", "e", "--truth", "cta"], "no class 'cta'(.|\n)*'cat'"),
    "high": (["show", "e", "--truth", "7"], "no class '7'"),
    "no record": (["thumbs", "e", "--indices", "3,24"], "no record 24\n  expected: 0 to 23"),
    "which": (["thumbs", "e"], "required: --indices"),
    "numbers": (["thumbs", "e", "--indices", "x"], "not numbers such as"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, folder, capsys):

    (folder / "high.txt").write_text("a.png 7\n")
    evaluated()
    capsys.readouterr()
    assert main(["evaluate", *words]) == 2
    assert re.search(message, capsys.readouterr().err)
