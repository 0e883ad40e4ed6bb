"""A layer written in Python, as pycaffe's users write them: a loss, and a line fitted with it.

    python examples/python_layer.py

Such a layer is code that a net names, so a net may run it only where it is allowed:
``allow_python=True`` here, ``--allow-python`` on the command line. A layer that is to be fast, or
checked, is better written as in softplus.py.
"""

from __future__ import annotations

import numpy as np

import minidl
from minidl.spec import layers as L


class EuclideanLoss:
    """sum((a - b)**2) / (2 N): what the built-in layer of that name computes."""

    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise ValueError("two bottoms: what the net says, and what it should say")

    def reshape(self, bottom, top):
        if bottom[0].shape != bottom[1].shape:
            raise ValueError(f"the bottoms are {bottom[0].shape} and {bottom[1].shape}")
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.difference = bottom[0].data - bottom[1].data
        top[0].data[0] = (self.difference**2).sum() / (2 * bottom[0].num)

    def backward(self, top, propagate_down, bottom):
        for i, sign in ((0, 1), (1, -1)):
            if propagate_down[i]:
                bottom[i].diff[...] = sign * top[0].diff[0] * self.difference / bottom[i].num


def line():
    """y = w x + b, under a loss of one's own and the built-in one."""
    n = minidl.NetSpec()
    n.x = L.Input(shape=dict(dim=[50, 1]))
    n.y = L.Input(shape=dict(dim=[50, 1]))
    n.guess = L.InnerProduct(n.x, num_output=1)
    # From another file, the module is its name: module="python_layer".
    n.loss = L.Python(n.guess, n.y, module=__name__, layer="EuclideanLoss", loss_weight=1)
    n.built_in = L.EuclideanLoss(n.guess, n.y, loss_weight=0)
    return n.to_proto()


def main() -> None:
    net = minidl.Net(line(), minidl.TRAIN, allow_python=True)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (50, 1))
    net.forward(x=x, y=3 * x - 2)
    for step in range(100):
        net.clear_param_diffs()
        net.forward()
        net.backward()
        for param in net.learnable:
            param.data -= 0.5 * param.diff
        if step % 25 == 0:
            ours, theirs = (float(net.blobs[name].data.sum()) for name in ("loss", "built_in"))
            print(f"step {step:3}  loss {ours:.6f}  the built-in layer's {theirs:.6f}")
    slope, shift = (float(param.data.sum()) for param in net.params["guess"])
    print(f"y = {slope:.3f} x {shift:+.3f}")


if __name__ == "__main__":
    main()
