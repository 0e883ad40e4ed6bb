"""Alarms: when they are written, once, and in which words."""

import json
from types import SimpleNamespace

import pytest

from minidl.cli import main
from minidl.cli.train.looking.alarms import Alarms


class File:
    def __init__(self):
        self.events = []

    def write(self, event):
        self.events.append(event)

    @property
    def kinds(self):
        return [(event.kind, event.layer) for event in self.events]


@pytest.fixture
def alarms():
    file = File()
    return Alarms(file, True), file, solver(0.01)


def solver(rate, base=0.01):
    return SimpleNamespace(iter=7, lr=rate, param=SimpleNamespace(base_lr=base))


def test_dead_relus_are_said_when_they_are_so_twice(alarms):
    hook, file, run = alarms
    hook.see_idle(run, "relu1", 40, 64, 512)
    assert file.kinds == []
    hook.see_idle(run, "relu1", 31, 64, 512)  # less than half: all is well again
    for _ in range(4):
        hook.see_idle(run, "relu1", 32, 64, 512)
    assert file.kinds == [("dead", "relu1")]
    assert file.events[0].text.startswith("32 of the 64 channels of ReLU layer 'relu1' are 0")


def test_few_numbers_are_no_proof_of_death(alarms):
    hook, file, run = alarms
    for _ in range(3):
        hook.see_idle(run, "relu1", 64, 64, 63)
        hook.see_idle(run, "relu2", 0, 0, 0)
    assert file.kinds == []


def test_updates_are_compared_with_the_weights(alarms):
    hook, file, run = alarms
    for _ in range(3):
        hook.see_update(run, "large", 0.2, 1.0)
        hook.see_update(run, "usual", 0.001, 1.0)
        hook.see_update(run, "tiny", 1e-9, 1.0)
        hook.see_update(run, "zero", 1.0, 0.0)
        hook.see_update(run, "nan", float("nan"), 1.0)
    assert file.kinds == [("large_updates", "large"), ("tiny_updates", "tiny")]
    assert "by 20% of themselves" in file.events[0].text


def test_small_updates_at_the_end_of_a_policy_are_meant(alarms):
    hook, file, _ = alarms
    for _ in range(3):
        hook.see_update(solver(0.0009), "ip", 1e-9, 1.0)
    assert file.kinds == []


def events():
    with open("run/events.jsonl") as file:
        return [json.loads(line) for line in file]


def test_before_a_run_fails_of_nan_an_alarm_names_the_layer(run_folder, capsys):
    assert main(["train", "solver.prototxt", "--set", "base_lr=1e30", "--set", "snapshot=0"]) == 1
    alarm, error = events()[-2:]
    assert (alarm["event"], alarm["kind"], error["event"]) == ("alarm", "nan", "error")
    assert f"of layer '{alarm['layer']}'" in error["message"] and alarm["layer"]
    assert "A lower rate may help (base_lr is 1e+30)" in alarm["text"]
    assert alarm["text"] in (run_folder / "run/tiny.log").read_text()


STUCK = ["--set", "base_lr=1e-9", "--set", "display=1", "--set", "max_iter=60"]


def test_a_run_that_learns_nothing_is_told_so_once(run_folder, capsys):
    text = (run_folder / "net.prototxt").read_text()
    small = 'weight_filler { type: "gaussian" std: 1e-5 }'
    text = text.replace('weight_filler { type: "xavier" }', small)
    (run_folder / "net.prototxt").write_text(text)
    assert main(["train", "solver.prototxt", *STUCK]) == 0
    (alarm,) = [e for e in events() if e["event"] == "alarm"]
    assert (alarm["kind"], alarm["layer"]) == ("no_progress", "")
    assert alarm["iter"] == 23  # the 24th loss; the third epoch ended with iteration 19
    assert "(guessing gives 1.099)" in alarm["text"]


def test_a_run_that_learns_has_no_alarm(run_folder, capsys):
    words = ["--set", "display=1", "--set", "max_iter=60", "--histograms", "1"]
    assert main(["train", "solver.prototxt", *words]) == 0
    assert not [e for e in events() if e["event"] == "alarm"]


def test_dead_relus_and_odd_updates_of_a_run_are_seen_with_its_histograms(run_folder, capsys):
    text = (run_folder / "net.prototxt").read_text()
    dead = 'num_output: 16 bias_filler { type: "constant" value: -1e5 }'
    text = text.replace("num_output: 16", dead).replace("batch_size: 5", "batch_size: 64")
    (run_folder / "net.prototxt").write_text(text)
    words = ["--histograms", "1", "--set", "regularization_type=L2", "--set", "weight_decay=0"]
    assert main(["train", "solver.prototxt", *words]) == 0
    found = {(e["kind"], e["layer"]) for e in events() if e["event"] == "alarm"}
    assert ("dead", "relu1") in found and ("tiny_updates", "ip1") in found
