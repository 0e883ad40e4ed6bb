"""The tables of the documentation follow from the code: docs/build.py."""

import importlib.util
import re

import pytest

import minidl
from minidl.layers.base import REGISTRY
from minidl.solver.rules import RULES
from tests.support import ROOT


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_up_to_date(build):
    for page, text in build.pages().items():
        found = (ROOT / page).read_text("utf-8")
        if page == "docs/api.md":  # or every change of a docstring would have to change it
            found, text = headings(found), headings(text)
        assert found == text, f"{page} is out of date: make docs"


def headings(text):
    return re.findall(r"^#+ .*$", text, re.MULTILINE)


def test_the_api_page_has_every_public_name(build):
    text = build.pages()["docs/api.md"]
    aliases = {f"{rule}Solver" for rule in RULES} | {
        "TEST",
        "TRAIN",
        "proto",
        "Layer",
        "__version__",
    }
    for name in set(minidl.__all__) - aliases - {"coord_map", "preprocess", "spec", "tiles"}:
        assert re.search(rf"^### minidl\.(errors\.)?{name}$", text, re.MULTILINE), name
    assert "forward_pass()\n\nRun every layer once" in text
    assert "dtype=np.float32" in text


def test_every_table_has_its_place(build):
    marked = re.findall(r"<!-- ([\w-]+): made by make docs -->", "".join(build.pages().values()))
    assert sorted(marked) == sorted(build.TABLES)


def test_a_new_type_is_in_every_table_that_should_have_it(build, monkeypatch):
    class Theirs(REGISTRY["ReLU"]):
        """Bend."""

        fork = "somebody/caffe"

    Theirs.__module__ = "minidl.layers.theirs"
    monkeypatch.setitem(REGISTRY, "Bend", Theirs)
    assert re.search(r"^\| activations \| .*\bBend, ", build.types_by_family(), re.MULTILINE)
    assert "| `Bend` | Bend. | `relu_param` | somebody/caffe |\n" in build.layers()
    assert "| Bend | somebody/caffe | `relu_param` | 123 | |\n" in build.forks()
    monkeypatch.setattr(Theirs, "__module__", "somewhere.else")
    assert "`Bend`" not in build.layers()


def test_what_stands_around_a_table_stays(build):
    text = "before\n<!-- types: made by make docs -->\nSTALE\n<!-- end -->\nafter"
    filled = build.filled(text)
    assert filled.startswith("before\n<!-- types") and filled.endswith("<!-- end -->\nafter")
    assert "STALE" not in filled and filled == build.filled(filled)
