"""Logistic regression from HDF5 files, and what one hidden layer adds.

    python examples/logistic_regression.py          # needs h5py; works in a folder of its own

A net is a prototxt and its data any arrays: here points in four dimensions, of two classes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

import minidl
from minidl import schema
from minidl.spec import layers as L

POINTS = {"train": 3000, "test": 1000}
BATCH = 100


def write_points(folder: Path) -> None:
    """train.h5 and test.h5 with `data` and `label`, and the lists of files that HDF5Data reads."""
    rng = np.random.default_rng(1)
    for part, count in POINTS.items():
        data = rng.standard_normal((count, 4)).astype(np.float32)
        # Mostly a plane divides the classes; a product, which no plane can follow, bends it.
        height = data @ [1.0, -0.5, 0.25, 0] + 1.2 * data[:, 2] * data[:, 3]
        label = height + 0.3 * rng.standard_normal(count) > 0
        with h5py.File(folder / f"{part}.h5", "w") as file:
            file["data"], file["label"] = data, label.astype(np.float32)
        (folder / f"{part}.txt").write_text(f"{folder / part}.h5\n")


def regression(source: Path, hidden: int):
    """The net: one layer, or with `hidden` units between."""
    n = minidl.NetSpec()
    n.data, n.label = L.HDF5Data(ntop=2, source=str(source), batch_size=BATCH)
    top, xavier = n.data, dict(weight_filler=dict(type="xavier"))
    if hidden:
        n.ip1 = L.InnerProduct(n.data, num_output=hidden, **xavier)
        n.relu1 = top = L.ReLU(n.ip1, in_place=True)
    n.ip2 = L.InnerProduct(top, num_output=2, **xavier)
    n.loss = L.SoftmaxWithLoss(n.ip2, n.label)
    n.accuracy = L.Accuracy(n.ip2, n.label)
    return n.to_proto()


def learned(folder: Path, hidden: int, iterations: int) -> float:
    """The accuracy on all test points."""
    solver = minidl.get_solver(
        schema.SolverParameter(
            train_net_param=regression(folder / "train.txt", hidden),
            test_net_param=[regression(folder / "test.txt", hidden)],
            test_iter=[POINTS["test"] // BATCH],
            test_interval=10**6,
            test_initialization=False,
            base_lr=0.1,
            momentum=0.9,
            lr_policy="step",
            stepsize=max(1, iterations // 2),
            gamma=0.1,
            random_seed=1,
        )
    )
    solver.step(iterations)
    net = solver.test_nets[0]
    batches = [float(net.forward()["accuracy"]) for _ in range(POINTS["test"] // BATCH)]
    for one in (solver.net, net):
        one.close()  # or the files stay open until Python ends
    return sum(batches) / len(batches)


def main(iterations: int = 600) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_points(Path(folder))
        for hidden in (0, 40):
            share = learned(Path(folder), hidden, iterations)
            kind = f"{hidden} hidden units" if hidden else "logistic regression"
            print(f"{kind:20} {share:.3f} of {POINTS['test']} points right")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
