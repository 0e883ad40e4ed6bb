"""Fine-tuning: what a net has learned for one task helps with another one.

    make lenet
    python examples/fine_tuning.py runs/lenet_digits/lenet_iter_500.caffemodel

A LeNet that reads digits learns to tell even from odd ones from forty examples. Its last layer gets
a new name and starts from scratch, at ten times the rate of the others, which keep their weights.
"""

from __future__ import annotations

import sys

import numpy as np

import minidl
from minidl import schema
from minidl.data import digits
from minidl.spec import layers as L

EXAMPLES, TEST = 40, 360


def parity_net(batch: int, rate: float):
    """LeNet, but for its last layer; the others keep their names, and learn at `rate` times its
    speed."""
    n = minidl.NetSpec()
    n.data, n.label = L.MemoryData(ntop=2, batch_size=batch, channels=1, height=28, width=28)
    xavier = dict(weight_filler=dict(type="xavier"))
    slow = dict(param=[dict(lr_mult=rate), dict(lr_mult=2 * rate)], **xavier)
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, **slow)
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=50, **slow)
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2)
    n.ip1 = L.InnerProduct(n.pool2, num_output=500, **slow)
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.parity = L.InnerProduct(n.relu1, num_output=2, **xavier)
    n.loss = L.SoftmaxWithLoss(n.parity, n.label)
    n.accuracy = L.Accuracy(n.parity, n.label)
    return n.to_proto()


def learned(weights: str | None, iterations: int) -> float:
    """The accuracy on the test digits after some iterations, from given weights or from none."""
    rate = 1 if weights is None else 0.1
    solver = minidl.get_solver(
        schema.SolverParameter(
            train_net_param=parity_net(EXAMPLES, rate),
            test_net_param=[parity_net(TEST, rate)],
            test_iter=[1],
            test_interval=10**6,  # never: below, when all is done
            test_initialization=False,
            base_lr=0.01,
            momentum=0.9,
            lr_policy="fixed",
            random_seed=1,
        )
    )
    net, test_net = solver.net, solver.test_nets[0]
    if weights is not None:
        net.copy_from(weights)  # by layer names; says what the net or the file does not have
    for part, one, count in (("train", net, EXAMPLES), ("test", test_net, TEST)):
        images, labels = (values[:count] for values in digits.load()[part])
        one.set_input_arrays(images[:, None] / np.float32(256), labels % 2)
    solver.step(iterations)
    return float(test_net.forward()["accuracy"])


def main(weights: str, iterations: int = 60) -> None:
    tuned, scratch = (learned(start, iterations) for start in (weights, None))
    print(f"even or odd, after {iterations} iterations with {EXAMPLES} examples")
    print(f"  from the weights given   {tuned:.3f} of {TEST} test digits right")
    print(f"  from nothing             {scratch:.3f}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
