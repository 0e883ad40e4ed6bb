"""minidl time --data: the data path alone, the net alone."""

import json

import pytest

from minidl.cli import main
from minidl.layers.data import Data
from minidl.profile import training_times
from minidl.solver import Solver


def test_both_halves_are_timed_alone(run_folder, capsys, monkeypatch):
    batches, steps = [], []
    forward, step = Data.forward, Solver.step
    monkeypatch.setattr(
        Data, "forward", lambda self, *blobs: batches.append(len(steps)) or forward(self, *blobs)
    )
    monkeypatch.setattr(Solver, "step", lambda self, n: steps.append(n) or step(self, n))
    assert main(["time", "net.prototxt", "--data", "--iterations", "7", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert batches == [0] * (5 + 7), "four that may lie ready, one in use, and those that count"
    assert steps == [training_times.WARM["cpu"], 7]
    assert (result["batch"], result["iterations"], result["device"]) == (8, 7, "cpu")
    rates = result["data_images_per_s"], result["net_images_per_s"]
    assert min(rates) > 0 and result["data_times_net"] == pytest.approx(rates[0] / rates[1])
    (layer,) = result["layers"]
    assert layer == dict(name="digits", type="Data", source="train_lmdb", threads=1)


def test_the_report_says_who_waits(run_folder, capsys):
    assert main(["time", "net.prototxt", "--data", "--iterations", "2"]) == 0
    out = capsys.readouterr().out
    assert "tiny, 2 batches of 8" in out and "digits: Data, 1 thread, train_lmdb" in out
    rates = {line[:8]: line.split()[-6] for line in out.splitlines() if "images/s" in line}
    assert rates.keys() == {"data pat", "net alon"}
    assert ("Training waits" in out) == ("gives 0." in out)


REFUSED = {
    "testing": (["--phase", "TEST"], "times training iterations"),
    "comparing": (["--compare", "cpu"], "--data cannot be combined"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_timed_so_is_refused(run_folder, capsys, words, message):
    assert main(["time", "net.prototxt", "--data", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_data_set_that_is_not_there_is_refused(run_folder, capsys):
    text = (run_folder / "net.prototxt").read_text()
    (run_folder / "net.prototxt").write_text(text.replace("train_lmdb", "nowhere"))
    assert main(["time", "net.prototxt", "--data"]) == 2
    assert "there is no such data set" in capsys.readouterr().err


def test_a_net_that_reads_nothing_is_refused(run_folder, capsys):
    (run_folder / "net.prototxt").write_text(
        'layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
    )
    assert main(["time", "net.prototxt", "--data"]) == 2
    assert "no layer of the net reads data ahead" in capsys.readouterr().err
