"""The tables of the documentation follow from the code: docs/build.py."""

import importlib.util
import re

import pytest

from minidl.layers.base import REGISTRY
from tests.support import ROOT


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_up_to_date(build):
    for page, text in build.pages().items():
        assert (ROOT / page).read_text("utf-8") == text, f"{page} is out of date: make docs"


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
