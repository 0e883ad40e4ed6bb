"""minidl: Caffe reborn in Python that can be read. The public names, and nothing else.

Each name is fetched when it is first used, so `minidl --help` does not wait for NumPy, and the
command line can set the number of BLAS threads before NumPy loads.
"""

import importlib as _importlib
import os as _os
from typing import TYPE_CHECKING, Any

# Before NumPy loads: its OpenBLAS workers otherwise keep spinning for about 25 ms after every
# matrix product, on a core that the next layer needs (2**8 cycles instead of 2**26).
_os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "8")
# Before libgomp loads, for the same reason: oneDNN's threads wait passively, but not at once. They
# look for work 100,000 times (some 0.1 ms) before they sleep, as the next layer's is near: medians
# of a LeNet step were 12.5 and 21.6 ms without that, 9.2 and 10.8 with it.
_os.environ.setdefault("OMP_WAIT_POLICY", "passive")
_os.environ.setdefault("GOMP_SPINCOUNT", "100000")

__version__ = "0.1.0"

_HOMES = {
    "AdaDeltaSolver": "minidl.solver",
    "AdaGradSolver": "minidl.solver",
    "AdamSolver": "minidl.solver",
    "Blob": "minidl.arrays.blob",
    "Classifier": "minidl.classifier",
    "Detector": "minidl.detector",
    "Layer": "minidl.pycaffe",
    "MinidlError": "minidl.errors",
    "NesterovSolver": "minidl.solver",
    "Net": "minidl.net",
    "NetSpec": "minidl.spec",
    "Param": "minidl.arrays.blob",
    "RMSPropSolver": "minidl.solver",
    "SGDSolver": "minidl.solver",
    "TEST": "minidl.schema",
    "TRAIN": "minidl.schema",
    "flush_denormals": "minidl.arrays.denormals",
    "get_solver": "minidl.solver",
    "layer_type_list": "minidl.layers.base",
    "proto": "minidl.pycaffe",
    "set_device": "minidl.arrays.device",
    "set_mode_cpu": "minidl.arrays.device",
    "set_mode_gpu": "minidl.arrays.device",
    "set_random_seed": "minidl.arrays.rng",
    "to_proto": "minidl.spec",
}

# Those whose names are used with their own: minidl.io.Transformer.
_MODULES = {
    "coord_map": "minidl.coord_map",
    "io": "minidl.io",
    "preprocess": "minidl.preprocess",
    "profile": "minidl.profile",
    "spec": "minidl.spec",
    "tiles": "minidl.draw.tiles",
}

__all__ = [*_HOMES, *_MODULES, "__version__"]

if TYPE_CHECKING:
    from minidl import coord_map, io, preprocess, profile, spec
    from minidl.arrays.blob import Blob, Param
    from minidl.arrays.denormals import flush_denormals
    from minidl.arrays.device import set_device, set_mode_cpu, set_mode_gpu
    from minidl.arrays.rng import set_random_seed
    from minidl.classifier import Classifier
    from minidl.detector import Detector
    from minidl.draw import tiles
    from minidl.errors import MinidlError
    from minidl.layers.base import layer_type_list
    from minidl.net import Net
    from minidl.pycaffe import Layer, proto
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
    from minidl.spec import NetSpec, to_proto


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return _importlib.import_module(_MODULES[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'minidl' has no attribute {name!r}")
    value = getattr(_importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
