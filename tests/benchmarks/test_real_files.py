"""What the survey of real files says: reasons, whose net a solver's is, its page."""

import pytest

from benchmarks.real_files import REACHED, Result, because, net_of, report
from minidl import schema


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("4:2: Python layer 'a': there is no module 'b'", "the code of a Python layer"),
        ("1:1: data_param.source is given twice, first in line 8", "gives a field twice"),
        ("3:1: the net has no field 'default_forward_type'", "a field of a fork"),
        ("3:1: data_param has no field 'transform_param'", "a data layer's fields"),
        ("nobody thought of this", "nobody thought of this"),
    ],
)
def test_a_refusal_has_one_reason(words, reason):
    assert because(words).startswith(reason)


def entry(path, repo="a/b", kind="V2"):
    return {"repo": repo, "path": path, "format": kind, "file": path}


def test_a_solvers_net_is_found_from_any_folder_above_it_in_its_own_repository():
    solver = entry("examples/one/solver.prototxt", kind="solver")
    net, other = entry("examples/one/net.prototxt"), entry("examples/two/net.prototxt")
    foreign = entry("examples/one/net.prototxt", repo="c/d")
    files = [solver, foreign, other, net]
    for name in (
        "examples/one/net.prototxt",
        "./net.prototxt",
        "/home/me/examples/one/net.prototxt",
    ):
        assert net_of(solver, schema.SolverParameter(net=name), files) is net
        assert net_of(solver, schema.SolverParameter(train_net=name), files) is net
    assert net_of(solver, schema.SolverParameter(net="three/net.prototxt"), files) is None


def test_the_page_counts_each_file_once_and_lists_what_goes_no_further():
    page = report(
        [
            Result("one", "net", "trained"),
            Result("two", "net", "built", "", "9e9 multiply-adds"),
            Result("three", "net", "refused", "a reason", "its words"),
            Result("four", "solver", "read", "its net is not among the files"),
        ]
    )
    assert page.startswith("# Real nets and solvers\n\n4 files")
    assert f"| {REACHED['trained']} | 1 |  |" in page and "| all | 3 | 1 |" in page
    assert "| net: a reason | 1 |" in page
    assert "**net: a reason**\n\n- `three`: its words\n" in page + "\n"
    assert "`one`" not in page and "`two`" not in page
