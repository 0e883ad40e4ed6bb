"""minidl run: programs for pycaffe, unchanged."""

import os
import subprocess
import sys

import pytest

from tests.support import ROOT
from tests.test_caffe import old_tree

PROGRAM = """
import sys
sys.path.insert(0, "python")
import caffe
import helper

class Failure(Exception): pass

if __name__ == "__main__":
    print(sys.argv[1:], helper.NAME, caffe.TRAIN)
    if "net" in sys.argv:
        caffe.Net("absent.prototxt", caffe.TEST)
    if "fail" in sys.argv:
        raise Failure("as it says")
    sys.exit(7 if "-code" in sys.argv else None)
"""


@pytest.fixture
def folder(tmp_path):
    old_tree(tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "program.py").write_text(PROGRAM)
    (tmp_path / "tools" / "helper.py").write_text("NAME = 'beside it'\n")
    return tmp_path


def run(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "minidl", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_program_gets_its_own_words_and_what_lies_beside_it(folder):
    done = run(folder, "run", "--threads", "1", "tools/program.py", "-gpu", "0", "--solver=x")
    assert done.stdout == "['-gpu', '0', '--solver=x'] beside it 0\n"
    assert done.returncode == 0 and done.stderr == ""


def test_its_exit_status_is_that_of_the_command(folder):
    assert run(folder, "run", "tools/program.py", "-code").returncode == 7


def test_what_it_does_wrong_is_said_with_its_line(folder):
    done = run(folder, "run", "tools/program.py", "net")
    assert done.returncode == 2
    assert 'program.py:12: caffe.Net("absent.prototxt", caffe.TEST)' in done.stderr
    assert "absent.prototxt: there is no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_its_own_failure_is_shown_as_python_does_but_for_our_part(folder):
    done = run(folder, "run", "tools/program.py", "fail")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Traceback") and "program.py" in lines[1]
    assert lines[-1].endswith("Failure: as it says")
    assert "runpy" not in done.stderr


OLD = ["print 'x'", "except = 1", "\0"]


@pytest.mark.parametrize("text", OLD, ids=["print", "syntax", "binary"])
def test_a_program_in_python_2_is_refused_with_its_line(tmp_path, text, capsys):
    from minidl.cli import main

    (tmp_path / "old.py").write_text(text)
    assert main(["run", str(tmp_path / "old.py")]) == 2
    error = capsys.readouterr().err
    assert "this is not Python 3: " in error and "2to3" in error


def test_a_program_that_is_not_there_is_refused(tmp_path, capsys):
    from minidl.cli import main

    assert main(["run", str(tmp_path / "absent.py"), "--x"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_what_a_program_prints_is_its_own_and_so_are_its_signals(tmp_path):
    (tmp_path / "colours.py").write_text(
        "import signal, sys\n"
        "print('\\033[1mbold\\033[0m\\r', end='')\n"
        "print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "minidl", "run", "colours.py"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True)
    assert done.stdout == b"\x1b[1mbold\x1b[0m\r"
    assert done.stderr.splitlines()[-1] == b"True"
