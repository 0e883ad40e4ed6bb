"""An autoencoder squeezes digits into thirty numbers and draws them again from these.

    minidl dataset digits
    python examples/autoencoder.py          # 400 iterations: a minute or two

It is the zoo's, with scikit-learn's digits instead of MNIST, and Adam instead of SGD: the zoo's
solver is made for 65,000 iterations.
"""

from __future__ import annotations

import sys

import numpy as np

import minidl
from minidl import prototxt

SOLVER = "zoo/autoencoder/solver.prototxt"
NET = "zoo/autoencoder/train_val.prototxt"


def solver_for_digits(iterations: int):
    """The zoo's solver, changed where the data and the short run ask for it."""
    net = prototxt.read_net(NET)
    for layer in net.layer:
        if layer.type == "Data":
            layer.data_param.source = layer.data_param.source.replace("mnist", "digits")
    param = prototxt.read_solver(SOLVER)
    param.ClearField("net")
    param.net_param.CopyFrom(net)
    param.type, param.base_lr, param.lr_policy = "Adam", 0.002, "fixed"
    param.momentum, param.momentum2 = 0.9, 0.999
    param.weight_decay = 0
    param.ClearField("gamma")
    param.ClearField("stepsize")
    param.max_iter, param.random_seed, param.display = iterations, 1, 0
    param.snapshot, param.snapshot_after_train, param.test_initialization = 0, False, False
    param.test_iter[0] = 3
    return minidl.get_solver(param)


def draw(pictures) -> str:
    """Pictures 28 x 28 side by side, two characters a pixel, every other row and column."""
    beside = np.concatenate(list(pictures), axis=1).clip(0, 1)[4:24:2, ::2]
    return "\n".join("".join(" .:*#"[int(v * 4.99)] * 2 for v in row) for row in beside)


def main(iterations: int = 400) -> None:
    solver = solver_for_digits(iterations)
    net = solver.test_nets[0]
    for _ in range(4):
        solver.step(iterations // 4)
        net.forward()
        entropy = float(net.blobs["cross_entropy_loss"].data)
        print(f"iteration {solver.iter:4}  test cross entropy {entropy:.1f}")
    digits = net.blobs["data"].data[:3, 0]
    again = net.blobs["decode1neuron"].data[:3].reshape(3, 28, 28)
    print(f"code {net.blobs['encode4'].data.shape[1]} numbers, for {digits[0].size} pixels\n")
    print(draw(digits))
    print(draw(again))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
