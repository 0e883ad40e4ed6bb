"""What bfloat16 costs in accuracy: one AlexNet step, and LeNet trained to the end of its schedule.

    python benchmarks/precision.py                  # AlexNet's gradients; LeNet if data/ is there
    python benchmarks/precision.py --iterations 10000

The first table compares the loss and the gradients of one training step of zoo/alexnet (random
weights, the same batch, no dropout) in float32 and in bf16, L2 relative. The second trains
zoo/lenet twice, from one seed, and prints the test accuracy. bf16 is used even where the machine
computes it slower than float32.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MATHS = ("float32", "bf16")


def alexnet(batch: int, math: str):
    """(loss, {layer: gradient of its weights}) of one step, the weights and records of seed 1."""
    import numpy as np

    from minidl import TRAIN, Net, prototxt

    param = prototxt.read_net(ROOT / "zoo" / "alexnet" / "train_val.prototxt")
    layers = [layer for layer in param.layer if layer.type not in ("Data", "Dropout")]
    del param.layer[:]
    for top, shape in (("data", (batch, 3, 227, 227)), ("label", (batch,))):
        param.layer.add(name=top, type="Input", top=[top]).input_param.shape.add(dim=shape)
    param.layer.extend(layers)
    net = Net(param, TRAIN, seed=1, math=math)
    random = np.random.default_rng(1)
    images = 50 * random.standard_normal((batch, 3, 227, 227), np.float32)
    net.blobs["data"].data[...] = images
    net.blobs["label"].data[...] = random.integers(0, 1000, batch)
    net.clear_param_diffs()
    loss = net.forward_pass()
    net.backward_pass()
    return loss, {name: params[0].read("diff").copy() for name, params in net.params.items()}


def compare_gradients(batch: int) -> None:
    import numpy as np

    (loss, exact), (other, rough) = (alexnet(batch, math) for math in MATHS)
    print(f"AlexNet, batch {batch}, one step: loss {loss:.6f} in float32, {other:.6f} in bf16")
    print("gradient of the weights, L2 relative to float32:")
    for name, gradient in exact.items():
        error = np.linalg.norm(rough[name] - gradient) / np.linalg.norm(gradient)
        print(f"  {name:<8}{error:.1e}")


def train_lenet(iterations: int) -> None:
    from minidl import get_solver, prototxt

    file = ROOT / "zoo" / "lenet" / "solver.prototxt"
    if not (ROOT / "data" / "mnist").exists():
        print("LeNet: data/mnist is not there (minidl dataset mnist makes it): digits instead")
        file = ROOT / "zoo" / "lenet" / "digits_solver.prototxt"
        iterations = 500
    for math in MATHS:
        param = prototxt.read_solver(file)
        param.max_iter, param.random_seed = iterations, 1
        param.display = param.snapshot = 0
        param.test_interval = iterations + 1
        param.test_initialization = False
        param.snapshot_after_train = False
        solver = get_solver(param, math=math, share=True)
        solver.step(iterations)
        [result] = solver.test_all()
        outputs = {name: round(float(value), 4) for name, value in result["outputs"].items()}
        print(f"LeNet, {iterations} iterations in {math}: {outputs}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16, help="records of AlexNet's step (16)")
    parser.add_argument("--iterations", type=int, default=2000, help="of LeNet's training (2000)")
    args = parser.parse_args()
    os.chdir(ROOT)
    os.environ["MINIDL_SLOW_BF16"] = "1"
    compare_gradients(args.batch)
    train_lenet(args.iterations)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
