"""minidl parse_log: the tables that Caffe's parse_log.py makes of the same log."""

import csv

import pytest

from minidl.cli import main
from tests.runs.support import LOG
from tests.support import shared

# Worked out by hand from the log that Caffe wrote, by the rules of its parse_log.py: seconds since
# the line with "Solving", and the rate that was last written before a row.
TRAIN = """\
NumIters,Seconds,LearningRate,loss
0.0,0.000314,0.01,1.34657
5.0,0.00056,0.01,0.0111629
10.0,0.001107,0.01,0.000123415
15.0,0.001341,0.005,1.09973e-05
"""
TEST = """\
NumIters,Seconds,LearningRate,accuracy,loss
0.0,0.00021,0.01,0.25,1.23044
10.0,0.00105,0.01,1.0,0.0001189
20.0,0.001728,0.005,1.0,1.55904e-06
"""


def test_a_log_of_caffes_own(tmp_path, capsys):
    log = shared("golden") / "cli" / "cli_train.log"
    assert main(["parse_log", str(log), str(tmp_path)]) == 0
    assert (tmp_path / "cli_train.log.train").read_text() == TRAIN
    assert (tmp_path / "cli_train.log.test").read_text() == TEST
    assert f"{tmp_path / 'cli_train.log.train'}  4 rows\n" in capsys.readouterr().out


def test_every_test_net_has_a_table_beside_the_log(tmp_path):
    (tmp_path / "a.log").write_text(LOG)
    assert main(["parse_log", str(tmp_path / "a.log"), "--delimiter", ";"]) == 0
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(files) == {"a.log", "a.log.train", "a.log.test", "a.log.test1"}
    assert (
        files["a.log.test1"]
        == "NumIters;Seconds;LearningRate;prob;prob[1]\n0.0;1.2;nan;0.25;0.75\n"
    )


def test_a_run_of_minidl_has_the_same_numbers_in_its_log_and_its_events(run_folder):
    assert main(["train", "solver.prototxt"]) == 0
    for name in ("tiny.log", "events.jsonl"):
        assert main(["parse_log", f"run/{name}", "."]) == 0
    for end in ("train", "test"):
        tables = []
        for name in ("tiny.log", "events.jsonl"):
            with open(run_folder / f"{name}.{end}", newline="") as file:
                tables.append(list(csv.DictReader(file)))
        log, events = tables
        assert len(log) == len(events) > 2
        for ours, theirs in zip(log, events, strict=True):
            assert ours.keys() == theirs.keys()
            for column in ours.keys() - {"Seconds", "LearningRate"}:
                assert float(ours[column]) == pytest.approx(float(theirs[column]), rel=1e-5)


def test_a_delimiter_is_one_character(tmp_path, capsys):
    (tmp_path / "a.log").write_text(LOG)
    assert main(["parse_log", str(tmp_path / "a.log"), "--delimiter", "::"]) == 2
    assert "'::' is not one character" in capsys.readouterr().err
