"""LeNet's training step at batch 64 (forward, backward, update): minidl and PyTorch, CPU, in turns.

    make bench                              # in an environment of its own, with PyTorch
    python benchmarks/lenet.py --threads 2 --json runs/bench_lenet.json

Both start from the same weights and see the same batch; the run fails where their losses differ.
PyTorch is as it comes: eager, float32, its default allocator. Nothing is read from a data set.

The floor is the step's arithmetic at the rate that a large matrix product reaches in this very
run: 2 operations a multiply-add, forward once, backward twice, except for conv1's input, which
needs no gradient.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import alternate

ROOT = Path(__file__).resolve().parent.parent
BATCH = 64
SOLVER = """base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0005 max_iter: 1000000
solver_mode: CPU snapshot_after_train: false"""
CONV1 = 20 * 25 * 24 * 24
FORWARD = CONV1 + 50 * 20 * 25 * 8 * 8 + 500 * 800 + 10 * 500
OPERATIONS = 2 * BATCH * (3 * FORWARD - CONV1)


def train_net():
    """zoo/lenet's training net with Input layers in the place of its data set."""
    from minidl import prototxt, schema

    net = prototxt.read_net(ROOT / "zoo" / "lenet" / "lenet_train_test.prototxt")
    layers = [layer for layer in net.layer if layer.type != "Data"]
    del net.layer[:]
    for top, shape in (("data", (BATCH, 1, 28, 28)), ("label", (BATCH,))):
        layer = net.layer.add(name=top, type="Input", top=[top])
        layer.input_param.shape.add(dim=shape)
    net.layer.extend(layers)
    net.state.phase = schema.TRAIN
    return net


def run_minidl(folder: Path) -> None:
    import numpy as np

    import minidl
    from minidl import prototxt, schema

    solver = prototxt.read_solver(SOLVER)
    solver.net_param.CopyFrom(train_net())
    solver = minidl.get_solver(solver)
    random = np.random.default_rng(1)
    net, images = solver.net, random.random((BATCH, 1, 28, 28), np.float32)
    labels = random.integers(0, 10, BATCH)
    net.blobs["data"].data[...] = images
    net.blobs["label"].data[...] = labels
    weights = {f"{name}_{i}": p.data for name in net.params for i, p in enumerate(net.params[name])}
    np.savez(folder / "start.npz", images=images, labels=labels, **weights)
    assert net.phase == schema.TRAIN

    def step() -> float:
        solver.step(1)
        return float(net.blobs["loss"].data)

    gflops = max(sgemm_rate() for _ in range(8))
    alternate.serve(step, {"numpy": np.__version__, "sgemm_gflops": gflops})


def sgemm_rate(n: int = 2048) -> float:
    import numpy as np

    a, b, out = (np.ones((n, n), np.float32) for _ in range(3))
    np.matmul(a, b, out=out)
    start = time.perf_counter()
    np.matmul(a, b, out=out)
    return 2 * n**3 / (time.perf_counter() - start) / 1e9


def run_torch(folder: Path) -> None:
    import numpy as np
    import torch
    from torch import nn

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    start = np.load(folder / "start.npz")
    conv1, conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
    ip1, ip2 = nn.Linear(800, 500), nn.Linear(500, 10)
    with torch.no_grad():
        layers = {"conv1": conv1, "conv2": conv2, "ip1": ip1, "ip2": ip2}
        for name, module in layers.items():
            module.weight.copy_(torch.from_numpy(start[f"{name}_0"]))
            module.bias.copy_(torch.from_numpy(start[f"{name}_1"]))
    pool = nn.MaxPool2d(2, 2)
    net = nn.Sequential(conv1, pool, conv2, pool, nn.Flatten(), ip1, nn.ReLU(), ip2)
    weights = [p for p in net.parameters() if p.dim() > 1]
    biases = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": weights}, {"params": biases, "lr": 0.02}]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, weight_decay=0.0005)
    images = torch.from_numpy(start["images"])
    labels = torch.from_numpy(start["labels"]).long()
    criterion = nn.CrossEntropyLoss()

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    alternate.serve(step, {"torch": torch.__version__, "threads": torch.get_num_threads()})


def check_losses(ours: list[float], theirs: list[float], steps: int = 20) -> float:
    """Largest relative difference of the first losses; ends the run if these are two nets."""
    worst = max(abs(a - b) / abs(b) for a, b in zip(ours[:steps], theirs[:steps], strict=True))
    if worst > 1e-3:
        raise SystemExit(f"the losses differ by {worst:.1e}: {ours[:steps]} and {theirs[:steps]}")
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=15, help="blocks of each (15)")
    parser.add_argument("--steps", type=int, default=30, help="steps a block (30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--contender", choices=("minidl", "torch"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contender:
        {"minidl": run_minidl, "torch": run_torch}[args.contender](args.folder)
        return

    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--folder", folder]
        ours = alternate.Contender(__file__, "minidl", arguments, args.threads)
        theirs = alternate.Contender(__file__, "torch", arguments, args.threads)
        result = alternate.compare(ours, theirs, args.rounds, args.steps)
        ours.close()
        theirs.close()
    floor = OPERATIONS / ours.facts["sgemm_gflops"] / 1e6
    result |= {
        "what": f"LeNet training step, batch {BATCH}, float32, {args.threads} threads",
        "loss difference, 20 steps": check_losses(ours.losses, theirs.losses),
        "floor_ms": floor,
        "versions": {**ours.facts, **theirs.facts},
        "machine": alternate.machine(),
    }
    report(result, floor)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + "\n")


def report(result: dict, floor: float) -> None:
    versions, machine = result["versions"], result["machine"]
    print(result["what"])
    print(f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}, ", end="")
    print(f"NumPy {versions['numpy']}, PyTorch {versions['torch']}")
    print(f"{'':<16}{'median':>9}{'quartiles':>16}{'best':>9}{'images/s':>10}{'x floor':>9}")
    for name in ("minidl", "torch"):
        row = result[name]
        low, high = row["quartiles"]
        print(
            f"{name:<16}{row['median']:>6.2f} ms{f'{low:.2f} - {high:.2f}':>16}{row['best']:>9.2f}"
            f"{1000 * BATCH / row['median']:>10.0f}{row['median'] / floor:>9.1f}"
        )
    ratio = result["torch / minidl"]
    low, high = ratio["quartiles"]
    print(f"{'torch / minidl':<16}{ratio['median']:>9.2f}{f'{low:.2f} - {high:.2f}':>16}")
    rate, difference = versions["sgemm_gflops"], result["loss difference, 20 steps"]
    print(f"floor {floor:.2f} ms: {OPERATIONS / 1e6:.0f} MFLOP at {rate:.0f} GFLOP/s; ", end="")
    print(f"losses agree to {difference:.0e} over 20 steps")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
