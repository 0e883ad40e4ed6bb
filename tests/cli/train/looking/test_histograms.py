"""histograms.jsonl: what a line holds, where it lies, and that the run is the same without it."""

import json
from pathlib import Path

import numpy as np
import pytest

from minidl.cli import main
from minidl.cli.train.looking.every import Every
from minidl.storage import weight_files


@pytest.fixture(params=[(), ("-gpu", "0")], ids=["cpu", "gpu"])
def train(request):
    """`minidl train` on the CPU, and on a fake GPU."""
    if request.param:
        request.getfixturevalue("gpu")
    return lambda *words: main(["train", "solver.prototxt", *words, *request.param])


def lines():
    return [json.loads(line) for line in Path("run/histograms.jsonl").read_text().splitlines()]


def events(kind):
    found = [json.loads(line) for line in Path("run/events.jsonl").read_text().splitlines()]
    return [event for event in found if event["event"] == kind]


def weights(path):
    return {x.name: [np.array(b) for b in x.blobs] for x in weight_files.read(path).layers}


def test_a_line_has_weights_gradients_updates_and_activations(run_folder, capsys, train):
    assert train("--histograms", "1", "--set", "snapshot=1") == 0
    assert [line["iter"] for line in lines()] == [1, 7, 13, 19, 20]
    line = lines()[1]
    blobs = {blob["name"]: blob for blob in line["blobs"]}
    parts = [f"ip{i} {p}{k}" for i in (1, 2) for p in ("weight", "bias") for k in KINDS]
    tops = ["data", "label", "flat", "ip1", "ip2", "loss", "accuracy"]
    assert set(blobs) == {*parts, *(f"{top} activation" for top in tops)}
    before, after = (weights(f"run/tiny_iter_{i}.caffemodel") for i in (6, 7))
    kinds = {"weight": after["ip1"][0], "update": after["ip1"][0] - before["ip1"][0]}
    for kind, values in kinds.items():
        found = blobs["ip1 weight" + " update" * (kind == "update")]
        assert (found["kind"], found["layer"], found["shape"]) == (kind, "ip1", [16, 49])
        for name in ("mean", "std", "min", "max"):
            expected = pytest.approx(float(getattr(values, name)()), rel=1e-4, abs=1e-7)
            assert found[name] == expected
        assert len(found["counts"]) == 30 and sum(found["counts"]) == values.size
    assert blobs["ip1 activation"]["shape"] == [5, 16]
    assert blobs["ip1 activation"]["min"] == 0  # the ReLU in its place
    assert blobs["ip1 weight gradient"]["kind"] == "gradient"


KINDS = ("", " gradient", " update")


def test_a_gradient_is_the_mean_over_iter_size(run_folder, capsys):
    for size in ("1", "2"):
        words = ["--set", f"iter_size={size}", "--set", "max_iter=1", "--histograms", "9"]
        assert main(["train", "solver.prototxt", *words]) == 0
    one, two = (
        next(b for b in line["blobs"] if b["name"] == "ip2 weight gradient") for line in lines()
    )
    assert 0.3 < two["std"] / one["std"] < 1.5  # a sum would be twice as large


def test_events_say_where_a_line_lies(run_folder, capsys, train):
    for _ in range(2):  # a second run adds to the file
        assert train("--histograms", "1.5") == 0
    data = Path("run/histograms.jsonl").read_bytes()
    found = events("histograms")
    assert len(found) == len(lines()) == 2 * 4
    for event in found:
        assert event["file"] == "histograms.jsonl"
        part = data[event["at"] : event["at"] + event["size"]]
        assert json.loads(part)["iter"] == event["iter"] and part.endswith(b"\n")


def test_a_run_is_bit_for_bit_the_one_without_them(run_folder, capsys, train):
    ends = [Path(f"run/tiny_iter_20.{end}") for end in ("caffemodel", "solverstate")]
    assert train() == 0
    plain = [path.read_bytes() for path in ends]
    assert train("--histograms", "0.5", "--samples", "0.5") == 0
    assert [path.read_bytes() for path in ends] == plain
    assert train("-snapshot", "run/tiny_iter_10.solverstate", "--histograms", "0.3") == 0
    assert [path.read_bytes() for path in ends] == plain


def test_without_a_test_net_the_training_net_is_looked_at(run_folder, capsys):
    text = (run_folder / "solver.prototxt").read_text().replace("test_iter: 3", "")
    (run_folder / "solver.prototxt").write_text(text.replace("test_interval: 10", ""))
    assert main(["train", "solver.prototxt", "--histograms", "1"]) == 0
    shapes = {b["name"]: b["shape"] for b in lines()[0]["blobs"]}
    assert shapes["ip1 activation"] == [8, 16]


def test_where_epochs_are_not_known_tests_are_taken_for_them(run_folder, capsys):
    text = (run_folder / "net.prototxt").read_text()
    start = text.index('layer {\n  name: "digits"')
    end = text.index('layer {\n  name: "digits"', start + 1)
    dummy = """layer { name: "d" type: "DummyData" top: "data" top: "label" include { phase: TRAIN }
      dummy_data_param { shape { dim: 8 dim: 1 dim: 7 dim: 7 } shape { dim: 8 } } }
    """
    (run_folder / "net.prototxt").write_text(text[:start] + dummy + text[end:])
    assert main(["train", "solver.prototxt", "--histograms", "0.5"]) == 0
    assert [line["iter"] for line in lines()] == [1, 5, 10, 15, 20]
    assert "does not say how long an epoch is: 10 iterations" in capsys.readouterr().err


def test_when_it_is_time():
    every = Every(6.25, last=20)
    assert [i for i in range(1, 21) if every.due(i)] == [1, 7, 13, 19, 20]
    assert [i for i in range(1, 4) if Every(0.2, 9).due(i)] == [1, 2, 3]


def test_a_full_disk_ends_the_run_in_words(run_folder, capsys):
    (run_folder / "run").mkdir()
    (run_folder / "run/histograms.jsonl").mkdir()
    assert main(["train", "solver.prototxt", "--histograms", "1"]) == 1
    assert "histograms.jsonl: cannot be written: Is a directory" in capsys.readouterr().err
