"""Run a program that was written for pycaffe: its `import caffe` gives minidl.

The words after the program's name are the program's. It may use Python layers, and its log goes to
stderr, as with `import minidl.caffe`. Its exit status is the command's.
"""

from __future__ import annotations

import runpy
import sys
import traceback
from argparse import Namespace
from pathlib import Path

from minidl.cli import output, signals
from minidl.cli.arguments import Parser, existing
from minidl.cli.log import logging_to
from minidl.errors import MinidlError, UsageError


def add_arguments(parser: Parser) -> None:
    parser.passes_on = True
    parser.add_argument("program", help="the program, a Python file, followed by its own arguments")


def run(args: Namespace) -> int:
    path = existing(args.program, "a program in Python")
    _check(path)
    args.logtostderr = True
    with logging_to(args):
        import minidl.caffe  # noqa: F401  (from here on `import caffe` gives it)

        sys.argv = [args.program, *args.words]
        sys.path.insert(0, str(path.resolve().parent))  # as `python program.py` does
        try:
            with output.given_back(), signals.given_back():
                runpy.run_path(str(path), run_name="__main__")
        except MinidlError as error:
            frames = traceback.extract_tb(error.__traceback__)
            here = [frame for frame in frames if frame.filename == str(path)]
            print(f"minidl: {path}:{here[-1].lineno}: {here[-1].line}", file=sys.stderr)
            raise
        except Exception as error:
            trace = error.__traceback__  # as Python shows it, from the program's first line on
            while trace is not None and trace.tb_frame.f_code.co_filename != str(path):
                trace = trace.tb_next
            traceback.print_exception(type(error), error, trace or error.__traceback__)
            return 1
    return 0


def _check(path: Path) -> None:
    """Refuse a file that is not today's Python, such as a program in Python 2."""
    try:
        compile(path.read_bytes(), str(path), "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise UsageError(
            f"this is not Python 3: {getattr(error, 'msg', error)}",
            where=f"{path}:{line}" if line else str(path),
            fix="convert a program in Python 2 first, for example with 2to3",
        ) from None
