"""Denormal numbers as zero: in whom, how long, and to whom it is handed on."""

import sys
import threading

import numpy as np
import pytest

from minidl.arrays.denormals import flush_denormals, flushed, flushes
from minidl.cli import main
from minidl.errors import DeviceError


@pytest.fixture
def able():
    try:
        with flushed():
            pass
    except DeviceError as error:
        pytest.skip(str(error))


def products():
    """A denormal operand, a denormal result, and a product that is neither."""
    tiny, small, half = np.float32(1e-40), np.float32(2e-38), np.float32(0.25)
    a = np.array([tiny, small, np.float32(3)] * 16, np.float32)
    b = np.array([np.float32(1e20), half, half] * 16, np.float32)
    return (a * b)[:3].tolist()


def test_operands_and_results_are_zero_while_it_lasts_and_nothing_else_changes(able):
    before = products()
    assert before[0] > 0 and before[1] > 0
    with flushed():
        assert products() == [0, 0, 0.75] and flushes()
    assert products() == before and not flushes()


def test_it_ends_with_an_error_too_and_may_be_nested(able):
    with pytest.raises(ZeroDivisionError):
        with flushed(), flushed():
            raise ZeroDivisionError
    assert not flushes()
    with flushed():
        with flushed():
            pass
        assert flushes()
    with flushed(False):
        assert not flushes()


def test_threads_that_are_started_meanwhile_do_it_and_others_do_not(able):
    seen = {}

    def look(name):
        seen[name] = flushes()

    gate = threading.Event()
    other = threading.Thread(target=lambda: (gate.wait(), look("before")))
    other.start()
    with flushed():
        own = threading.Thread(target=look, args=["meanwhile"])
        own.start()
        own.join()
        gate.set()
        other.join()
    assert seen == {"meanwhile": True, "before": False}


def test_a_product_of_matrices_agrees(able):
    a = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    expected = a @ a.T
    with flushed():
        np.testing.assert_array_equal(a @ a.T, expected)


def test_another_system_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(DeviceError, match="no known way on plan9"):
        flush_denormals()
    assert not flushes()


def test_a_processor_that_does_not_is_refused(monkeypatch):
    monkeypatch.setattr("minidl.arrays.denormals._write", lambda on: None)
    with pytest.raises(DeviceError, match="the processor does not do it"):
        flush_denormals()


@pytest.mark.parametrize("flags, expected", [([], False), (["--flush-denormals"], True)])
def test_a_command_does_it_as_long_as_it_runs(able, monkeypatch, flags, expected):
    seen = []
    monkeypatch.setattr("minidl.cli.device_query.run", lambda args: seen.append(flushes()))
    assert main(["device_query", *flags]) == 0
    assert seen == [expected] and not flushes()
