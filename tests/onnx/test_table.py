"""What becomes of every layer type."""

import re

import pytest

import minidl.onnx.ops  # noqa: F401  (fills the table)
from minidl.layers.base import REGISTRY
from minidl.onnx.table import (
    EXPORTERS,
    LEFT_OUT,
    REFUSED,
    SOURCES,
    CannotExport,
    exporter,
    is_left_out,
)


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


def test_a_type_has_one_place():
    groups = [set(EXPORTERS) - set(LEFT_OUT), set(LEFT_OUT), set(REFUSED), set(SOURCES)]
    assert sum(map(len, groups)) == len(set().union(*groups))
