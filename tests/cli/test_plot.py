"""minidl plot: which curves a run has, and what is refused."""

import sys
import xml.etree.ElementTree as xml

import pytest

from minidl.cli import main
from minidl.cli.plot import labels, latest, panels
from minidl.runs import store
from minidl.runs.record import Record, Row
from tests.runs.support import LOG


@pytest.fixture
def log(tmp_path):
    (tmp_path / "a.log").write_text(LOG)
    return str(tmp_path / "a.log")


def by_label(found):
    return {name: {c.label: c.points for c in curves} for name, curves in found.items()}


def test_curves_of_one_run(log):
    found = by_label(panels([store.record(log)], ["a"], "iterations"))
    assert list(found) == ["loss", "accuracy", "learning rate"]
    assert list(found["loss"]) == ["training", "test #0 loss"]
    assert found["loss"]["test #0 loss"] == [(0, 2.5), (200, 0.3)]
    assert list(found["accuracy"]) == ["test #0 accuracy", "test #1 prob", "test #1 prob[1]"]
    assert found["learning rate"]["rate"] == [(0, 0.01), (100, 0.005)]


def test_seconds_and_the_names_of_several_runs(log):
    found = by_label(panels([store.record(log)] * 2, ["a", "b"], "seconds"))
    assert found["learning rate"] == {
        "a: rate": [(2.0, 0.01), (4.0, 0.005)],
        "b: rate": [(2.0, 0.01), (4.0, 0.005)],
    }


def test_outputs_that_are_no_share_have_a_panel_of_their_own(tmp_path):
    rows = [Row(0, 0.0, 0.1, {"distance": 3.0, "hit": 0.5}), Row(1, 1.0, 0.1, {"distance": 2.0})]
    found = by_label(panels([Record(tmp_path, tests={0: rows})], ["a"], "iterations"))
    assert found == {
        "accuracy": {"test hit": [(0, 0.5)]},
        "distance": {"test distance": [(0, 3.0), (1, 2.0)]},
    }


def test_what_a_later_run_recorded_again_replaces_what_was_there():
    first = [(0, 0.0, 9.0), (5, 1.0, 8.0), (10, 2.0, 7.0)]
    again = [(5, 9.0, 4.0), (15, 9.5, 3.0)]
    assert latest(first + again) == [(0, 0.0, 9.0), (5, 9.0, 4.0), (15, 9.5, 3.0)]


def test_names_of_runs():
    assert labels(["runs/a/events.jsonl", "runs/b", "old.log"]) == ["a", "b", "old"]
    assert labels(["x/old.log", "y/old.log"]) == ["x/old.log", "y/old.log"]


WORDS = {
    "no run": (["-o", "a.svg"], "no run given"),
    "no file": (["RUN"], "no output file"),
    "not a picture": (["RUN", "-o", "a.txt"], "cannot write 'a.txt'"),
}


@pytest.mark.parametrize("words, message", WORDS.values(), ids=WORDS.keys())
def test_refusals(log, capsys, words, message):
    assert main(["plot", *[log if word == "RUN" else word for word in words]]) == 2
    assert message in capsys.readouterr().err


def test_without_matplotlib_the_error_says_how_to_get_it(log, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["plot", log, "-o", str(tmp_path / "a.svg")]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
    assert not (tmp_path / "a.svg").exists()


class TestPictures:
    @pytest.fixture(autouse=True)
    def needs_matplotlib(self):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")

    def test_an_svg_has_every_label_as_text_and_is_the_same_twice(self, log, tmp_path, capsys):
        files = [tmp_path / "1.svg", tmp_path / "2.svg"]
        for file in files:
            assert main(["plot", log, "-o", str(file), "--title", "LeNet & more"]) == 0
        assert capsys.readouterr().out.splitlines()[0].endswith("loss, accuracy, learning rate")
        assert files[0].read_bytes() == files[1].read_bytes()
        texts = {"".join(e.itertext()).strip() for e in xml.parse(files[0]).getroot().iter()}
        assert {"LeNet & more", "training", "test #0 accuracy", "iterations", "loss"} <= texts

    @pytest.mark.parametrize("ending, magic", [("png", b"\x89PNG"), ("pdf", b"%PDF")])
    def test_other_forms(self, log, tmp_path, ending, magic):
        file = tmp_path / f"a.{ending}"
        assert main(["plot", log, log, "-o", str(file), "--over", "seconds"]) == 0
        assert file.read_bytes().startswith(magic)
