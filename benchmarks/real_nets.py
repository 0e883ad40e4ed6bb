"""Nets as their owners left them: read, built for one random record, and run.

The files are those of the reference material, ../shared/prototxt or what MINIDL_SHARED names.
"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl import prototxt, schema
from minidl.cli.models import guess_record
from minidl.errors import MinidlError
from minidl.layers import python_known
from minidl.layers.base import REGISTRY
from minidl.layers.context import Context
from minidl.net import Net
from minidl.net.blueprint import Blueprint
from minidl.prototxt import upgrade_netscope, upgrade_v0, upgrade_v1

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("MINIDL_SHARED", ROOT.parent / "shared")) / "prototxt"

# No layers: the upgrade folds one into what follows, and makes an input of the other.
FOLDED = {"(V0 padding)", "memory_data"}
STAGES = [(), ("train",), ("val",), ("deploy",)]  # DIGITS writes one file for all three
# Records where nothing in a file tells their shape: the first with which the net can be built.
RECORDS = [
    *[(1, 28, 28), (3, 32, 32), (2, 28, 28), (1, 100, 100), (3, 100, 100), (3, 256, 256)],
    (3, 360, 480),
    *[(1, 32, 100), (1, 32, 128), (3, 40, 40), (2,), (4,)],
]
LOSSES = ("EuclideanLoss", "AngleLoss", "NormalizedMSE", "CtcLoss")  # with targets of any shape
DETECTNET = "DetectNetTransformation"
READERS = (
    *("data_param", "image_data_param", "hdf5_data_param", "window_data_param"),
    *("dense_image_data_param", "pose_image_data_param"),
)
LABELS = 2  # of a sequence
BOXES = 2  # of a picture of DetectNet's
ROIS = 2  # regions of an image where a net's own data layer would give them


class Trial(NamedTuple):
    """A net in one phase that can be built, with the records and stages that make it possible."""

    net: Any
    phase: int
    record: tuple[int, ...]
    stages: tuple[str, ...]
    plan: Blueprint

    @property
    def multiply_adds(self) -> int:
        return sum(node.multiply_adds for node in self.plan.nodes)

    @property
    def numbers(self) -> int:
        """All numbers of its blobs and parameters."""
        shapes = [*self.plan.blob_shapes.values(), *(p.shape for p in self.plan.params)]
        return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)


def index() -> list[dict[str, Any]]:
    """What is known of each file: `file`, `format`, `layer_types`; [] without the files.

    The malformed file is left out: it lies elsewhere, and has a test of its own.
    """
    path = FOLDER / "index.json"
    entries = json.loads(path.read_text()) if path.exists() else []
    return [entry for entry in entries if entry["format"] != "UNPARSED"]


def is_net(entry: dict[str, Any]) -> bool:
    """Whether a file is a net, rather than a solver or a map of labels."""
    return entry["format"] not in ("solver", "labelmap")


def unknown_types(entry: dict[str, Any]) -> list[str]:
    """The layer types of a file that minidl does not have."""
    old = {*upgrade_v0.TYPES, *upgrade_v1.TYPES, upgrade_netscope.IMPLICIT}
    return sorted(set(entry["layer_types"] or ()) - set(REGISTRY) - old - FOLDED)


def read(file: str) -> Any:
    """The net of a file, upgraded."""
    return prototxt.read_net(FOLDER / file)


def possible(net: Any, phase: int, file: str) -> Trial:
    """The net for one record if it can be one, else for as many as the file says.

    A refusal in the same words for records of very different sizes is none of the shape: no more
    are tried.

    Errors: MinidlError, the first refusal.
    """
    refusal: MinidlError | None = None
    for param in variants(net):
        for stages in stages_of(param):
            said: dict[str, int] = {}  # words -> side of the first record they were said for
            for record in records(param, file):
                ctx = Context(phase=phase, absent_data=record, allow_python=True)
                try:
                    return Trial(param, phase, record, stages, Blueprint(param, ctx, stages=stages))
                except MinidlError as error:
                    refusal = refusal or error
                    if max(record) >= 4 * said.setdefault(str(error), max(record)):
                        break
                try:
                    fitted = with_targets(param, ctx, stages)
                    return Trial(fitted, phase, record, stages, Blueprint(fitted, ctx, 0, stages))
                except MinidlError:
                    pass
    assert refusal is not None
    raise refusal


def stages_of(net: Any) -> list[tuple[str, ...]]:
    """The stages that make a difference: none, and those that its rules name."""
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    named = {stage for rule in rules for stage in (*rule.stage, *rule.not_stage)}
    return [stages for stages in STAGES if named.issuperset(stages)]


def records(net: Any, file: str) -> list[tuple[int, ...]]:
    """Shapes to try: what the file hints at, then all."""
    guess = guess_record(net, file, Namespace(shape=None))
    return list(dict.fromkeys([*([guess] if guess else []), *RECORDS]))


def variants(net: Any) -> Iterator[Any]:
    """The net for one record and as it is, with what an owner's data layer gives in the shapes of
    Fast R-CNN, then in those of R-FCN."""
    for rfcn in (False, True):
        yield from sizes(with_sources(net, rfcn))
        if not any(layer.type == "Python" and not layer.bottom for layer in net.layer):
            return


def sizes(net: Any) -> Iterator[Any]:
    """The net for one record, unless it says itself how many there are; and the net as it is."""
    if not any(layer.reshape_param.shape.dim[:1] not in ([], [0], [-1]) for layer in net.layer):
        small = schema.NetParameter()
        small.CopyFrom(net)
        for layer in small.layer:
            for field in READERS:
                if layer.HasField(field):
                    getattr(layer, field).batch_size = 1
            for shape in [*layer.input_param.shape, *layer.dummy_data_param.shape]:
                shape.dim[0] = 1
        yield small
    yield net


def with_sources(net: Any, rfcn: bool = False) -> Any:
    """Python layers without bottoms, which read an owner's data, become Input layers; so do
    databases of DetectNet's boxes."""
    changed = schema.NetParameter()
    changed.CopyFrom(net)
    boxes = {layer.bottom[1] for layer in net.layer if layer.type == DETECTNET}
    for layer in changed.layer:
        if layer.type == "Data" and boxes & set(layer.top):
            layer.type = "Input"
            layer.ClearField("data_param")
            layer.input_param.shape.add(dim=(1, 1, 1 + BOXES, 16))
        if layer.type == "Python" and not layer.bottom and not layer.HasField("input_param"):
            classes = 21
            words = layer.python_param.param_str.replace(":", " ").split()
            if "num_classes" in (bare := [word.strip("'\"{},") for word in words]):
                classes = int(bare[bare.index("num_classes") + 1])
            layer.type = "Input"
            layer.ClearField("python_param")
            for top in layer.top:
                layer.input_param.shape.add(dim=of_owners_layer(top, classes, rfcn))
    return changed


def of_owners_layer(top: str, classes: int, rfcn: bool = False) -> tuple[int, ...]:
    """The shape of a top of a data layer written in Python, by its name: as R-CNN and FCN do.

    R-FCN's have four axes, and its offsets are those of an object and of the background.
    """
    if top.startswith("bbox"):
        return (ROIS, 4 * 2, 1, 1) if rfcn else (ROIS, 4 * classes)
    if top == "labels" and rfcn:
        return (ROIS, 1, 1, 1)
    image = (1, 3, 224, 224)
    shapes = {"rois": (ROIS, 5), "labels": (ROIS,), "im_info": (1, 3), "gt_boxes": (ROIS, 5)}
    masks = dict.fromkeys(("label", "sem", "geo", "depth"), (1, 1, 224, 224))
    return {**shapes, **masks}.get(top, image)


def _type(layer: Any) -> str:
    """The type of a layer; of well-known Python layers the one that stands in for it."""
    found = python_known.known(layer) if layer.type == "Python" else None
    return found.type if found is not None else str(layer.type)


def with_targets(net: Any, ctx: Context, stages: tuple[str, ...]) -> Any:
    """The net with an Input layer in place of its data, with targets of the shapes its losses want.

    HDF5 files have targets of any shape, and so have the databases of some forks.
    """
    changed = schema.NetParameter()
    changed.CopyFrom(net)
    losses = [layer for layer in net.layer if _type(layer) in LOSSES]
    sources = [layer for layer in changed.layer if layer.type in ("HDF5Data", "Data")]
    if not losses or not sources:
        raise MinidlError("has no targets")
    body = schema.NetParameter()
    body.CopyFrom(net)
    del body.layer[:]
    body.layer.extend(
        layer
        for layer in net.layer
        if not _type(layer).endswith(("Loss", "Accuracy", "AccuracyRegression", "MSE"))
    )
    shapes = Blueprint(body, ctx, 0, stages).blob_shapes
    for source in sources:
        wanted = {top: shapes.get(top, (1, *(ctx.absent_data or ()))) for top in source.top}
        for loss in losses:
            for one, other in (loss.bottom[:2], loss.bottom[1::-1]):
                if one in wanted and other not in wanted:
                    is_ctc = _type(loss) == "CtcLoss"  # which has labels for scores (T, N, C)
                    wanted[one] = (shapes[other][1], LABELS) if is_ctc else shapes[other]
        source.type = "Input"
        for field in ("hdf5_data_param", "data_param", "transform_param"):
            source.ClearField(field)
        for top in source.top:
            source.input_param.shape.add(dim=wanted[top])
    return changed


def run(trial: Trial, backward: bool = False, **options: Any) -> dict[str, np.ndarray]:
    """The outputs of a forward pass on random numbers; with `backward` that pass, too."""
    net = Net(
        trial.net,
        trial.phase,
        seed=1,
        absent_data=trial.record,
        stages=trial.stages,
        allow_python=True,
        **options,
    )
    try:
        fill(net)
        outputs = net.forward()
        found = {name: net.device.to_host(values) for name, values in outputs.items()}
        if backward:
            net.backward()
    finally:
        net.close()
    return found


def fill(net: Net) -> None:
    """Random images, and zeros for labels, regions and other short things, in Input layers.

    DetectNet's boxes lie in the upper left corner.
    """
    rng = np.random.default_rng(0)
    boxes = {node.bottoms[1] for node in net.blueprint.nodes if node.type == DETECTNET}
    for node, tops in zip(net.blueprint.nodes, net.tops, strict=True):
        for blob in tops if node.type == "Input" else ():
            is_image = len(blob.shape) > 1 and blob.name not in (
                "label",
                "sem",
                "geo",
                "rois",
                "gt_boxes",
            )
            blob.data = rng.standard_normal(blob.shape) if is_image else np.zeros(blob.shape)
            if blob.name in boxes:
                blob.data[0, 0, 0, :2] = BOXES, 16
                blob.data[0, 0, 1:, 2:6] = 40, 30, 0, 1
