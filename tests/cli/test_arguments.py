"""Command lines: Caffe's spellings, and what is said to mistyped ones."""

import json
import os
import subprocess
import sys
import time

import pytest

from minidl.cli import COMMANDS, main, parser_for
from minidl.errors import UsageError
from tests.support import ROOT

SPELLINGS = {
    "by position": ["x.prototxt", "-weights=w", "-iterations=7", "-log_dir=d"],
    "Caffe's": ["-model", "x.prototxt", "-weights", "w", "-iterations", "7", "-log_dir", "d"],
    "double dashes": ["--model=x.prototxt", "--weights=w", "--iterations=7", "--log_dir=d"],
    "hyphens": ["--model", "x.prototxt", "--weights", "w", "--iterations", "7", "--log-dir", "d"],
    "mixed": ["-iterations", "7", "--weights=w", "x.prototxt", "-log-dir=d"],
}


@pytest.mark.parametrize("words", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_of_a_flag_is_the_same_flag(words):
    args = parser_for("test").read(words)
    assert (args.model, args.weights, args.iterations, args.log_dir) == ("x.prototxt", "w", 7, "d")


SWITCHES = {
    "-logtostderr": True,
    "--logtostderr=1": True,
    "-logtostderr=true": True,
    "--alsologtostderr": True,
    "--logtostderr=0": False,
    "-nologtostderr": False,
}


@pytest.mark.parametrize("word, expected", SWITCHES.items())
def test_a_switch_may_have_a_value_and_leaves_the_next_word_alone(word, expected):
    args = parser_for("test").read([word, "x.prototxt"])
    assert (args.logtostderr, args.model) == (expected, "x.prototxt")


def test_lists_go_by_comma_and_negative_numbers_are_values():
    args = parser_for("time").read(["m", "-stage", "a, b,c", "-level", "-2", "-weights", "p,q"])
    assert args.stage == ("a", "b", "c") and args.level == -2 and args.weights == ("p", "q")


REFUSALS = {
    "near name": ("test", ["m", "-wieghts", "w"], "no flag '-wieghts'", "did you mean '--weights'"),
    "another command's": ("check", ["m", "-iterations", "3"], "'-iterations'", "minidl test, time"),
    "max_iter": ("train", ["s", "--iterations=3"], "'--iterations'", "--set max_iter=N"),
    "no file": ("time", [], "which model?", "minidl time MODEL, or minidl time -model FILE"),
    "two files": ("time", ["a", "-model", "b"], "has an unexpected argument 'a'", ""),
    "a word too many": ("time", ["a", "b"], "has an unexpected argument 'b'", ""),
    "no number": ("time", ["a", "-iterations", "many"], "'many' is not a whole number of 1 ", ""),
    "too large": ("time", ["a", "-iterations=2147483648"], "not a whole number of 1 to 2147", ""),
    "5,000 digits": ("time", ["a", f"-iterations={'9' * 5000}"], "is not a whole number of 1", ""),
    "a level of 33 bits": (
        "check",
        ["a", "--level=4294967296"],
        "number of -2147483648 to 214",
        "",
    ),
    "a seed of 64 bits": (
        "test",
        ["a", "--seed=9223372036854775808"],
        "of 0 to 92233720368547",
        "",
    ),
    "an endless limit": (
        "check",
        ["a", f"--workspace-limit={'9' * 999}"],
        "is not a size such",
        "",
    ),
    "a stage that is not UTF-8": ("check", ["a", "--stage=\udcff"], "is not UTF-8", ""),
    "too small": (
        "time",
        ["a", "-iterations=0"],
        "'0' is not a whole number of 1 to 2147483647",
        "",
    ),
    "no value": ("time", ["a", "-iterations"], "--iterations: expected one argument", ""),
    "not a phase": ("time", ["a", "-phase", "VALID"], "'VALID'", ""),
    "not a shape": ("time", ["a", "-shape", "3,227"], "'3,227' is not a shape C,H,W", ""),
    "a loud switch": ("time", ["a", "--debug=loud"], "a switch takes 1 or 0", ""),
    "no prefix": ("time", ["a", "--iter", "3"], "no flag '--iter'", "--iterations"),
}


@pytest.mark.parametrize("command, words, found, fix", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_bad_line_is_refused_with_its_reason(command, words, found, fix):
    with pytest.raises(UsageError) as refusal:
        parser_for(command).read(words)
    text = str(refusal.value)
    assert text.startswith(f"minidl {command}: ") and found in text and fix in text


def test_commands_are_found_with_hyphens_and_behind_flags(capsys):
    assert main(["device-query"]) == 0
    assert main(["--minloglevel=1", "device_query"]) == 0
    assert main(["-minloglevel", "1", "device_query"]) == 0
    assert capsys.readouterr().out.count("\nnumpy ") == 3


def test_an_unknown_command_ends_with_2_and_the_nearest_name(capsys):
    assert main(["trian", "solver.prototxt"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("minidl: error: there is no command 'trian'\n")
    assert "did you mean 'train'?" in err


def test_no_command_prints_the_usage_and_ends_with_2(capsys):
    assert main([]) == 2
    assert "usage: minidl COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["help"], ["-h"], ["-help"]])
def test_help_lists_every_command(words, capsys):
    assert main(words) == 0
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    first = capsys.readouterr().out
    assert f"usage: minidl {command}" in first and "--logtostderr" in first
    assert main(["help", command]) == 0
    assert capsys.readouterr().out == first


def test_version(capsys):
    from minidl import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"minidl {__version__}\n"


@pytest.mark.parametrize("asked", ["9", "all", "0,1", "x"])
def test_a_gpu_that_is_not_to_be_had_is_refused_with_a_sentence(asked, gpu, capsys, tmp_path):
    net = tmp_path / "net.prototxt"
    net.write_text('name: "n"')
    assert main(["time", str(net), "-gpu", asked]) == 2
    err = capsys.readouterr().err
    assert "error: " in err and "Traceback" not in err and asked in err


def test_a_missing_file_is_named_with_its_neighbour(capsys, tmp_path):
    (tmp_path / "lenet_solver.prototxt").write_text("")
    assert main(["check", str(tmp_path / "lenet_solver.protxt")]) == 2
    err = capsys.readouterr().err
    assert "there is no such file" in err and "lenet_solver.prototxt'?" in err
    assert main(["check", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_threads_must_come_before_numpy(capsys):
    import numpy  # noqa: F401

    assert main(["device_query", "--threads", "1"]) == 2
    assert "NumPy is already loaded" in capsys.readouterr().err


def run_minidl(*words, **env):
    return subprocess.run(
        [sys.executable, "-m", "minidl", *words],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )


def test_threads_are_one_number_for_blas_and_engines():
    done = run_minidl("device_query", "--threads", "1", "--json", OPENBLAS_NUM_THREADS="2")
    facts = json.loads(done.stdout)
    names = "OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1, MKL_NUM_THREADS=1"
    assert facts["threads"] == f"1 ({names}; --threads N changes it)"


def test_help_is_quick_because_it_loads_nothing_heavy():
    code = "import sys; from minidl.cli import main; main(['train', '--help']);"
    code += "sys.exit('numpy' in sys.modules)"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    assert time.perf_counter() - began < 1.5  # 0.1 s on an idle machine


def test_a_bug_is_one_sentence_and_debug_shows_the_traceback(capsys, monkeypatch):
    from minidl.cli import device_query

    def broken(device):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(device_query, "query", broken)
    assert main(["device_query"]) == 1
    err = capsys.readouterr().err
    assert err == (
        "minidl: error: this is a bug in minidl (ZeroDivisionError: division by zero); "
        "--debug shows where\n"
    )
    assert main(["device_query", "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and "in broken" in err and err.count("minidl: error:") == 1


OUTSIDE = {
    "interrupted": (KeyboardInterrupt(), 130, "minidl: interrupted\n"),
    "disk full": (OSError(28, "No space left on device", "x"), 1, "No space left on device: x\n"),
    "memory": (MemoryError(), 1, "minidl: error: there is not enough memory\n"),
}


@pytest.mark.parametrize("error, code, text", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_what_the_machine_refuses_is_no_bug(error, code, text, capsys, monkeypatch):
    from minidl.cli import device_query

    def refused(device):
        raise error

    monkeypatch.setattr(device_query, "query", refused)
    assert main(["device_query"]) == code
    assert capsys.readouterr().err.endswith(text)


def test_a_reader_who_leaves_early_is_no_error():
    words = f"{sys.executable} -m minidl device_query; echo $? >&2"
    done = subprocess.run(
        ["sh", "-c", f"({words}) | true"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stderr in ("0\n", "") or done.stderr.strip() == "0"


def test_help_shows_examples_on_lines_of_their_own(capsys):
    assert main(["train", "--help"]) == 0
    assert "\n    minidl train SOLVER\n" in capsys.readouterr().out


KINDS = {
    "the kind first": ["folder", "x", "--size", "3"],
    "a flag before it": ["--force", "--out", "there", "folder", "x", "--size=3"],
}


@pytest.mark.parametrize("words", KINDS.values(), ids=KINDS.keys())
def test_a_kind_of_a_command_has_flags_of_its_own(words):
    args = parser_for("dataset").read(words)
    assert (args.pictures, args.size, args.command) == ("x", (3, 3), "dataset")
    assert "size" in parser_for("dataset").flags()


def test_a_kinds_flag_elsewhere_is_refused_with_its_owner():
    with pytest.raises(UsageError, match=r"no flag '--size'(.|\n)*belongs to minidl dataset fol"):
        parser_for("dataset").read(["digits", "--size", "3"])
    with pytest.raises(
        UsageError, match=r"dataset folder: there is no flag '--i(.|\n)*minidl test"
    ):
        parser_for("dataset").read(["folder", "x", "--iterations", "3"])


@pytest.mark.parametrize(
    "words, meant",
    [(["dataset", "scna", "pictures"], "scan"), (["evaluate", "shwo", "folder"], "show")],
)
def test_a_kind_of_a_command_that_is_nearly_right_is_named(words, meant, capsys):
    assert main(words) == 2
    assert f"did you mean '{meant}'?" in capsys.readouterr().err
