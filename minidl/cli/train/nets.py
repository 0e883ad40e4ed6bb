"""The net of a new run: of the zoo, a prototxt, or that of an earlier run; and whose weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from minidl.cli import zoo
from minidl.cli.arguments import existing
from minidl.errors import UsageError
from minidl.runs import store

ORIGINAL = "original.prototxt"  # DIGITS' name for a prototxt of all stages


class Source(NamedTuple):
    """A net to fit to a data set.

    original   the file of a net that holds all stages, or ""
    """

    model: zoo.Model
    original: str = ""


def find(name: str) -> Source:
    """Return the net of --net: a name of the zoo, a prototxt, or the folder of a run."""
    from minidl.prototxt import deploy, retrain, stages

    if Path(name).is_dir() and name not in zoo.known():
        return Source(_of_run(Path(name)))
    model = zoo.find(name)
    if stages.is_all_in_one(model.net):
        return Source(model._replace(net=stages.by_phase(model.net)), name)
    learns = any(layer.type.endswith("Loss") for layer in model.net.layer)
    if not learns and deploy.reader(model.net) is None and deploy.is_for_use(model.net):
        net = retrain.for_training(model.net)
        return Source(model._replace(net=net, size=retrain.input_size(model.net)))
    return Source(model)


def _of_run(run: Path) -> zoo.Model:
    from minidl import prototxt, schema

    files = [run / name for name in (store.TRAINING_NET, store.NET)]
    file = next((path for path in files if path.is_file()), None)
    if file is None:
        raise UsageError(
            f"holds neither {store.TRAINING_NET} nor {store.NET}",
            where=str(run),
            expected="a net of the zoo, a prototxt, or the folder of a run",
        )
    solver = schema.SolverParameter()
    if (run / store.SOLVER).is_file():
        solver = prototxt.read_solver(run / store.SOLVER)
    return zoo.Model(run.resolve().name, prototxt.read_net(file), solver, None)


def weight_files(given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files of --weights, in which a run's folder stands for its last weights."""
    return tuple(
        str(store.latest_weights(Path(path)))
        if Path(path).is_dir()
        else str(existing(path, "a caffemodel, or the folder of a run"))
        for path in given
    )


def same_classes(given: tuple[str, ...], labels: tuple[str, ...]) -> bool:
    """Return whether all weights are those of runs that learned these very classes."""
    from minidl import preprocess

    if not labels:
        return False
    for path in map(Path, given):
        description = path / preprocess.NAME
        if not description.is_file() or preprocess.read(description).labels != labels:
            return False
    return True


def tells_classes(run: Path) -> bool:
    """Return whether the net of a run tells classes apart."""
    from minidl import prototxt

    return classes_of(prototxt.read_net(run / store.NET))


def classes_of(net: Any) -> bool:
    """Return whether a net tells classes apart."""
    return any(layer.type == "SoftmaxWithLoss" for layer in net.layer)
