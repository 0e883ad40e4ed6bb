"""Commands whose output is closed, full, no longer read, or in another encoding."""

import contextlib
import io
import os
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from minidl import Net, schema
from minidl.cli import main
from minidl.cli.output import OutputError, guarded
from minidl.errors import MinidlError
from minidl.prototxt import to_text
from tests.support import ROOT

NET = """
name: "gr\u00f6\u00dfe"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }
"""
FULL = os.path.exists("/dev/full")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "n.prototxt").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(command, **environment):
    """Run `minidl <command>` in a shell; its status, and what came to stdout and stderr."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    minidl = f"'{sys.executable}' -m minidl"
    done = subprocess.run(
        ["bash", "-c", command.replace("minidl", minidl)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["check n.prototxt", "check --help"])
@pytest.mark.parametrize(
    "end, status, said",
    [
        (">&-", 1, b"minidl: error: stdout: cannot be written: Bad file descriptor\n"),
        pytest.param(
            "> /dev/full",
            1,
            b"minidl: error: stdout: cannot be written: No space left on device\n",
            marks=pytest.mark.skipif(not FULL, reason="there is no /dev/full"),
        ),
        pytest.param(
            "2> /dev/full",
            0,
            b"",
            marks=pytest.mark.skipif(not FULL, reason="there is no /dev/full"),
        ),
        ("2>&-", 0, b""),
    ],
)
def test_a_closed_or_full_output_is_said_in_one_line(folder, command, end, status, said):
    found, _, err = shell(f"minidl {command} {end}")
    assert (found, err) == (status, said)


def test_both_closed_leave_the_status(folder):
    assert shell("minidl check n.prototxt >&- 2>&-") == (1, b"", b"")
    assert shell("minidl check nothing.prototxt >&- 2>&-") == (2, b"", b"")


def test_a_reader_that_has_seen_enough_is_no_error(folder):
    status, _, err = shell("set -o pipefail; minidl check n.prototxt | head -c 1 > seen")
    assert (status, err) == (0, b"")


def test_a_file_that_is_written_never_becomes_stdout(folder):
    """The first file opened gets the lowest free descriptor, which print would write to."""
    status, _, _ = shell("minidl draw n.prototxt --out net.svg <&- >&-")
    assert status == 1 and (folder / "net.svg").read_text().rstrip().endswith("</svg>")


def test_an_encoding_without_our_letters_shows_them_escaped(folder):
    status, out, err = shell("minidl check n.prototxt", PYTHONIOENCODING="ascii")
    assert status == 0 and out.startswith(b"gr\\xf6\\xdfe, phase TEST") and not err


def test_paths_that_are_not_utf8_are_read_and_shown(folder):
    name = b"caf\xe9.prototxt"
    try:
        os.rename("n.prototxt", name)
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    assert shell("minidl check caf*.prototxt")[0] == 0
    status, _, err = shell(r"minidl check $'caf\xff.prototxt'")
    assert status == 2
    assert b"caf\\xff.prototxt: there is no such file" in err and b"caf\\xe9.prototxt'?" in err


def test_control_characters_in_a_file_do_not_reach_the_terminal(folder, capsys):
    text = NET.replace('"ip"', '"i\\033[2Jp"')
    (folder / "n.prototxt").write_text(text, encoding="utf-8")
    assert main(["check", "n.prototxt"]) == 0
    assert "i\\x1b[2Jp" in capsys.readouterr().out
    (folder / "n.prototxt").write_text(text.replace('"x"', '"\\033]0;\\007"', 1))
    assert main(["check", "n.prototxt"]) == 2
    out, err = capsys.readouterr()
    assert not set(out + err) & set("\x1b\x07")


class Broken(io.StringIO):
    def write(self, text):
        raise OSError(5, "Input/output error")


def test_streams_are_put_back_and_failures_of_stdout_are_errors(monkeypatch):
    mine = Broken(), Broken()
    monkeypatch.setattr(sys, "stdout", mine[0])
    monkeypatch.setattr(sys, "stderr", mine[1])
    with guarded():
        print("dropped", file=sys.stderr)
        with pytest.raises(OutputError, match="stdout: cannot be written: Input/output error"):
            print("lost")
    assert (sys.stdout, sys.stderr) == mine


@pytest.mark.parametrize("command", ["check", "summarize"])
def test_names_of_a_megabyte_are_cut(folder, capsys, command):
    long = "x" * 1_000_000
    (folder / "n.prototxt").write_text(NET.replace('"x"', f'"{long}"').replace("größe", long))
    assert main([command, "n.prototxt"]) == 0
    out = capsys.readouterr().out
    assert len(out) < 20_000 and "[999,780 more]" in out
    assert main([command, "n.prototxt", "--json"]) == 0
    assert long in capsys.readouterr().out, "programs get all of it"


NAMES = st.lists(
    st.sampled_from(["\x1b[2J", "\x00", "\r", "\n", "\x9b", "\u202e", "\u2028", "\u5c64", "$x_{"])
    | st.sampled_from(["\\", '"', "<b>", "&", "%s", "{0}", "/", " ", "..", "x" * 3000, "a"]),
    max_size=4,
).map("".join)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES, NAMES, NAMES, NAMES)
@example("", "", "data", "out")
def test_whatever_things_are_called_commands_end_with_an_answer_or_a_sentence(
    folder, capsys, net, layer, bottom, top
):
    param = schema.NetParameter(name=net)
    param.layer.add(name=layer, type="Input", top=[bottom])
    param.layer[0].input_param.shape.add(dim=[2, 3, 5, 5])
    param.layer.add(name=layer, type="Convolution", bottom=[bottom], top=[top])
    param.layer[1].convolution_param.num_output = 2
    param.layer[1].convolution_param.kernel_size.append(3)
    (folder / "n.prototxt").write_text(to_text(param), encoding="utf-8")
    words = ["show --weights n.caffemodel", "summarize", "draw -o n.svg", "check"]
    with contextlib.suppress(MinidlError):
        Net("n.prototxt").save("n.caffemodel")
    for command, *flags in map(str.split, words):
        assert main([command, "n.prototxt", *flags]) in (0, 2)
        out, err = capsys.readouterr()
        control = {c for c in out + err if unicodedata.category(c) in ("Cc", "Cs")}
        assert control <= {"\n", "\t"} and len(out + err) < 30_000
