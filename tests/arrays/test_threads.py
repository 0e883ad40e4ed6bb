"""How many threads compute, and how many are beyond all reason."""

import os

import pytest

from minidl.arrays.threads import VARIABLES, most_threads, threads, usable_cores
from minidl.cli import main
from minidl.errors import UsageError


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "text, count",
    [("3", 3), ("2,1", 2), (" 4 ", 4), ("007", 7), ("", None), ("0", None), ("-2", None)]
    + [("many", None), ("\u00b2", None)],
)
def test_the_environment_says_how_many_or_all_cores_do(monkeypatch, text, count):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads() == (count or usable_cores())


def test_more_than_the_machine_could_use_is_refused(monkeypatch):
    most = most_threads()
    assert most >= 8 * (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", str(most))
    assert threads() == most
    for text in (str(most + 1), "100000", "9" * 5000):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        with pytest.raises(UsageError, match="expected: 1 to"):
            threads()


@pytest.mark.parametrize("command", ["convert a b", "device_query"])
def test_every_command_refuses_them(monkeypatch, capsys, command):
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert main(command.split()) == 2
    assert "OMP_NUM_THREADS is 100000" in capsys.readouterr().err
    assert main([*command.split(), "--threads", "1000000000000"]) == 2
    assert f"'1000000000000' is not a whole number of 1 to {most_threads()}" in (
        capsys.readouterr().err
    )


def test_a_system_that_starts_no_more_threads_is_no_bug(monkeypatch, capsys):
    def run(args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("minidl.cli.device_query.run", run)
    assert main(["device_query"]) == 1
    assert "the system cannot start another thread" in capsys.readouterr().err
