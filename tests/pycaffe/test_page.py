"""docs/pycaffe.md names every name, and no other."""

import re

from minidl import pycaffe
from minidl.net import Net
from minidl.solver import Solver
from tests.support import ROOT

TEXT = (ROOT / "docs" / "pycaffe.md").read_text("utf-8")
ROWS = re.findall(r"^\| (.*?) \|", TEXT, re.MULTILINE)[1:]
NAMED = [re.match(r"[\w.]+", name)[0] for row in ROWS for name in re.findall("`(.*?)`", row)]


def test_every_public_name_has_its_row():
    public = {name for name in NAMED if hasattr(pycaffe, name)}
    assert public == {*pycaffe.__all__, "__version__"}


def test_what_the_page_says_of_nets_and_solvers_is_there():
    net = Net('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }')
    solver = vars(Solver) | dict.fromkeys(["net", "test_nets", "iter", "lr", "param"])
    for row in ROWS:
        names = [re.match(r"[\w.]+", name)[0] for name in re.findall("`(.*?)`", row)]
        if names[0].startswith("net."):
            assert all(hasattr(net, name.removeprefix("net.")) for name in names), names
        elif names[0].startswith("blob."):
            assert all(hasattr(net.blobs["x"], name.removeprefix("blob.")) for name in names)
        elif names[0].startswith("solver."):
            missing = {n.removeprefix("solver.") for n in names} - set(dir(Solver)) - set(solver)
            assert not missing
        else:
            assert all(hasattr(pycaffe, name) for name in names), names
