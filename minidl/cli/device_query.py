"""Print what minidl computes with on this machine: Python, BLAS, engines, cores, GPUs, memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.arrays.threads import VARIABLES, threads, usable_cores
from minidl.arrays.units import bytes_
from minidl.cli import as_json
from minidl.cli.arguments import Parser, add_device
from minidl.cli.log import logging_to
from minidl.cli.models import use_device

PACKAGES = {  # packages that minidl uses, and their purpose
    "numpy": "all arrays",
    "protobuf": "prototxt, caffemodel, LMDB records",
    "lmdb": "Data layers",
    "tqdm": "progress bars",
    "Pillow": "encoded images in LMDB records",
    "scikit-learn": "the digits data set",
    "h5py": "weights and snapshots in HDF5",
    "safetensors": "weights in safetensors",
    "cramjam": "LevelDB",
}


def add_arguments(parser: Parser) -> None:
    add_device(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: Namespace) -> int:
    with logging_to(args):
        one = args.gpu and args.gpu != "all"  # all are always listed
        facts = query(use_device(args) if one else "cpu")
    if args.json:
        print(as_json.dumps(facts))
        return 0
    width = max(map(len, facts)) + 2
    for name, value in facts.items():
        print(f"{name:<{width}}{value}")
    return 0


def query(device: str = "cpu") -> dict[str, str]:
    """Return facts by name, as text; `device` is the one asked for."""
    from minidl import __version__
    from minidl.cli.gpus import gpus  # here, because NumPy comes with it
    from minidl.profile import machine

    facts = {
        "minidl": f"{__version__}, {Path(__file__).resolve().parent.parent}",
        "Python": f"{platform.python_version()}, {sys.executable}",
        "system": platform.platform(),
        "device": device,
        "processor": machine.processor(),
        "cores": f"{usable_cores()} usable of {os.cpu_count()}",
        "memory": _memory(),
        "BLAS": _blas(),
        "oneDNN": _onednn(),
        "threads": _threads(),
        **gpus(),
    }
    for package, purpose in PACKAGES.items():
        version = _version(package)
        facts[package] = version or f"not installed (for {purpose}): pip install {package}"
    return facts


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory() -> str:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (li.partition(":") for li in lines)}
        total, free = kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024
        return f"{bytes_(total)}, {bytes_(free)} available"
    except (OSError, KeyError, ValueError, IndexError):
        return "unknown"


def _blas() -> str:
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


def _onednn() -> str:
    """Return '3.2.0, avx512_core_amx: bfloat16 yes, AMX yes'; or why it is not available."""
    from minidl.arrays.device import Device
    from minidl.engines.math import BF16
    from minidl.engines.onednn import OneDNN
    from minidl.engines.request import Declined

    engine = OneDNN.load(Device("cpu"))
    if isinstance(engine, Declined):
        return f"array code computes instead: {engine.reason}"
    units = {"bfloat16": BF16 in engine.maths, "AMX": "amx" in engine.isa}
    has = ", ".join(f"{unit} {'yes' if there else 'no'}" for unit, there in units.items())
    return f"{engine.version}, {engine.isa}: {has}"


def _threads() -> str:
    """Return the number of threads of BLAS and engines, and where it was set."""
    given = [f"{name}={os.environ[name]}" for name in VARIABLES if os.environ.get(name)]
    return f"{threads()} ({', '.join(given) or 'all usable cores'}; --threads N changes it)"
