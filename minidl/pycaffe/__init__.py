"""pycaffe's namespace: what `import caffe` gives a program that was written for Caffe.

`import minidl.caffe` puts this package in Caffe's place; `modules` says under which names. Here are
the names alone, without any effect on the process. docs/pycaffe.md says how far each one goes.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

from minidl import classifier, coord_map, detector, io
from minidl.arrays.device import set_device, set_mode_cpu, set_mode_gpu
from minidl.arrays.rng import set_random_seed
from minidl.classifier import Classifier
from minidl.detector import Detector
from minidl.errors import MinidlError
from minidl.layers.base import layer_type_list
from minidl.layers.python_code import PythonLayer as Layer
from minidl.net import Net
from minidl.pycaffe import draw, net_spec, proto
from minidl.pycaffe.process import (
    NCCL,
    Timer,
    has_nccl,
    init_log,
    log,
    set_multiprocess,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from minidl.schema import TEST, TRAIN
from minidl.solver import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    get_solver,
)
from minidl.spec import NetSpec, layers, params, to_proto

__all__ = [
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Classifier",
    "Detector",
    "Layer",
    "MinidlError",
    "NCCL",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "TEST",
    "TRAIN",
    "Timer",
    "classifier",
    "coord_map",
    "detector",
    "draw",
    "get_solver",
    "has_nccl",
    "init_log",
    "io",
    "layer_type_list",
    "layers",
    "log",
    "net_spec",
    "params",
    "proto",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
]

__version__ = "1.0.0"  # of the pycaffe whose names these are; minidl's is minidl.__version__


@functools.cache
def modules() -> dict[str, Any]:
    """Return the entries of `sys.modules` for programs that import Caffe or a part of it."""
    here = sys.modules[__name__]
    parts = {
        "proto": proto,
        "proto.caffe_pb2": proto.caffe_pb2,
        "pycaffe": here,
        "_caffe": here,
        "classifier": classifier,
        "coord_map": coord_map,
        "detector": detector,
        "draw": draw,
        "io": io,
        "layers": layers,
        "net_spec": net_spec,
        "params": params,
    }
    return {"caffe": here, **{f"caffe.{name}": part for name, part in parts.items()}}


class _Path(list[str]):
    """Where parts of `caffe` are looked for that are not ours: in the folders `caffe` of `sys.path`
    as it is then, such as a fork's, whose caffe.model_libs builds on the names above."""

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        for folder in sys.path:
            part = os.path.join(folder, "caffe")
            if os.path.isdir(part):
                yield part


__path__ = _Path(__path__)
