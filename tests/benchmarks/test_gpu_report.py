"""The report of a GPU run, as text."""

from benchmarks.gpu import report


def case(name, status, **more):
    return {"name": name, "status": status, "seconds": 0.1, **more}


def part(*cases, starts=1):
    return {
        "part": "nets",
        "title": "whole nets",
        "seconds": 3.2,
        "starts": starts,
        "cases": [*cases],
    }


def test_counts_texts_and_failures_of_a_part():
    text = report.lines(
        part(
            case("a", "passed", facts={"text": "one\ntwo"}),
            case("b", "failed", error="off by 3", traceback="here\nthere"),
            starts=2,
        )
    )
    assert text == [
        "== nets: whole nets (3 s) ==",
        "   1 passed, 1 failed",
        "   the device was lost 1 times, and taken again",
        "   one",
        "   two",
        "   FAILED b: off by 3",
        "      here",
        "      there",
    ]


def test_a_reason_is_said_once_for_all_cases_that_it_holds_for():
    text = report.lines(
        part(
            *(case(name, "declined", facts={"declined": "no such thing"}) for name in "abcde"),
            case("f", "left out", error="no PyTorch"),
        )
    )
    assert text[2:] == [
        "   declined: a, b, c and 2 more: no such thing",
        "   left out: f: no PyTorch",
    ]


def test_a_traceback_is_printed_once():
    same = {"error": "x", "traceback": "1\n2\n3\n4\n5"}
    text = report.lines(part(case("a", "failed", **same), case("b", "failed", **same)))
    assert text[-1] == "      as a" and sum(line == "      5" for line in text) == 1


def test_failures_without_a_traceback_are_not_alike():
    text = report.lines(part(case("a", "failed", error="x"), case("b", "failed", error="y")))
    assert "      as a" not in text


def test_the_summary_adds_up():
    parts = [part(case("a", "passed")), part(case("b", "passed"), case("c", "failed"))]
    assert report.summary(parts, 61.3) == "2 passed, 0 declined, 0 left out, 1 failed; 61 s"
