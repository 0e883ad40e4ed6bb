"""Python layers of well-known programs, and the layer types here that compute the same."""

from __future__ import annotations

import ast
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import Any, NamedTuple

from minidl import prototxt, schema
from minidl.errors import LayerConfigError
from minidl.layers.base import REGISTRY
from minidl.layers.context import Context

log = logging.getLogger("minidl")

_PAIR = re.compile(
    r"""['"]?(\w+)['"]?\s*:\s*(?:!!python/tuple\s*)?(\[[^\]]*\]|\([^)]*\)|[^\n,}]+)"""
)


class Known(NamedTuple):
    """A class of a public program.

    source   where its code is
    type     the layer type here that computes the same; "" where there is none
    fill     f(layer, settings, phase): writes the type's parameters; settings are its param_str
    """

    source: str
    type: str = ""
    fill: Callable[[Any, dict[str, Any], int], None] | None = None


def _proposal(layer: Any, settings: dict[str, Any], phase: int) -> None:
    p, train = layer.proposal_param, phase == schema.TRAIN
    p.feat_stride = settings["feat_stride"]
    p.scale.extend(settings.get("scales", ()))
    p.pre_nms_topn, p.post_nms_topn = (12000, 2000) if train else (6000, 300)


def _anchor_target(layer: Any, settings: dict[str, Any], phase: int) -> None:
    p = layer.anchor_target_param
    p.feat_stride = settings["feat_stride"]
    p.scale.extend(settings.get("scales", ()))
    p.allowed_border = settings.get("allowed_border", 0)


def _proposal_target(layer: Any, settings: dict[str, Any], phase: int) -> None:
    p = layer.proposal_target_param
    p.num_classes = settings["num_classes"]
    p.agnostic = p.four_axes = p.num_classes == 2  # R-FCN's way


def _text_proposal(layer: Any, settings: dict[str, Any], phase: int) -> None:
    layer.text_proposal_param.feat_stride = settings["feat_stride"]


def _spatial_dropout(layer: Any, settings: dict[str, Any], phase: int) -> None:
    p = layer.spatial_dropout_param
    p.dropout_ratio = float(settings["p"])
    p.phase = schema.TRAIN if settings["phase"] == "TRAIN" else schema.TEST
    p.scale_test = True


FASTER = "rbgirshick/py-faster-rcnn, lib"
FCN = "shelhamer/fcn.berkeleyvision.org"

# The last part of the module's name, and the class.
KNOWN = {
    ("proposal_layer", "ProposalLayer"): Known(f"{FASTER}/rpn", "Proposal", _proposal),
    ("anchor_target_layer", "AnchorTargetLayer"): Known(
        f"{FASTER}/rpn", "AnchorTarget", _anchor_target
    ),
    ("proposal_target_layer", "ProposalTargetLayer"): Known(
        f"{FASTER}/rpn", "ProposalTarget", _proposal_target
    ),
    ("layer", "RoIDataLayer"): Known(f"{FASTER}/roi_data_layer"),
    ("spatial_dropout", "SpatialDropoutLayer"): Known(
        "TimoSaemann/caffe-enet, python", "SpatialDropout", _spatial_dropout
    ),
    ("pyloss", "EuclideanLossLayer"): Known("BVLC/caffe, examples/pycaffe/layers", "EuclideanLoss"),
    ("NormlizedMSE", "NormlizedMSE"): Known("ishay2b/VanillaCNN, python", "NormalizedMSE"),
    ("NormlizedMSE", "EuclideanLossLayer"): Known("ishay2b/VanillaCNN, python", "EuclideanLoss"),
    ("text_proposal_layer", "ProposalLayer"): Known(
        "tianzhi0549/CTPN, src/layers", "TextProposal", _text_proposal
    ),
    ("voc_layers", "VOCSegDataLayer"): Known(FCN),
    ("voc_layers", "SBDDSegDataLayer"): Known(FCN),
    ("nyud_layers", "NYUDSegDataLayer"): Known(FCN),
    ("siftflow_layers", "SIFTFlowSegDataLayer"): Known(FCN),
    ("pascalcontext_layers", "PASCALContextSegDataLayer"): Known(FCN),
    ("clustering", "ClusterDetections"): Known("NVIDIA/caffe, python/caffe/layers/detectnet"),
    ("clustering", "ClusterGroundtruth"): Known("NVIDIA/caffe, python/caffe/layers/detectnet"),
    ("mean_ap", "ScoreDetections"): Known("NVIDIA/caffe, python/caffe/layers/detectnet"),
    ("mean_ap", "mAP"): Known("NVIDIA/caffe, python/caffe/layers/detectnet"),
}


def known(spec: Any) -> Known | None:
    """Return the entry of KNOWN for the class that a Python layer names, or None."""
    p = spec.python_param
    return KNOWN.get((p.module.rpartition(".")[2], p.layer))


def replace_absent(net: Any, ctx: Context) -> Any:
    """Return the net with types of minidl in place of well-known classes that are not available.

    One line of the log says which. A class whose module can be found stays, for it may be another.
    """
    swaps = dict(_swaps(net, ctx))
    if not swaps:
        return net
    changed = schema.NetParameter()
    changed.CopyFrom(net)
    said: dict[str, str] = {}
    for index, found in swaps.items():
        layer = changed.layer[index]
        p = layer.python_param
        name = f"{p.module}.{p.layer}"
        said.setdefault(name, f"{name} of {found.source} ({prototxt.where(layer)})")
        try:
            if found.fill is not None:
                found.fill(layer, read_settings(p.param_str), ctx.phase)
        except (KeyError, TypeError, ValueError) as error:
            raise LayerConfigError(
                f"param_str is {p.param_str!r}: {type(error).__name__}: {error}",
                where=prototxt.where(layer, "python_param.param_str"),
                expected=f"the settings that {name} reads",
            ) from error
        layer.type = found.type
        layer.ClearField("python_param")
    kinds = ", ".join(dict.fromkeys(found.type for found in swaps.values()))
    log.info("No module found for %s: %s in its place", "; ".join(said.values()), kinds)
    return changed


def _swaps(net: Any, ctx: Context) -> Iterator[tuple[int, Known]]:
    there: dict[str, bool] = {}
    for index, layer in enumerate(net.layer):
        found = known(layer) if layer.type == "Python" else None
        if found is None or found.type not in REGISTRY:
            continue
        module = layer.python_param.module
        if module not in there:
            there[module] = is_there(module, ctx.allow_python)
        if not there[module]:
            yield index, found


def is_there(module: str, allowed: bool) -> bool:
    """True where a module can be found, on Python's path or in the current folder.

    allowed   whether code may run: to find what lies in a package by other means than its files
              takes importing the package
    """
    if module in sys.modules:
        return True
    path = module.replace(".", os.sep)
    endings = [*all_suffixes(), f"{os.sep}__init__.py"]
    for folder in [os.getcwd(), *sys.path]:
        if any(os.path.isfile(Path(folder, path + ending)) for ending in endings):
            return True
    if not allowed:
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:  # the package's own code, whatever it raises
        return False


def read_settings(text: str) -> dict[str, Any]:
    """Return the settings in a param_str, written as Python or as YAML: names and plain values.

    >>> read_settings("'feat_stride': 16 \\n'scales': !!python/tuple [4, 8]")
    {'feat_stride': 16, 'scales': [4, 8]}
    """
    found: dict[str, Any] = {}
    for name, value in _PAIR.findall(text):
        try:
            found[name] = ast.literal_eval(value.strip())
        except (SyntaxError, ValueError):
            found[name] = value.strip()
    return found
