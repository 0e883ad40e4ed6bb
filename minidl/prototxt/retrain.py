"""Turn a net to use, a deploy.prototxt, into one that trains: data layers, a loss, a measure."""

from __future__ import annotations

from typing import Any

from minidl import schema
from minidl.errors import GraphError
from minidl.prototxt.stages import TOPS

LEARNING = {  # layers with weights: the message with their filler
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "InnerProduct": "inner_product_param",
}
RECORDS = range(200, 257)  # sides of inputs that see a part of pictures of 256 x 256


def input_size(net: Any) -> tuple[int, int] | None:
    """Return the height and width of a net's first input; None where it has none of pictures."""
    for layer in net.layer:
        if layer.type == "Input":
            dims = tuple(layer.input_param.shape[0].dim) if layer.input_param.shape else ()
            return (dims[2], dims[3]) if len(dims) == 4 else None
    return None


def for_training(net: Any) -> Any:
    """Return a net that learns the classes which `net` tells apart.

    net    which takes pictures in an Input layer, and whose only output is scores, or what Softmax
           makes of them

    Inputs of 200 to 256 rows and columns see a window of larger pictures, which are mirrored, as
    nets of ImageNet do. Layers without a filler get one, for those that start from scratch.

    Errors: GraphError for a net with another output, or with several.
    """
    scores, rest = _scores(net)
    found = schema.NetParameter(name=net.name)
    size = input_size(net)
    for phase in (schema.TRAIN, schema.TEST):
        data = found.layer.add(name="data", type="Data")
        data.top.extend((_input(net), TOPS[1]))
        data.include.add(phase=phase)
        if size and size[0] == size[1] and size[0] in RECORDS:
            data.transform_param.crop_size = size[0]
            if phase == schema.TRAIN:
                data.transform_param.mirror = True
    for layer in rest:
        kept = found.layer.add()
        kept.CopyFrom(layer)
        if kept.type in LEARNING:
            p = getattr(kept, LEARNING[kept.type])
            if not p.HasField("weight_filler"):
                p.weight_filler.type = "xavier"
    bottoms = [scores, TOPS[1]]
    measure = found.layer.add(name="accuracy", type="Accuracy", bottom=bottoms, top=["accuracy"])
    measure.include.add(phase=schema.TEST)
    found.layer.add(name="loss", type="SoftmaxWithLoss", bottom=bottoms, top=["loss"])
    return found


def _input(net: Any) -> str:
    return next(layer.top[0] for layer in net.layer if layer.type == "Input")


def _scores(net: Any) -> tuple[str, list[Any]]:
    """Return the blob with the scores, and the layers up to it."""
    layers = [layer for layer in net.layer if layer.type != "Input"]
    read = {b for layer in layers for b in layer.bottom if b not in layer.top}
    ends = {top: layer for layer in layers for top in layer.top if top not in read}
    if len(ends) != 1:
        raise GraphError(
            f"has {len(ends)} outputs: {', '.join(ends) or 'none'}",
            where=f"net '{net.name}'",
            expected="one, the scores of classes",
            fix="give a train_val.prototxt, with data layers and losses",
        )
    ((blob, last),) = ends.items()
    if last.type == "Softmax":
        return last.bottom[0], [layer for layer in layers if layer is not last]
    return blob, layers
