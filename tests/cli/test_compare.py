"""minidl time --compare: seconds of training on several devices, as a table."""

import json
from argparse import Namespace

import pytest

from minidl.arrays.device import Device
from minidl.cli import compare, main
from minidl.cli.compare import options, report
from minidl.errors import DeviceError

WORDS = ["net.prototxt", "--compare", "cpu,cuda:0", "--batches", "2,4", "-minloglevel", "1"]


def compared(capsys, *words):
    assert main(["time", *words, "--iterations", "2", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_device_trains_at_every_batch_size(run_folder, gpu, capsys):
    result = compared(capsys, *WORDS)
    assert [row["batch"] for row in result["rows"]] == [2, 4]
    for row in result["rows"]:
        assert row["devices"]["cpu"]["seconds"] > 0 and row["devices"]["cuda:0"]["seconds"] > 0
        assert "course" not in row
    assert "Fake GPU" in result["devices"]["cuda:0"]["name"]


def test_the_text_has_a_column_for_each_device_and_their_ratio(run_folder, gpu, capsys):
    assert main(["time", *WORDS, "--iterations", "1"]) == 0
    title, header, _, first, *_ = capsys.readouterr().out.splitlines()
    assert title == "tiny, 1 training iterations"
    assert header.split() == ["batch", "cpu,", "s", "cuda:0,", "s", "cuda:0,", "times"]
    assert first.split()[0] == "2" and len(first.split()) == 4


def test_one_device_is_enough_and_the_batch_is_the_nets(run_folder, capsys):
    result = compared(capsys, "net.prototxt", "--compare", "cpu")
    assert [row["batch"] for row in result["rows"]] == [8]
    assert main(["time", "net.prototxt", "--batches", "3", "--iterations", "1"]) == 0
    assert "times" not in capsys.readouterr().out


def test_what_is_timed_is_forward_backward_and_update_without_reading_data(run_folder, monkeypatch):
    from minidl.layers.data import Data
    from minidl.solver import Solver

    monkeypatch.setattr(Data, "forward", lambda *args: pytest.fail("a record was read"))
    steps, original = [], Solver.step
    monkeypatch.setattr(Solver, "step", lambda self, n: steps.append(n) or original(self, n))
    assert main(["time", "net.prototxt", "--compare", "cpu", "--iterations", "5"]) == 0
    assert steps == [compare.WARM["cpu"], 5]


def test_where_memory_does_not_suffice_the_others_are_timed_all_the_same(
    run_folder, capsys, monkeypatch
):
    original = compare._seconds

    def full(model, tops, device, args):
        if "dim: 4" in str(model.layer[0]):
            raise DeviceError("cuda:0 has not 9 GiB left", fix="a smaller batch_size")
        return original(model, tops, device, args)

    monkeypatch.setattr(compare, "_seconds", full)
    assert main(["time", "net.prototxt", "--batches", "2,4", "--iterations", "1"]) == 0
    out = capsys.readouterr().out
    assert "batch 4, cpu: cuda:0 has not 9 GiB left" in out and "    4       -" in out


@pytest.mark.parametrize("text", ["", "64,x", "0", "64,-1"])
def test_sizes_that_are_none_are_refused(text, run_folder, capsys):
    assert main(["time", "net.prototxt", "--batches", text]) == 2
    assert "batch sizes such as 64,128" in capsys.readouterr().err


def test_each_device_computes_in_what_it_has(gpu):
    words = dict(engine="cudnn", math="tf32", algorithm="fastest", workspace_limit=None)
    args = Namespace(**words, tuning="heuristic", deterministic=False)
    cpu, cuda = options(args, Device("cpu")), options(args, Device("cuda:0"))
    assert (cpu["engine"], cpu["math"]) == (None, "float32")
    assert (cuda["engine"], cuda["math"]) == ("cudnn", "tf32")


def test_the_courses_figures_stand_beside_alexnets():
    args = Namespace(iterations=20)
    assert compare._course("AlexNet", 256, args) == {
        "course": {"cpu": 257, "k40": 28.5, "ratio": pytest.approx(9.0, abs=0.02)}
    }
    for other in (
        ("LeNet", 256, args),
        ("AlexNet", 32, args),
        ("AlexNet", 64, Namespace(iterations=5)),
    ):
        assert compare._course(*other) == {}
    cells = {"cpu": {"seconds": 40.0}, "cuda:0": {"seconds": 0.25}}
    row = {"batch": 64, "devices": cells, **compare._course("AlexNet", 64, args)}
    about = {name: {"name": name, "math": "tf32"} for name in cells}
    text = report({"net": "AlexNet", "iterations": 20, "devices": about, "rows": [row]})
    assert text.splitlines()[3].split() == ["64", "40.0", "0.250", "160.0", "64.0", "7.5", "8.5"]
