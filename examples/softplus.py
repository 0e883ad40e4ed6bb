"""A layer of one's own: written, registered, checked, used.

python examples/softplus.py
minidl gradcheck --import examples/softplus.py NET      # NET: a prototxt that uses it
"""

from __future__ import annotations

import numpy as np

import minidl
from minidl.layers.base import Layer, register

NET = """
name: "smooth"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "soft" type: "Softplus" bottom: "x" top: "y" }
"""


@register("Softplus")
class Softplus(Layer):
    """A smooth ReLU.

        y = log(1 + exp(x)),    dx = dy * (1 - exp(-y))

    bottom[0]   any shape
    top[0]      the same shape; may be the bottom itself

    Source: Dugas et al. 2000. The derivative, 1 / (1 + exp(-x)), is written in y, so that x may be
    overwritten.
    """

    in_place = True
    keeps = ("top",)

    def top_shapes(self, bottom):
        return (bottom,)

    def forward(self, bottom, top):
        # not log(exp(x) + 1), which overflows from x = 89 on in float32
        self.xp.logaddexp(bottom[0].data, 0, out=top[0].data)

    def backward(self, top, wanted, bottom):
        y, dy, dx = top[0].data, top[0].diff, bottom[0].diff
        slope = -self.xp.expm1(-y)
        self.xp.multiply(dy, slope, out=dx)


def main() -> None:
    from minidl.testing.gradcheck import check_backward
    from minidl.testing.harness import build

    check_backward(build("Softplus"), np.linspace(-3, 3, 7))
    net = minidl.Net(NET)
    print(net.forward(x=np.array([[-2, 0, 2], [-1, 0, 1]]))["y"])


if __name__ == "__main__":
    main()
