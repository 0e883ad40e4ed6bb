"""docs/solver.md against the solver."""

import re

import pytest

from minidl import schema
from minidl.solver import parameters, schedules
from minidl.solver.rules import RULES
from tests.solver.support import solver_param
from tests.support import ROOT

TEXT = (ROOT / "docs" / "solver.md").read_text(encoding="utf-8")
BLOCKS = [b for b in re.findall(r"^```\n(.*?)^```$", TEXT, re.M | re.S) if "Iteration" not in b]


def test_its_table_has_every_type():
    assert re.findall(r"^\| `([A-Z]\w+)` \|", TEXT, re.M) == list(RULES)


def test_it_names_every_policy_and_every_field_that_is_not_caffes():
    ours = [f.name for f in schema.SolverParameter.DESCRIPTOR.fields if f.number > 20000]
    for name in [*schedules.POLICIES, *ours]:
        assert f"`{name}`" in TEXT or f"{name}: " in TEXT or f"{name} {{" in TEXT, name


@pytest.mark.parametrize("block", BLOCKS)
def test_its_examples_are_good_and_nothing_in_them_is_in_vain(block, caplog):
    caplog.set_level("INFO", "minidl")
    tests = "" if "test_iter" in block else " test_iter: 1 test_interval: 5"
    param = solver_param(block + tests)
    parameters.check(param)
    parameters.say_what_has_no_effect(param)
    assert not caplog.records
