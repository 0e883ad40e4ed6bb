"""An example of every layer type, and how to run one on a device: what test_contract.py goes over.

It needs no pytest: `make gpu-check` goes over the same examples on a machine that may have none.
"""

import numpy as np

from minidl import schema
from minidl.testing.gradcheck import share_memory
from minidl.testing.harness import bind, build
from tests.layers.examples_forks import FORKS


def example(*shapes, **keywords):
    """Bottom shapes and the keywords of `minidl.testing.harness.build`."""
    return shapes, {"bottoms": len(shapes), **keywords}


IMAGES = (2, 3, 6, 5)
GAUSSIAN = dict(type="gaussian", std=1)
TEST = dict(phase=schema.TEST)
EXPOSED = dict(expose_hidden=True)

EXAMPLES = {
    "AbsVal": {"": example(IMAGES)},
    "Accuracy": {
        "per class": example((4, 5), (4,), tops=2, top_k=2),
        "pixels": example((2, 4, 3), (2, 3)),
    },
    "ArgMax": {
        "axis": example((3, 5, 2), axis=1, top_k=2),
        "values": example((3, 5, 2), axis=-1, out_max_val=True),
        "items": example((3, 5, 2), top_k=3, out_max_val=True),
    },
    "BNLL": {"": example(IMAGES)},
    "BatchNorm": {
        "training": example(IMAGES),
        "statistics": example(IMAGES, use_global_stats=True),
    },
    "BatchReindex": {"": example((4, 3, 2), (6,))},
    "Bias": {
        "learned": example(IMAGES, filler=GAUSSIAN),
        "given": example(IMAGES, (3, 6), axis=1),
    },
    "Clip": {"": example(IMAGES, min=-0.5, max=1)},
    "Concat": {
        "three": example((2, 3, 4), (2, 1, 4), (2, 2, 4)),
        "one, a view": example((2, 3, 4)),
    },
    "ContrastiveLoss": {
        "": example((6, 4), (6, 2, 2), (6,), margin=1000),  # which is large beside the 1e-4
        "legacy": example((6, 4), (6, 4), (6, 1), margin=2, legacy_version=True),
    },
    "Convolution": {
        "groups": example((2, 4, 6, 5), num_output=6, kernel_size=3, pad=1, stride=2, group=2),
        "no bias": example(IMAGES, num_output=4, kernel_h=1, kernel_w=2, bias_term=False),
        "two images": example(IMAGES, IMAGES, num_output=2, kernel_size=2, dilation=2),
        "1 x 1": example(IMAGES, num_output=4, kernel_size=1),
    },
    "Crop": {"": example((2, 5, 7, 6), (2, 5, 4, 3), offset=[2, 1])},
    "Deconvolution": {
        "groups": example((2, 4, 3, 4), num_output=6, kernel_size=3, pad=1, stride=2, group=2),
        "no bias": example(IMAGES, num_output=4, kernel_size=2, bias_term=False),
    },
    "Dropout": {
        "training": example((4, 6), dropout_ratio=0.4),
        "testing": example((4, 6), **TEST),
        "scaled in testing": example((4, 6), scale_train=False, **TEST),
    },
    "DummyData": {
        "constant and random": example(
            tops=2,
            shape=[dict(dim=[2, 3]), dict(dim=[4])],
            data_filler=[dict(type="constant", value=2), GAUSSIAN],
        ),
    },
    "ELU": {"": example(IMAGES, alpha=0.7), "folding": example(IMAGES, alpha=-0.5)},
    "Eltwise": {
        "product": example((2, 5), (2, 5), (2, 5), operation="PROD"),
        "quotient": example((2, 5), (2, 5), operation="PROD", stable_prod_grad=False),
        "sum": example((2, 5), (2, 5)),
        "weighted sum": example((2, 5), (2, 5), (2, 5), coeff=[2, -1, 0.5]),
        "maximum": example((2, 5), (2, 5), (2, 5), operation="MAX"),
    },
    "Embed": {
        "": example((3, 4), num_output=5, input_dim=6),
        "no bias": example((7,), num_output=2, input_dim=3, bias_term=False),
    },
    "EuclideanLoss": {"": example((4, 3, 2), (4, 6))},
    "Exp": {"": example((2, 5)), "to base 2": example((2, 5), base=2, scale=0.5, shift=0.3)},
    "Flatten": {"": example(IMAGES, end_axis=2)},
    "HingeLoss": {"": example((4, 5), (4,)), "squares": example((4, 5, 2), (4, 1), norm="L2")},
    "Im2col": {
        "": example(IMAGES, kernel_size=3, pad=1, stride=2),
        "dilated": example(IMAGES, kernel_h=2, kernel_w=1, dilation=[2, 1]),
    },
    "InfogainLoss": {
        "": example((4, 3), (4,), (3, 3)),
        "pixels": example((2, 4, 3), (2, 3), (16,), tops=2, ignore_label=1),
    },
    "InnerProduct": {
        "images": example(IMAGES, num_output=4),
        "last axis": example((2, 3, 4), num_output=5, axis=-1, transpose=True, bias_term=False),
    },
    "LRN": {
        "across": example((2, 7, 3, 2), local_size=3, alpha=1.5, k=0.5),
        "within": example(IMAGES, local_size=3, alpha=1.5, norm_region="WITHIN_CHANNEL"),
    },
    "LSTM": {
        "": example((4, 2, 3), (4, 2), num_output=3),
        "static": example((3, 2, 2, 2), (3, 2), (2, 3), num_output=2),
        "exposed": example(
            (3, 2, 2), (3, 2), (1, 2, 3), (1, 2, 3), **EXPOSED, tops=3, num_output=3
        ),
    },
    "LSTMUnit": {"": example((1, 3, 4), (1, 3, 16), (1, 3))},
    "Log": {
        "": example((2, 5)),
        "to base 10": example((2, 5), base=10, scale=-0.5, shift=0.3),
    },
    "MVN": {
        "channels": example(IMAGES),
        "images": example(IMAGES, across_channels=True, eps=0.5),
        "mean only": example(IMAGES, normalize_variance=False),
    },
    "MultinomialLogisticLoss": {"": example((4, 5), (4,))},
    "Parameter": {"": example(shape=dict(dim=[2, 3]))},
    "Pooling": {
        "maximum": example(IMAGES, kernel_size=3, stride=2, pad=1),
        "maximum and its place": example(IMAGES, tops=2, kernel_size=3, stride=2),
        "average": example(IMAGES, pool="AVE", kernel_h=3, kernel_w=2, stride=2, pad=1),
        "global": example(IMAGES, pool="AVE", global_pooling=True),
        "stochastic": example(IMAGES, pool="STOCHASTIC", kernel_size=3, stride=2),
        "stochastic, testing": example(IMAGES, pool="STOCHASTIC", kernel_size=3, **TEST),
    },
    "Power": {
        "linear": example((2, 5), scale=-0.5, shift=2),
        "square": example((2, 5), power=2, shift=1),
        "root": example((2, 5), power=0.5),
        "constant": example((2, 5), power=0),
    },
    "PReLU": {
        "by channel": example(IMAGES, filler=GAUSSIAN),
        "shared": example(IMAGES, channel_shared=True),
    },
    "RNN": {
        "": example((4, 2, 3), (4, 2), num_output=3),
        "static": example((3, 2, 2, 2), (3, 2), (2, 3), num_output=2),
        "exposed": example((3, 2, 2), (3, 2), (2, 3), (1, 2, 4), **EXPOSED, tops=2, num_output=4),
    },
    "ReLU": {
        "": example(IMAGES),
        "leaky": example(IMAGES, negative_slope=0.25),
        "folding": example(IMAGES, negative_slope=-0.5),
    },
    "Reduction": {
        "sum": example((2, 3, 4)),
        "mean": example((2, 3, 4), operation="MEAN", axis=1, coeff=2),
        "absolute": example((2, 3, 4), operation="ASUM", axis=-1),
        "squares": example((2, 3, 4), operation="SUMSQ", axis=1),
    },
    "Reshape": {"": example(IMAGES, shape=dict(dim=[0, -1, 3]))},
    "SPP": {
        "maxima": example((2, 3, 7, 6), pyramid_height=3),
        "means": example((2, 3, 7, 6), pyramid_height=2, pool="AVE"),
        "one level": example(IMAGES, pyramid_height=1),
    },
    "Scale": {
        "learned": example(IMAGES, filler=GAUSSIAN, bias_term=True, bias_filler=GAUSSIAN),
        "given": example(IMAGES, (3, 6)),
    },
    "Sigmoid": {"": example(IMAGES)},
    "SigmoidCrossEntropyLoss": {
        "": example((4, 5), (4, 5)),
        "some ignored": example((4, 3), (4, 3, 1), ignore_label=2, normalization="VALID"),
    },
    "Silence": {"": example(IMAGES, (2,))},
    "Slice": {
        "equal": example((2, 6, 4), tops=3),
        "points": example((2, 6, 4), tops=3, slice_point=[1, 4]),
        "one, a view": example((2, 6, 4), tops=1),
    },
    "Softmax": {"": example(IMAGES), "last axis": example((2, 3, 4), axis=-1)},
    "SoftmaxWithLoss": {
        "": example((4, 5), (4,)),
        "pixels": example((2, 4, 3), (2, 3), ignore_label=1),
        "with probabilities": example((4, 5), (4,), tops=2, normalize=False),
        "weighted classes": example((2, 3, 4), (2, 4), ignore_label=1, class_weight=[2, 1, 0.5]),
    },
    "Split": {"": example((2, 3), tops=3)},
    "Swish": {"": example(IMAGES, beta=1.5)},
    "TanH": {"": example(IMAGES)},
    "Threshold": {"": example(IMAGES, threshold=0.3)},
    "Tile": {"": example((2, 3, 4), tiles=3)},
    **FORKS,
}

# Types whose forward is not a function of their bottoms: the tests that run a layer cannot speak
# of them. Counts, refusals and docstrings are checked all the same.
NOT_RUN = {
    "AnnotatedData": "reads a database",
    "AdaCosAddmScale": "backward takes its scale for a constant: see test_margin.py",
    "Data": "reads a database",
    "DenseImageData": "reads image files",
    "DetectionEvaluate": "how many detections there are decides its top's shape",
    "Filter": "its bottoms' values decide its tops' shapes: see test_filter.py",
    "HDF5Data": "reads files",
    "HDF5Output": "writes a file",
    "ImageData": "reads image files",
    "MemoryData": "its arrays are those of whoever uses the net",
    "Input": "its tops are filled by whoever uses the net",
    "PoseImageData": "reads image files",
    "ProposalTarget": "it draws at random how many regions: see test_proposal_target.py",
    "Python": "what it computes is a class of its user's: see test_python_layer.py",
    "WindowData": "reads image files",
}


def prepare(type, shapes, keywords, device="cpu", **more):
    """A layer, its bottoms with sample values (the same in float32 and float64), its tops."""
    layer = build(type, device=device, **{**keywords, **more})
    samples = layer.sample_bottoms(shapes, np.random.default_rng(3))
    bottom, top = bind(layer, *(x.astype(np.float32) for x in samples))
    return layer, bottom, top


def values(blob, kind="data"):
    """A copy of a blob's data or diff, on the host."""
    return np.array(blob.device.to_host(getattr(blob, kind)))


def write(blob, numbers, kind="data"):
    blob.device.write(getattr(blob, kind), numbers)


def seed_diffs(layer, bottom, top):
    """Random gradients for the tops, NaN for bottoms (unless shared), zero for parameters."""
    for i, blob in enumerate(top):
        gradient = np.random.default_rng(100 + i).standard_normal(blob.shape)
        write(blob, gradient.astype(np.float32), "diff")
    for blob in bottom:
        if not shares_diff(blob, top):
            write(blob, np.nan, "diff")
    for param in layer.params:
        write(param, 0, "diff")


def shares_diff(blob, top):
    return any(share_memory(blob.device, blob.diff, t.diff) for t in top)


def wanted(layer, bottom):
    """What a net may ask this layer for."""
    return [i not in layer.no_gradient for i in range(len(bottom))]


def forward_and_backward(layer, bottom, top):
    """All outputs and gradients by name, as copies."""
    forward(layer, bottom, top)
    outputs = {f"top[{i}]": values(blob) for i, blob in enumerate(top)}
    if not layer.differentiable:
        return outputs
    seed_diffs(layer, bottom, top)
    return outputs | backward(layer, bottom, top)


def forward(layer, bottom, top):
    with layer.ctx.device.current():
        layer.forward(bottom, top)


def backward(layer, bottom, top, want=None):
    want = wanted(layer, bottom) if want is None else want
    with layer.ctx.device.current():
        layer.backward(top, want, bottom)
    gradients = {
        f"bottom[{i}].diff": values(blob, "diff")
        for i, blob in enumerate(bottom)
        if want[i] and layer.differentiable
    }
    return gradients | {f"{p.name}.diff": values(p, "diff") for p in layer.params if p.wanted}
