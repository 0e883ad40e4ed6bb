"""A siamese net: two towers with the same weights learn which digits are alike.

    python examples/siamese.py              # 300 iterations, then digits.png

Nobody tells the net what a digit is called, only whether two are the same. It puts each at a
point in the plane, like ones together and others apart.

Source: Hadsell, Chopra & LeCun 2006.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image, ImageDraw

import minidl
from minidl import schema
from minidl.data import digits
from minidl.spec import layers as L

PAIRS = 64


def towers():
    """Pairs in as two channels; weights are shared because both towers give them the same names."""
    n = minidl.NetSpec()
    n.pair = L.Input(shape=dict(dim=[PAIRS, 2, 28, 28]))
    n.alike = L.Input(shape=dict(dim=[PAIRS]))
    n.left, n.right = L.Slice(n.pair, ntop=2, axis=1)
    ends = [tower(n, n[side], f"_{side}") for side in ("left", "right")]
    n.loss = L.ContrastiveLoss(*ends, n.alike, margin=1)
    return n.to_proto()


def one_tower():
    """The same net for one digit at a time; its layers have the names of the left tower's."""
    n = minidl.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 1, 28, 28]))
    tower(n, n.data, "_left")
    return n.to_proto()


def tower(n, bottom, end: str):
    def learned(name: str) -> dict:
        return dict(
            param=[dict(name=f"{name}_w", lr_mult=1), dict(name=f"{name}_b", lr_mult=2)],
            weight_filler=dict(type="xavier"),
        )

    top = L.Convolution(bottom, num_output=20, kernel_size=5, stride=2, **learned("conv"))
    n["conv" + end] = top
    n["pool" + end] = top = L.Pooling(top, kernel_size=2, stride=2)
    n["ip" + end] = top = L.InnerProduct(top, num_output=100, **learned("ip"))
    top = L.ReLU(top, in_place=True)
    n["relu" + end] = top
    n["feat" + end] = top = L.InnerProduct(top, num_output=2, **learned("feat"))
    return top


def nearest(points: np.ndarray, labels: np.ndarray) -> float:
    """How often the nearest other point has the same label."""
    apart = np.square(points[:, None] - points).sum(-1)
    np.fill_diagonal(apart, np.inf)
    return float((labels[apart.argmin(1)] == labels).mean())


def plot(points: np.ndarray, labels: np.ndarray, path: str) -> None:
    """Each digit as its figure, at its point."""
    image = Image.new("RGB", (640, 640), "white")
    pen = ImageDraw.Draw(image)
    low, high = points.min(0), points.max(0)
    for (x, y), label in zip(20 + 590 * (points - low) / (high - low), labels, strict=True):
        hue = f"hsl({36 * label}, 90%, 40%)"
        pen.text((x, y), str(label), fill=hue, font_size=14)
    image.save(path)


def main(iterations: int = 300, out: str = "digits.png") -> None:
    settings = dict(base_lr=0.01, momentum=0.9, lr_policy="fixed", random_seed=1)
    solver = minidl.get_solver(schema.SolverParameter(train_net_param=towers(), **settings))
    net, rng = solver.net, np.random.default_rng(0)
    images, labels = digits.load()["train"]
    images = images / np.float32(256)
    for i in range(iterations):
        # Half of the pairs of one class, or nine of ten would be unlike.
        first = rng.integers(len(images), size=PAIRS)
        second = rng.integers(len(images), size=PAIRS)
        for k in range(0, PAIRS, 2):
            second[k] = rng.choice(np.flatnonzero(labels == labels[first[k]]))
        net.blobs["pair"].data[...] = np.stack([images[first], images[second]], axis=1)
        net.blobs["alike"].data[...] = labels[first] == labels[second]
        solver.step(1)
        if (i + 1) % max(1, iterations // 5) == 0:
            print(f"iteration {i + 1:4}  loss {float(net.blobs['loss'].data):.4f}")

    images, labels = digits.load()["test"]
    eye = minidl.Net(one_tower())
    eye.share_with(net)
    points = eye.forward(data=images[:, None] / 256)["feat_left"]
    share = nearest(points, labels)
    print(f"of {len(labels)} other digits {share:.3f} are nearest to one of their own class")
    plot(points, labels, out)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
