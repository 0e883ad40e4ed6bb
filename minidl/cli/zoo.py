"""Nets by name: those of the zoo, or a prototxt of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from minidl.cli.arguments import existing
from minidl.errors import UsageError, did_you_mean


class Model(NamedTuple):
    """A net for training, with what is known of it.

    name     for folders
    net      NetParameter for training it
    solver   SolverParameter it was published with, or an empty one
    size     (height, width) of the pictures it was made for, or None
    """

    name: str
    net: Any
    solver: Any
    size: tuple[int, int] | None


def folder() -> Path:
    """Return the zoo's folder: inside the installed package, else next to it in a checkout."""
    import minidl

    package = Path(minidl.__file__).resolve().parent
    return next((p for p in (package / "zoo", package.parent / "zoo") if p.is_dir()), package)


def known() -> list[str]:
    """Return the names of the zoo's classifiers."""
    return sorted(
        p.parent.name for p in folder().glob("*/solver.prototxt") if _classifies(p.parent)
    )


def _classifies(place: Path) -> bool:
    return any("SoftmaxWithLoss" in p.read_text("utf-8") for p in place.glob("*train*.prototxt"))


def find(name: str) -> Model:
    """Return the net of this name, or in this file. Errors: UsageError with the nearest name."""
    from minidl import prototxt, schema

    place = folder() / name
    if name in known():
        solver = prototxt.read_solver(place / "solver.prototxt")
        net = prototxt.read_net(place / Path(solver.net).name)
        return Model(name, net, solver, _input_size(place))
    if "." not in name and "/" not in name:
        raise UsageError(
            f"the zoo has no net '{name}'",
            where="--net",
            expected=f"{', '.join(known())}; or the prototxt of a net",
            fix=did_you_mean(name, known()),
        )
    path = existing(name, "a net's prototxt, or a name of the zoo")
    net = prototxt.read_net(path)
    stem = path.parent.name if path.stem in ("train_val", "net", "deploy") else path.stem
    return Model(stem or "net", net, schema.SolverParameter(), None)


def _input_size(place: Path) -> tuple[int, int] | None:
    from minidl import prototxt

    for path in place.glob("*deploy.prototxt"):
        for layer in prototxt.read_net(path).layer:
            if layer.type == "Input":
                return tuple(layer.input_param.shape[0].dim[2:])
    return None
