"""Net surgery: a LeNet that reads one digit becomes one that reads a line of them.

    make lenet
    python examples/net_surgery.py runs/lenet_digits/lenet_iter_500.caffemodel

An InnerProduct over 50 x 4 x 4 values computes what a Convolution with a kernel of 4 x 4 does, with
the same numbers in the same order. With convolutions alone the net takes pictures of any size,
and answers for every place where a digit may be.
"""

from __future__ import annotations

import sys

import numpy as np

import minidl
from minidl import prototxt
from minidl.data import digits

NET = "zoo/lenet/lenet_deploy.prototxt"
STEP = 4  # pixels from one answer to the next: two poolings of stride 2
SIDE = 28


def convolutional():
    """The net with a Convolution of another name in the place of each InnerProduct."""
    param = prototxt.read_net(NET)
    kernels = {"ip1": 4, "ip2": 1}  # the height and width of what each of them sees
    for layer in param.layer:
        if layer.type == "InnerProduct":
            layer.type = "Convolution"
            layer.convolution_param.num_output = layer.inner_product_param.num_output
            layer.convolution_param.kernel_size.append(kernels[layer.name])
            layer.ClearField("inner_product_param")
            layer.name += "-conv"  # or the weights, of another shape, would be refused
    return param


def main(weights: str) -> None:
    net = minidl.Net(NET, weights=weights)
    line_net = minidl.Net(convolutional(), weights=weights)  # says that it ignores ip1 and ip2
    for name in ("ip1", "ip2"):
        for old, new in zip(net.params[name], line_net.params[f"{name}-conv"], strict=True):
            new.data.flat = old.data.flat
            print(f"{name}: {old.shape} becomes {new.shape}")

    images, labels = (part[:8] for part in digits.load()["test"])
    images = images[:, None] / 256
    line = np.concatenate(list(images), axis=2)[None]  # 1 x 1 x 28 x 224

    single = net.forward(data=images)["prob"].copy()
    answers = line_net.forward(data=line)["prob"]
    print(f"\na picture {line.shape} gives answers {answers.shape}")

    # Where a window holds just one digit, both nets say the same.
    places = answers[0, :, 0, :: SIDE // STEP].T
    print(f"largest difference at the digits' places: {np.abs(places - single).max():.1e}")
    print(f"\nthe line   {' '.join(map(str, labels))}")
    print(f"it reads   {' '.join(map(str, places.argmax(axis=1)))}")
    classes, shares = answers[0, :, 0].argmax(axis=0), answers[0, :, 0].max(axis=0)
    sure = "".join(str(c) if p > 0.9 else "." for c, p in zip(classes, shares, strict=True))
    print(f"every {STEP} pixels, where it is sure: {sure}")


if __name__ == "__main__":
    main(sys.argv[1])
