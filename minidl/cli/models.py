"""Model files for the commands: read, and given random records if data is absent."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from argparse import Namespace
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidl.cli.arguments import existing
from minidl.errors import DataError, DeviceError, UsageError, did_you_mean

if TYPE_CHECKING:
    from minidl.arrays.device import Device
    from minidl.net import Net
    from minidl.net.blueprint import Blueprint

log = logging.getLogger("minidl")

FAMILIES = {  # a word in a name: the shape of that family's records
    "mnist": (1, 28, 28),
    "lenet": (1, 28, 28),
    "digits": (1, 28, 28),
    "cifar": (3, 32, 32),
}
_WORD = re.compile(r"""#.*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}<>]|\w+""")
_OPENS = re.compile(r"\s*[:{<]")  # what follows the name of a field


def read_net(path: str) -> Any:
    """Return the upgraded NetParameter in a prototxt."""
    import minidl.layers  # noqa: F401  (messages about unknown fields name unknown types)
    from minidl import prototxt

    return prototxt.read_net(existing(path, "a net's prototxt"))


def phase(args: Namespace) -> int:
    """Return -phase as a number."""
    from minidl import schema

    return schema.TRAIN if args.phase == "TRAIN" else schema.TEST


def set_train_state(param: Any, args: Namespace) -> None:
    """Give a SolverParameter the -level and -stage for its training net, as Caffe does."""
    if args.level:
        param.train_state.level = args.level
    if args.stage:
        param.train_state.stage.extend(args.stage)


def device(args: Namespace) -> Device:
    """Return the Device that -gpu asks for, by default the CPU."""
    from minidl.arrays.device import Device

    asked = getattr(args, "gpu", "")
    if "," in asked or asked == "all":
        raise UsageError(
            f"-gpu {asked}: minidl trains on one GPU at a time",
            expected="-gpu 0",
        )
    return Device(f"cuda:{asked}" if asked else "cpu")


def use_device(args: Namespace) -> str:
    """Return the name of that device; log it, as Caffe does."""
    name = device(args).name
    log.info("Use %s.", name.upper())
    return name


def training_device(param: Any, args: Namespace) -> str:
    """Return where to train: on -gpu's, else where the solver file says; log it.

    If a solver file says ``solver_mode: GPU`` on a machine without one, the CPU trains:
    Caffe's own examples all say so.
    """
    from minidl.arrays.device import Device

    if not args.gpu and param.HasField("solver_mode") and param.solver_mode == param.GPU:
        try:
            name = Device(f"cuda:{param.device_id}").name
        except DeviceError as error:
            log.warning("solver_mode is GPU, but the CPU trains: %s", error.found)
        else:
            log.info("Use %s.", name.upper())
            return name
    return use_device(args)


def refuse_unfed(net: Any, where: str, fix: str = "") -> None:
    """Refuse a net with unfilled inputs: results computed from zeros mean nothing."""
    if net.inputs:
        names = ", ".join(f"'{name}'" for name in net.inputs)
        raise UsageError(
            f"net '{net.name}' reads nothing: its input {names} would be zero",
            where=where,
            expected="a net with a data layer",
            fix=fix,
        )


def refuse_unknown_layers(asked: Collection[str], known: Collection[str], where: str) -> None:
    """Refuse names that are none of the net's layers."""
    for name in asked:
        if name not in known:
            fix = did_you_mean(name, known)
            raise UsageError(f"the net has no layer '{name}'", where=where, fix=fix)


def is_solver(path: str) -> bool:
    """Return whether a prototxt holds a solver rather than a net, by its outermost fields."""
    from minidl import prototxt, schema

    found = set(outer_fields(prototxt.read_text(existing(path, "a prototxt"))))
    fields = [
        set(cls.DESCRIPTOR.fields_by_name) for cls in (schema.SolverParameter, schema.NetParameter)
    ]
    return len(found & fields[0]) > len(found & fields[1])


def outer_fields(text: str) -> Iterator[str]:
    """Yield the names of the outermost fields of a text message, without parsing it.

    >>> list(outer_fields('net: "a: b" # c: 1\\nlayer { name: "x" } lr_policy: "inv"'))
    ['net', 'layer', 'lr_policy']
    """
    depth = 0
    for match in _WORD.finditer(text):
        word = match.group()
        if word in "{<":
            depth += 1
        elif word in "}>":
            depth -= 1
        elif depth == 0 and word[0].isalpha() and _OPENS.match(text, match.end()):
            yield word


def guess_record(net: Any, path: str, args: Namespace) -> tuple[int, ...] | None:
    """Return the shape (C, H, W) of random records if a data set is absent.

    --shape gives it; else crop_size and the family named in the source, the net's name or the
    file's; with crop_size alone, the channels are the number of mean_values, else 3; else
    None.
    """
    if args.shape is not None:
        return tuple(args.shape)
    sources = [source for layer in net.layer for source in _sources(layer)]
    hints = [*sources, net.name, Path(path).stem]
    family = next(
        (shape for name, shape in FAMILIES.items() if any(name in hint.lower() for hint in hints)),
        None,
    )
    for layer in net.layer:
        transform = layer.transform_param
        if transform.crop_size:
            gray = transform.force_gray or len(transform.mean_value) == 1
            channels = 1 if gray else family[0] if family and not transform.mean_value else 3
            return (channels, transform.crop_size, transform.crop_size)
    return family


def blueprint(args: Namespace, phase: int) -> Blueprint:
    """Return the net of `args.model` on paper, with random records if a data set is absent."""
    from minidl.layers.context import Context
    from minidl.net.blueprint import Blueprint

    param = read_net(args.model)
    with records(param, args.model, args) as record:
        return Blueprint(param, Context(phase=phase, absent_data=record), args.level, args.stage)


def net(param: Any, path: str, args: Namespace, **options: Any) -> Net:
    """Return the net with these options of Net, with random records if a data set is absent."""
    from minidl.net import Net

    with records(param, path, args) as record:
        return Net(param, level=args.level, stages=args.stage, absent_data=record, **options)


def absent_sources(net: Any) -> list[str]:
    """Return the sources of a net's data layers that do not exist ("" if a layer names none)."""
    sources = [source for layer in net.layer for source in _sources(layer)]
    return [source for source in sources if not source or not os.path.exists(source)]


def _sources(layer: Any) -> list[str]:
    """Return where a layer reads from, if it reads."""
    from minidl.prototxt.deploy import READERS

    field = READERS.get(layer.type)
    return [getattr(layer, field).source] if field else []


@contextlib.contextmanager
def records(net: Any, path: str, args: Namespace) -> Iterator[tuple[int, ...] | None]:
    """Yield the shape of random records that is guessed; without one, the error of an absent data
    set inside the block mentions --shape.

    The error of an existing but damaged one does not: nothing would replace it.
    """
    record = guess_record(net, path, args)
    try:
        yield record
    except DataError as error:
        for one in error.errors:
            absent = any(source and source in one.where for source in absent_sources(net))
            if record is None and absent:
                hint = "give --shape C,H,W, and random records of that shape are used"
                one.fix = f"{one.fix}; or {hint}" if one.fix else hint
        raise


def warn_of_unused_shape(net: Any, args: Namespace) -> None:
    """Log a warning if --shape was given, but no data set is absent."""
    if args.shape is not None and not absent_sources(net):
        log.warning("--shape is not used: no data set of the net is absent")
