"""What becomes of every layer type, and that docs/onnx.md says the same."""

import re

import pytest

import minidl.onnx.ops  # noqa: F401  (fills the table)
from minidl.layers.base import REGISTRY
from minidl.onnx.table import (
    EXPORTERS,
    LEFT_OUT,
    REFUSED,
    SOURCES,
    WORDS,
    CannotExport,
    exporter,
    is_left_out,
)
from tests.support import ROOT

PAGE = (ROOT / "docs" / "onnx.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE))


def words(type):
    """What the page has to say of a type."""
    if type in SOURCES:
        return f"{SOURCES[type]}: its tops become inputs"
    if type in REFUSED:
        return f"refused: {REFUSED[type]}"
    parts = [WORDS[type]] if type in WORDS else []
    parts += [f"left out: {LEFT_OUT[type]}"] if type in LEFT_OUT else []
    return "; ".join(parts)


@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_a_type_is_carried_over_left_out_or_refused_with_a_reason(type):
    if type in SOURCES or is_left_out(type, tops=1):
        return
    if type in EXPORTERS:
        assert exporter(type) is EXPORTERS[type]
        return
    with pytest.raises(CannotExport, match=re.escape(REFUSED[type])):
        exporter(type)


def test_a_type_that_nobody_thought_of_is_refused():
    with pytest.raises(CannotExport, match="no translation of this type"):
        exporter("MyOwn")


@pytest.mark.parametrize("type", sorted({*EXPORTERS, *LEFT_OUT, *REFUSED, *SOURCES}))
def test_the_page_says_it_too(type):
    assert ROWS.get(type) == words(type), f"docs/onnx.md needs: | `{type}` | {words(type)} |"


def test_the_page_lists_nothing_else():
    assert list(ROWS) == sorted({*EXPORTERS, *LEFT_OUT, *REFUSED, *SOURCES})


def test_a_type_has_one_place():
    groups = [set(EXPORTERS) - set(LEFT_OUT), set(LEFT_OUT), set(REFUSED), set(SOURCES)]
    assert sum(map(len, groups)) == len(set().union(*groups))
