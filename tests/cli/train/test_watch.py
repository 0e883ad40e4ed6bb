"""What a person at a terminal sees of a run."""

import re

import pytest

from minidl.cli import main


class Terminal:
    """A stderr that is a terminal; one that `lasts` so many characters is then closed."""

    encoding = "utf-8"

    def __init__(self, lasts=None):
        self.text, self.lasts = "", lasts

    def isatty(self):
        return True

    def write(self, text):
        if self.lasts is not None and len(self.text) > self.lasts:
            raise OSError(5, "Input/output error")
        self.text += text

    def flush(self):
        pass

    def lines(self):
        """Whole lines as they stand at the end: what a carriage return wiped out is gone."""
        return [line.split("\r")[-1].rstrip() for line in self.text.split("\n")]


@pytest.fixture
def sit_down(monkeypatch):
    """A function that puts a terminal in stderr's place (capsys does it anew for every test)."""

    def begin(lasts=None):
        terminal = Terminal(lasts)
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setattr("minidl.cli.train.watch.REFRESH_S", 0.0)
        return terminal

    return begin


def test_above_the_bar_stand_tests_and_snapshots_and_no_log(run_folder, capsys, sit_down):
    terminal = sit_down()
    assert main(["train", "solver.prototxt"]) == 0
    lines = [line for line in terminal.lines() if line]
    figures = r"test accuracy = [\d.]+, loss = [\d.]+"
    patterns = [
        rf"iteration 0: {figures}",
        r"iteration 10: snapshot run/tiny_iter_10.solverstate",
        rf"iteration 10: {figures}",
        r"iteration 20: snapshot run/tiny_iter_20.solverstate",
        rf"iteration 20: {figures}",
    ]
    assert len(lines) == len(patterns), terminal.text
    assert all(re.fullmatch(p, line) for p, line in zip(patterns, lines, strict=True)), lines
    assert "Iteration 0, lr" in (run_folder / "run" / "tiny.log").read_text()


def test_plateaus_and_an_early_stop_are_said(run_folder, capsys, sit_down):
    terminal = sit_down()
    with open("solver.prototxt", "a", encoding="utf-8") as solver:
        solver.write('early_stop_monitor { output: "loss" mode: MIN min_delta: 100 }\n')
        solver.write('plateau_monitor { output: "loss" mode: MIN min_delta: 100 }\n')
    settings = ["early_stop_patience=1", "lr_policy=plateau", "plateau_winsize=4"]
    assert main(["train", "solver.prototxt", *(s for x in settings for s in ("--set", x))]) == 0
    lines = [line for line in terminal.lines() if line]
    assert "iteration 4: plateau 1, lr 0.0005" in lines
    early = r"iteration 10: stopped early: loss of test net #0 is [\d.]+; in the test since .*"
    assert any(re.fullmatch(early, line) for line in lines), lines
    out = capsys.readouterr().out
    assert "state    run/tiny_iter_10.solverstate" in out and "stopped by" not in out


def test_the_bar_has_iterations_loss_rate_and_images(run_folder, capsys, sit_down):
    terminal = sit_down()
    assert main(["train", "solver.prototxt"]) == 0
    bars = re.findall(
        r"(\d+)/20 \[[\d:]+<[\d:?]+, loss ([\d.]+), lr ([\d.]+), (\d+) im", terminal.text
    )
    assert bars, terminal.text
    assert int(bars[-1][0]) > int(bars[0][0]) and all(float(b[1]) > 0 for b in bars)
    assert "testing " in terminal.text


def test_a_resumed_run_says_from_where_and_its_bar_begins_there(run_folder, capsys, sit_down):
    terminal = sit_down()
    assert main(["train", "solver.prototxt", "--set", "max_iter=10"]) == 0
    terminal.text = ""
    assert main(["train", "solver.prototxt", "-snapshot", "latest"]) == 0
    assert "iteration 10: resuming from run/tiny_iter_10.solverstate" in terminal.text
    shown = [int(n) for n in re.findall(r"(\d+)/20 \[", terminal.text)]
    assert shown and min(shown) == 10


def test_a_run_goes_on_when_its_terminal_goes(run_folder, capsys, sit_down):
    sit_down(lasts=300)
    assert main(["train", "solver.prototxt"]) == 0
    assert (run_folder / "run" / "tiny_iter_20.solverstate").exists()


def test_several_test_nets_have_numbers(run_folder, capsys, sit_down):
    terminal = sit_down()
    text = (run_folder / "solver.prototxt").read_text().replace("test_iter: 3", "test_iter: [3, 2]")
    (run_folder / "solver.prototxt").write_text(text)
    assert main(["train", "solver.prototxt", "--set", "max_iter=11"]) == 0
    assert re.search(r"iteration 10: test net #1: accuracy = ", terminal.text)
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"test net #0: accuracy = .* \(after 10 iterations\)", out[0])
    assert out[1].startswith("test net #1: ")


def test_commands_that_take_long_show_a_bar_that_goes(run_folder, capsys, sit_down):
    terminal = sit_down()
    assert main(["time", "net.prototxt", "-iterations", "2"]) == 0
    assert "timing: " in terminal.text and not any(terminal.lines())
    assert "whole net" in capsys.readouterr().out


def test_a_run_reports_every_iteration_and_both_ends_for_certain(run_folder, capsys, monkeypatch):
    from minidl.runs import job

    said = []

    def progress(self, done, total, unit, images=0, force=False):
        said.append((done, total, unit, images, force))

    monkeypatch.setattr(job.Report, "progress", progress)
    words = ["train", "solver.prototxt", "--set", "max_iter=12", "--set", "iter_size=2"]
    assert main(words) == 0
    assert main([*words, "-snapshot", "run/tiny_iter_10.solverstate"]) == 0
    steps = [(i, 12, "iterations", 16, False) for i in range(1, 13)]  # two batches of 8
    end = (12, 12, "iterations", 16, True)
    again = [(i, 12, "iterations", 16, True) for i in (0, 10)]
    assert said == [again[0], *steps, end, *again, *steps[10:], end]
