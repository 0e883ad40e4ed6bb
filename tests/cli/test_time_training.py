"""minidl time --compare: seconds of training on several devices, as a table."""

import json

import pytest

from minidl.cli import main
from minidl.errors import DeviceError
from minidl.profile import training_times

WORDS = ["net.prototxt", "--compare", "cpu,cuda:0", "--batches", "2,4", "-minloglevel", "1"]


def compared(capsys, *words):
    assert main(["time", *words, "--iterations", "2", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_device_trains_at_every_batch_size(run_folder, gpu, capsys):
    result = compared(capsys, *WORDS)
    assert [row["batch"] for row in result["rows"]] == [2, 4]
    for row in result["rows"]:
        assert row["devices"]["cpu"]["seconds"] > 0 and row["devices"]["cuda:0"]["seconds"] > 0
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


def test_where_memory_does_not_suffice_the_others_are_timed_all_the_same(
    run_folder, capsys, monkeypatch
):
    original = training_times.seconds

    def full(blueprint, device, batch, *rest):
        if batch == 4:
            raise DeviceError("cuda:0 has not 9 GiB left", fix="a smaller batch_size")
        return original(blueprint, device, batch, *rest)

    monkeypatch.setattr(training_times, "seconds", full)
    assert main(["time", "net.prototxt", "--batches", "2,4", "--iterations", "1"]) == 0
    out = capsys.readouterr().out
    assert "batch 4, cpu: cuda:0 has not 9 GiB left" in out and "    4       -" in out


@pytest.mark.parametrize("text", ["", "64,x", "0", "64,-1"])
def test_sizes_that_are_none_are_refused(text, run_folder, capsys):
    assert main(["time", "net.prototxt", "--batches", text]) == 2
    assert "batch sizes such as 64,128" in capsys.readouterr().err
