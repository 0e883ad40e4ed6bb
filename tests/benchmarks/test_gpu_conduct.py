"""Parts in processes of their own: whatever one case does, the others are run and all are told."""

import pytest

from benchmarks.gpu import conduct
from benchmarks.gpu.plan import BENCH, CHECK, Part
from tests.support import ROOT


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(conduct, "SCRIPT", ROOT / "tests" / "benchmarks" / "gpu_trial.py")

    def part(words, seconds=20.0, grace=20.0):
        found = conduct.run_part(
            Part(f"trial:{words}", "a trial", 20), tmp_path, seconds, False, grace
        )
        return found, {case["name"]: case for case in found["cases"]}

    return part


def test_every_way_to_end_has_its_status(run):
    found, cases = run("fine,wrong,fault,absent,declined,fine")
    statuses = [case["status"] for case in found["cases"]]
    assert statuses == ["passed", "failed", "failed", "left out", "declined", "passed"]
    assert cases["0 fine"]["facts"] == {"text": "two\nlines", "path": "x"}
    assert (cases["1 wrong"]["error"], cases["1 wrong"]["facts"]) == ("off by 3", {"found": 3})
    assert cases["2 fault"]["error"] == "ZeroDivisionError: by zero"
    assert "in fault" in cases["2 fault"]["traceback"]
    assert cases["3 absent"]["error"] == "there is no GPU in it"
    assert found["starts"] == 1


def test_a_case_that_ends_its_process_is_one_failure(run):
    found, cases = run("fine,killed,fine,killed,fine")
    statuses = [case["status"] for case in found["cases"]]
    assert statuses == ["passed", "failed", "passed", "failed", "passed"]
    assert cases["1 killed"]["error"] == "its process ended: signal SIGSEGV"
    assert "last words" in cases["1 killed"]["traceback"]
    assert found["starts"] == 3


def test_a_lost_device_is_taken_anew_behind_the_case_that_lost_it(run):
    found, cases = run("fine,lost,fine")
    assert [case["status"] for case in found["cases"]] == ["passed", "failed", "passed"]
    assert cases["1 lost"]["error"] == "RuntimeError: illegal address"
    assert found["starts"] == 2


def test_a_case_that_does_not_end_is_ended(run):
    found, cases = run("fine,hang,fine", seconds=1.0, grace=1.0)
    assert [case["status"] for case in found["cases"]] == ["passed", "failed", "left out"]
    assert "no end within" in cases["1 hang"]["error"]


def test_when_the_time_is_over_the_rest_is_left_out(run):
    found, _ = run("slow,fine,fine", seconds=1.0)
    assert [case["status"] for case in found["cases"]] == ["passed", "left out", "left out"]
    assert found["cases"][1]["error"] == "the part's time was over"


def test_a_part_that_cannot_begin_is_one_failure(run):
    found, _ = run("broken")
    (case,) = found["cases"]
    assert case["status"] == "failed" and "OSError: no cases" in case["traceback"]


def test_a_part_that_loses_its_process_in_every_case_comes_to_an_end(run, monkeypatch):
    monkeypatch.setattr(conduct, "STARTS", 2)
    found, _ = run("killed,killed,killed")
    assert [case["status"] for case in found["cases"]] == ["failed", "failed"]


def test_every_part_has_a_module():
    for part in (*CHECK, *BENCH):
        name = part.name.partition(":")[0]
        assert (ROOT / "benchmarks" / "gpu" / "parts" / f"{name}.py").exists()
