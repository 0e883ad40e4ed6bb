"""Numbers recorded from Caffe: single layers, an AlexNet's first step, runs of the solver."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.cases import Case, Facts, LeftOut, Settings, Wrong

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = Path(os.environ.get("MINIDL_SHARED", ROOT.parent / "shared")) / "golden"
TOLERANCE = 1e-5  # of an array's largest value: what float32 deserves, says its README
LATER = 1e-3  # of losses and weights after 30 steps
ENGINES = ("numpy", "cupy", "auto")


def cases(settings: Settings) -> Iterator[Case]:
    if not (files := _files()):
        yield Case("golden numbers", _absent)
        return
    from minidl.layers.base import REGISTRY

    layers = [path for path in files if path.stem.split("__")[0] in REGISTRY]
    for path in layers[:3] if settings.tiny else layers:
        for engine in ENGINES:
            yield Case(f"{path.stem}, {engine}", functools.partial(layer, path, engine))
    for engine in ENGINES[-1:] if settings.tiny else ENGINES:
        run = functools.partial(alexnet, engine, 2 if settings.tiny else 30)
        yield Case(f"AlexNet, small, {engine}", run)
    solvers = sorted((GOLDEN / "solver").glob("sgd_*.npz"))
    for path in solvers[:1] if settings.tiny else solvers:
        yield Case(f"solver {path.stem}", functools.partial(solver, path))


def _files() -> list[Path]:
    import minidl.layers  # noqa: F401  (registers every layer)

    return sorted((GOLDEN / "layers").glob("*.npz"))


def _absent() -> Facts:
    raise LeftOut(f"there are no recorded numbers in {GOLDEN.name}/: MINIDL_SHARED says where")


def _read(path: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(path) as arrays:
        return dict(arrays)


class Errors:
    """Differences from what was recorded, relative to each array's largest value."""

    def __init__(self, device: Any) -> None:
        self._host = device.to_host
        self.found: dict[str, float] = {}

    def add(self, name: str, got: Any, expected: Any) -> None:
        import numpy as np

        got, expected = np.float64(self._host(got)), np.float64(expected)
        scale = max(np.abs(expected).max(initial=0), 1e-30)
        self.found[name] = float(np.abs(got - expected).max(initial=0) / scale)

    def judged(self, tolerance: float = TOLERANCE) -> Facts:
        """All of them. Errors: Wrong if one is too large, or nothing was compared."""
        facts = {"errors": self.found}
        far = {name: error for name, error in self.found.items() if not error <= tolerance}
        if far or not self.found:
            raise Wrong(f"off by {far} of the largest value", facts)
        return facts


def layer(path: Path, engine: str) -> Facts:
    """One recorded layer, forward and backward; the README there says what is in a file."""
    from minidl import Net, schema

    case = _read(path)
    phase = getattr(schema, str(case["phase"]))
    net = Net(str(case["prototxt"]), phase, seed=1, device="cuda:0", engine=engine)
    index = net.layer_names.index("L")
    params, tops, write = net.params.get("L", []), net.tops[index], net.device.write
    errors = Errors(net.device)

    def each(pattern: str) -> Iterator[tuple[int, str]]:
        for key in case:
            if match := re.fullmatch(pattern + r"_(\d+)", key):
                yield int(match[1]), key

    for i, key in each("bottom"):
        write(net.blobs[f"x{i}"].data, case[key])
    for i, key in each("param"):
        write(params[i].data, case[key])
    for i, key in each("dtop"):
        if f"c{i}" in net.blobs:  # a helper's constant, which becomes the top's gradient
            write(net.blobs[f"c{i}"].data, case[key])
    net.forward_pass()
    for i, key in each("top"):
        errors.add(key, tops[i].data, case[key])
    for i, key in each("param_after"):
        errors.add(key, net.layers[index].params[i].data, case[key])
    for i, key in each("dtop"):
        write(tops[i].diff, case[key])
    net.clear_param_diffs()
    net.backward_pass()
    for i, key in each("dbottom"):
        name = f"x{i}" if f"pre{i}" not in net.layer_names else f"h{i}"
        errors.add(key, net.blobs[name].diff, case[key])
    for i, key in each("dparam"):
        if net.layers[index].params[i].wanted:
            errors.add(key, net.layers[index].params[i].diff, case[key])
    return errors.judged()


def alexnet(engine: str, steps: int) -> Facts:
    """An AlexNet with an eighth of the channels: blobs and gradients of the first step, losses."""
    from minidl import get_solver, prototxt

    path = GOLDEN / "alexnet_mini.npz"
    if not path.exists():
        raise LeftOut("alexnet_mini.npz is not there")
    case = _read(path)
    param = prototxt.read_solver(str(case["solver"]))
    param.net_param.CopyFrom(prototxt.read_net(str(case["net"])))
    made = get_solver(param, device="cuda:0", engine=engine)
    net, write = made.net, made.net.device.write
    for key, values in case.items():
        if match := re.fullmatch(r"init_(\w+)_(\d)", key):
            write(net.params[match[1]][int(match[2])].data, values)

    def feed(step: int) -> None:
        write(net.blobs["data"].data, case["data"][step % 4])
        write(net.blobs["label"].data, case["labels"][step % 4])

    errors = Errors(net.device)
    feed(0)
    net.clear_param_diffs()
    net.forward_pass()
    net.backward_pass()
    for key, values in case.items():
        if match := re.fullmatch(r"blob_(\w+)", key):
            errors.add(key, net.blobs[match[1]].data, values)
        if match := re.fullmatch(r"grad_(\w+)_(\d)", key):
            errors.add(key, _update(made, net.params[match[1]][int(match[2])]), values)
    errors.judged(2 * TOLERANCE)
    losses = []
    for step in range(steps):
        feed(step)
        made.step(1)
        losses.append(made.net.loss)
    errors.add("losses", losses, case["loss"][:steps])
    return errors.judged(LATER)


def _update(made: Any, param: Any) -> Any:
    """What the first step takes off a weight: Caffe leaves this in the diff, and recorded it."""
    p, host = made.param, made.net.device.to_host
    decayed = host(param.diff) + p.weight_decay * param.decay_mult * host(param.data)
    return p.base_lr * param.lr_mult * decayed


def solver(path: Path) -> Facts:
    """Twelve steps of SGD with one of its fields set, losses and weights."""
    from minidl import get_solver, prototxt

    case = _read(path)
    param = prototxt.read_solver(str(case["solver"]))
    param.net_param.CopyFrom(prototxt.read_net(str(case["net"])))
    made = get_solver(param, device="cuda:0")
    net, write = made.net, made.net.device.write
    for name in ("conv", "ip"):
        for i, blob in enumerate(net.params[name]):
            write(blob.data, case[f"init_{name}_{i}"])
    errors, losses = Errors(net.device), []
    for step in range(12):
        write(net.blobs["data"].data, case["data"][step])
        write(net.blobs["label"].data, case["labels"][step])
        made.step(1)
        losses.append(made.loss.value)
    errors.add("losses", losses, case["loss"])
    for name in ("conv", "ip"):
        for i, blob in enumerate(net.params[name]):
            errors.add(f"{name}_{i}", blob.data, case[f"after12_{name}_{i}"])
    return errors.judged()
