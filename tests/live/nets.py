"""Small nets: random ones of layers that engines have plans for and not, and one for each type."""

import numpy as np
from google.protobuf import text_format

from minidl.layers.base import REGISTRY
from minidl.testing.harness import build, make_spec

CONV = (
    "convolution_param { num_output: %d kernel_size: 3 pad: 1 "
    'weight_filler { type: "gaussian" std: 0.15 } '
    'bias_filler { type: "uniform" min: -0.3 max: 0.3 } }'
)
CHANNELS = 16

# name: (type, parameters, whether it may work in place)
CHAIN = {
    "conv": ("Convolution", CONV % CHANNELS, False),
    "group": ("Convolution", (CONV % CHANNELS).replace("}", "} group: 2", 1), False),
    "deconv": ("Deconvolution", CONV % CHANNELS, False),
    "relu": ("ReLU", "", True),
    "leaky": ("ReLU", "relu_param { negative_slope: 0.2 }", True),
    "tanh": ("TanH", "", True),
    "sigmoid": ("Sigmoid", "", True),
    "elu": ("ELU", "", True),
    "prelu": ("PReLU", "", True),
    "power": ("Power", "power_param { scale: 0.7 shift: 0.1 }", True),
    "abs": ("AbsVal", "", False),
    "bnll": ("BNLL", "", True),
    "dropout": ("Dropout", "", True),
    "batch norm": ("BatchNorm", "", True),
    "global": ("BatchNorm", "batch_norm_param { use_global_stats: true }", True),
    "scale": ("Scale", "scale_param { bias_term: true }", True),
    "bias": ("Bias", "", True),
    "lrn": ("LRN", "lrn_param { alpha: 0.5 }", False),
    "within": ("LRN", "lrn_param { alpha: 0.5 local_size: 3 norm_region: WITHIN_CHANNEL }", False),
    "mvn": ("MVN", "", False),
    "softmax": ("Softmax", "", True),
    "max": ("Pooling", "pooling_param { kernel_size: 3 stride: 1 pad: 1 }", False),
    "mean": ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 }", False),
}
# What engines run as one, forward and backward: in place on a convolution.
ROW = "batch norm", "scale", "relu"
BRANCH = {
    "sum": ("Eltwise", ""),
    "product": ("Eltwise", "eltwise_param { operation: PROD }"),
    "largest": ("Eltwise", "eltwise_param { operation: MAX }"),
    "concat": ("Concat", ""),
}


def layer(name, kind, bottoms, top, extra=""):
    bottoms = " ".join(f'bottom: "{b}"' for b in bottoms)
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top}" {extra} }}'


def text(draw):
    """A prototxt; `draw(options)` chooses one of them."""
    lines = [
        "force_backward: true",
        """layer { name: "in" type: "Input" top: "x"
      input_param { shape { dim: 3 dim: 16 dim: 5 dim: 4 } } }""",
    ]
    top, older, fresh = "x", [], True
    for i in range(draw(range(2, 7))):
        what = draw([*CHAIN, *BRANCH, "row"])
        if what == "product" and any("PROD" in line for line in lines):
            what = "sum"  # powers of powers make much of rounding
        name = f"l{i}"
        if what in BRANCH:
            kind, extra = BRANCH[what]
            other = draw(older) if older else top
            lines.append(layer(name, kind, [top, other], name, extra))
            if what == "concat":
                lines.append(layer(f"{name}c", "Convolution", [name], f"{name}c", CONV % CHANNELS))
                name = f"{name}c"
        elif what == "row":
            lines.append(layer(name, "Convolution", [top], name, CONV % CHANNELS))
            for part in ROW[: draw([2, 3])]:
                kind, extra, _ = CHAIN[part]
                lines.append(layer(f"{name} {part}", kind, [name], name, extra))
        else:
            if what == "max" and not fresh:  # equal numbers: engines differ in which is the largest
                what = "mean"
            kind, extra, may = CHAIN[what]
            if may and top != "x" and top not in older and draw([True, False, True]):
                name_of_top = top
            else:
                name_of_top = name
                if draw([False, False, True]):
                    older.append(top)
            lines.append(layer(name, kind, [top], name_of_top, extra))
            name = name_of_top
        top, fresh = name, what in ("conv", "group", "deconv", "concat")
    end = draw(["none", "loss", "flat loss", "classes"])
    if end == "loss":  # with a target, or there would be no gradient below a BatchNorm
        lines.append(
            layer(
                "target",
                "Input",
                [],
                "target",
                "input_param { shape { dim: 3 dim: 16 dim: 5 dim: 4 } }",
            )
        )
        lines.append(layer("loss", "EuclideanLoss", [top, "target"], "loss"))
    elif end == "flat loss":
        lines.append(layer("flat", draw(["Flatten"]), [top], "flat"))
        lines.append(layer("relu", "ReLU", ["flat"], "flat"))
        lines.append(
            layer(
                "loss",
                "Reduction",
                ["flat"],
                "loss",
                "reduction_param { operation: ASUM } loss_weight: 2",
            )
        )
    elif end == "classes":
        lines.append(layer("label", "Input", [], "label", "input_param { shape { dim: 3 } }"))
        lines.append(
            layer(
                "fc",
                "InnerProduct",
                [top],
                "fc",
                'inner_product_param { num_output: 3 weight_filler { type: "xavier" } }',
            )
        )
        lines.append(layer("loss", "SoftmaxWithLoss", ["fc", "label"], "loss"))
    return "\n".join(lines)


PLAIN = "\n".join(
    [
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 3 dim: 16 dim: 5 '
        "dim: 4 } } }",
        layer("conv", "Convolution", ["x"], "conv", CONV % CHANNELS),
        layer("relu", "ReLU", ["conv"], "conv"),
    ]
)


def around(type, shapes, keywords):
    """A net with this example of a layer, which reads what other layers make; "" if none is."""
    if keywords.get("phase") is not None:
        return ""
    given = {k: v for k, v in keywords.items() if k != "phase"}
    spec = make_spec(type, **given, name="it")
    if len(spec.bottom) != len(shapes):
        return ""
    lines = ["force_backward: true"]
    layer_type = REGISTRY[type]
    for i, shape in enumerate(shapes):
        dims = " ".join(f"dim: {size}" for size in shape)
        floats = i not in layer_type.no_gradient and len(shape) > 1 and not layer_type.loss
        name = f"in{i}" if floats else spec.bottom[i]
        lines.append(layer(f"in{i}", "Input", [], name, f"input_param {{ shape {{ {dims} }} }}"))
        if floats:
            lines.append(
                layer(f"pre{i}", "Power", [name], spec.bottom[i], "power_param { scale: 1 }")
            )
    lines.append(f"layer {{ {text_format.MessageToString(spec)} }}")
    return "\n".join(lines)


def samples(type, shapes, keywords):
    """What makes good values for the inputs of such a net, by name, from a number on."""
    it = build(type, device="cpu", **keywords)
    names = make_spec(type, **keywords).bottom

    def values(oracle, seed):
        arrays = it.sample_bottoms(shapes, np.random.default_rng(seed))
        found = dict(zip(names, arrays, strict=True))
        found |= {f"in{i}": array for i, array in enumerate(arrays)}
        return {name: np.float32(found[name]) for name in oracle.inputs}

    return values
