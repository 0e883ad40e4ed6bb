"""What the figures were measured on, and the share that others had."""

from __future__ import annotations

import pytest

from benchmarks import machine


def test_the_machine_is_described():
    found = machine.description()
    assert found["cores"] >= 1 and found["cpu"]
    assert set(found["units"]) <= set(machine.UNITS)


@pytest.mark.parametrize(
    ("busy", "ours", "share"),
    [(15.0, 15.0, 0.0), (20.0, 0.0, 1.0), (12.0, 7.0, 0.25), (3.0, 4.0, 0.0)],
)
def test_what_others_used_is_what_was_used_less_ours(busy, ours, share, monkeypatch):
    readings = iter([(100.0, 50.0, 5.0), (110.0, 50.0 + busy, 5.0 + ours)])
    monkeypatch.setattr(machine.Disturbance, "_now", staticmethod(lambda: next(readings)))
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    assert machine.Disturbance().share() == pytest.approx(share)


def test_where_the_system_does_not_tell_nothing_is_claimed(monkeypatch):
    monkeypatch.setattr(machine, "_lines", lambda path: [])
    assert machine.Disturbance().share() is None
    assert machine.description()["units"] == []
