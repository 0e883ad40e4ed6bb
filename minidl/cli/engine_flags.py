"""The flags that choose the engines of the layers: --engine and others."""

from __future__ import annotations

import argparse
import re
from argparse import Namespace
from typing import Any

from minidl.cli.arguments import Parser, add_device
from minidl.engines.math import MATHS

SIZE = re.compile(r"([\d.]+)\s*([kmg]?i?b)?", re.IGNORECASE)
# The same as in minidl.engines, which cannot be imported before --threads is known: NumPy comes
# with it.
ENGINES = ("auto", "numpy", "onednn", "cudnn", "cupy")
TUNINGS = ("heuristic", "measure", "cached")
OPTIONS = ("engine", "math", "algorithm", "workspace_limit", "tuning", "deterministic")
DEFAULTS = {"math": "float32", "algorithm": "fastest", "tuning": "heuristic"}


def add(parser: Parser) -> None:
    """Add the flags for the fields of `minidl.engines.select.Policy`, and -gpu."""
    add_device(parser)
    group = parser.add_argument_group("engines")
    group.add_argument(
        "--engine",
        choices=ENGINES,
        help="auto: the fastest; numpy: array code, on a GPU through CuPy; onednn, on the"
        " CPU; cudnn, or cupy for our own kernels, on a GPU; an error if it is not available"
        " (default: MINIDL_ENGINE, else auto)",
    )
    group.add_argument(
        "--math",
        choices=list(MATHS),
        default=DEFAULTS["math"],
        help="arithmetic of the engines: float32, bf16; on a GPU also tf32 and fp16"
        " (default: float32)",
    )
    group.add_argument(
        "--algorithm",
        default=DEFAULTS["algorithm"],
        metavar="NAME",
        help="fastest, no_workspace, direct, or a part of an implementation's name, such as gemm"
        " or nhwc (default: fastest)",
    )
    group.add_argument(
        "--workspace-limit",
        type=size,
        metavar="SIZE",
        help="memory that one layer may use while it runs: 8MB, 512KiB, 0 (default: any)",
    )
    group.add_argument(
        "--tuning",
        choices=TUNINGS,
        default=DEFAULTS["tuning"],
        help="heuristic: take the implementation that should be fastest; measure: time all of"
        " them first; cached: the same, and remember (default: heuristic)",
    )
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="only implementations with the same bits in every run; on the CPU all have",
    )


def options(args: Namespace) -> dict[str, Any]:
    """Return the options of a Net that the flags of `add` give."""
    return {name: getattr(args, name) for name in OPTIONS}


def policy(args: Namespace) -> Any:
    """Return them as a `minidl.engines.select.Policy`."""
    from minidl.arrays.threads import threads
    from minidl.cli import models
    from minidl.engines import select

    asked = options(args)
    limit = asked.pop("workspace_limit")
    return select.policy(**asked, limit=limit, threads=threads(), device=models.device(args))


def words(args: Namespace) -> list[str]:
    """Return the words that ask for the same engines again."""
    given: list[str] = []
    for name in ("engine", "math", "algorithm", "workspace_limit", "tuning"):
        value = getattr(args, name)
        if value not in (None, DEFAULTS.get(name)):
            given += [f"--{name.replace('_', '-')}", str(value)]
    return [*given, *(["--deterministic"] if args.deterministic else [])]


def size(text: str) -> int:
    """Argument type: a size in memory, in bytes.

    >>> size("8MB"), size("1.5 KiB"), size("4096")
    (8000000, 1536, 4096)
    """
    match = SIZE.fullmatch(text.strip())
    try:
        number = float(match.group(1)) if match else -1
    except ValueError:
        number = -1
    if match is None or not 0 <= number < 2**63:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 8MB, 512KiB or 0")
    unit = (match.group(2) or "b").lower()
    power = " kmg".index(unit[0]) if len(unit) > 1 else 0
    return round(number * (1024 if "i" in unit else 1000) ** power)
