"""The `minidl` command: one module a command, with `add_arguments(parser)` and `run(args)`."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from minidl.arrays import denormals, threads
from minidl.cli import modules, output
from minidl.cli.signals import Terminated, terminable
from minidl.errors import MinidlError, UsageError, did_you_mean, legible

COMMANDS = {
    "train": "train a net by its solver file, or one of the zoo on pictures",
    "stop": "stop the command that is at work in a folder",
    "test": "score trained weights on a net's data",
    "evaluate": "say how well a run answers a data set, and show the records behind it",
    "time": "time every layer of a net, forward and backward",
    "check": "print what a net or a solver would be, without making it",
    "gradcheck": "compare every layer's gradients with finite differences",
    "explain": "explain a layer type, a field, a solver type, an error, or a layer of a net",
    "summarize": "print a net as a table, with sums by layer type",
    "draw": "draw a net as SVG, with the shapes of its blobs",
    "show": "show filters, and what they make of a picture, with statistics",
    "extract_features": "write what blobs hold for the records of a data set, or for pictures",
    "classify": "print class scores of pictures",
    "detect": "score windows of images, listed in a file",
    "parse_log": "turn a run's log into tables of its training and test figures",
    "plot": "draw loss, test figures and learning rate of runs",
    "export": "write a net with its weights as an ONNX model",
    "convert": "write weights as caffemodel, HDF5, npz or safetensors",
    "upgrade": "write a net or solver of 2013 or 2014 in today's form",
    "dataset": "get a data set, or make one of folders of pictures",
    "convert_imageset": "write listed images as an LMDB of Datums",
    "compute_image_mean": "compute the mean image of a data set",
    "serve": "serve a page to see, start, steer and compare jobs",
    "run": "run a program that was written for pycaffe",
    "device_query": "print what minidl computes with on this machine",
}
OK, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143

USAGE = """usage: minidl COMMAND [flags]

{commands}

minidl COMMAND --help describes one. minidl --version prints the version.
Flags are Caffe's: -solver x, --solver x and --solver=x are the same.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code: 0 done, 1 the run failed, 2 bad input,
    130 interrupted, 143 terminated."""
    words = list(sys.argv[1:] if argv is None else argv)
    with output.guarded():
        return _run(words)


def _run(words: list[str]) -> int:
    debug = any(map(_is_debug, words))
    try:
        with terminable():
            code = dispatch(words)
        sys.stdout.flush()
        return code
    except MinidlError as error:
        return _fail(f"error: {error}", error.exit_code, debug)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, debug)
    except Terminated:
        return _fail("terminated", TERMINATED, debug)
    except output.ReaderLeft:
        return OK
    except MemoryError:
        return _fail("error: there is not enough memory", FAILED, debug)
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        return _fail(f"error: {what}", FAILED, debug)
    except Exception as error:
        if str(error) == "can't start new thread":  # CPython's words, of a RuntimeError
            what = "the system cannot start another thread for this user or container"
            return _fail(f"error: {what}\n  fix: --threads 1, or ulimit -u", FAILED, debug)
        what = f"{type(error).__name__}: {error}"
        return _fail(f"error: this is a bug in minidl ({what}); --debug shows where", FAILED, debug)


def parser_for(command: str) -> Any:
    """Return the command's parser, with its own flags and the common ones."""
    from minidl.cli.arguments import Parser, add_common

    module = importlib.import_module(f"minidl.cli.{command}")
    parser = Parser(
        prog=f"minidl {command}",
        description=module.__doc__,
        elsewhere=lambda name: _elsewhere(command, name),
    )
    module.add_arguments(parser)
    add_common(parser)
    parser.set_defaults(run=module.run, command=command)
    return parser


def dispatch(words: list[str]) -> int:
    """Run one command line; errors are raised."""
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    usage = USAGE.format(commands=listing)
    if not words:
        sys.stderr.write(usage)
        return UsageError.exit_code
    if words[0].lstrip("-") in ("help", "h"):
        words = [*words[1:2], "--help"] if len(words) > 1 else words[:1]
        if len(words) == 1:
            sys.stdout.write(usage)
            return OK
    if words[0] in ("--version", "-version", "version"):
        from minidl import __version__

        print(f"minidl {__version__}")
        return OK
    command, rest = _command(words)
    try:
        args = parser_for(command).read(rest)
    except SystemExit as end:  # argparse has printed the help
        return int(end.code or 0)
    args.line = words
    _use_threads(args)
    with denormals.flushed(args.flush_denormals):  # before NumPy starts its threads
        modules.load(args.modules)
        if args.allow_python:
            return _run_with_python(args)
        return int(args.run(args) or OK)


def _run_with_python(args: Any) -> int:
    """Run the command with Python layers allowed, for all nets of this process."""
    from minidl.layers.context import ALLOW_PYTHON

    before = os.environ.get(ALLOW_PYTHON)
    os.environ[ALLOW_PYTHON] = "1"
    try:
        return int(args.run(args) or OK)
    finally:
        if before is None:
            del os.environ[ALLOW_PYTHON]
        else:
            os.environ[ALLOW_PYTHON] = before


def _command(words: list[str]) -> tuple[str, list[str]]:
    """Return the command, and the words without it; as in Caffe, flags may come before it."""
    for i, word in enumerate(words):
        name = word.replace("-", "_")
        if name in COMMANDS:
            return name, words[:i] + words[i + 1 :]
        if not word.startswith("-") and (i == 0 or not words[i - 1].startswith("-")):
            raise UsageError(
                f"there is no command '{word}'",
                expected=", ".join(COMMANDS),
                fix=did_you_mean(name, COMMANDS),
            )
    raise UsageError("which command?", expected=", ".join(COMMANDS))


def _elsewhere(command: str, flag: str) -> str:
    """Return a hint to which commands a flag belongs that `command` does not have."""
    if command == "train" and flag == "iterations":
        return "the solver's max_iter sets how long to train: --set max_iter=N"
    owners = [c for c in COMMANDS if c != command and flag in parser_for(c).flags()]
    return f"--{flag} belongs to minidl {', '.join(owners)}" if owners else ""


def _is_debug(word: str) -> bool:
    """Return whether this is --debug or --debug=1: needed before the words are parsed."""
    from minidl.cli.arguments import FLAG, YES

    match = FLAG.fullmatch(word)
    if match is None or match.group(1) != "debug":
        return False
    value = match.group(2)
    return value is None or value[1:].lower() in YES


def _use_threads(args: Any) -> None:
    """Set the number of threads, which OpenBLAS reads once, when NumPy loads."""
    if args.threads is None:
        threads.threads()  # refuses an absurd number in the environment
        return
    if "numpy" in sys.modules:
        raise UsageError(
            "NumPy is already loaded, its number of threads is fixed",
            where="--threads",
            fix="set OPENBLAS_NUM_THREADS before Python starts",
        )
    for name in threads.VARIABLES:
        os.environ[name] = str(args.threads)


def _fail(text: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(output.OutputError, output.ReaderLeft):
        sys.stdout.flush()
    sys.stderr.write(f"minidl: {legible(text)}\n")
    return code
