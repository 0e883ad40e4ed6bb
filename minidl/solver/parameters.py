"""Every field of a solver file: honoured, or refused by name."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minidl import prototxt
from minidl.errors import MinidlError, SolverError, did_you_mean, nearest, raise_all
from minidl.solver import rules, schedules
from minidl.storage import hdf5

log = logging.getLogger("minidl")

TRAIN_SOURCES = ("net", "net_param", "train_net", "train_net_param")
REGULARIZATIONS = ("L2", "L1")

HONOURED = frozenset(
    """
    net net_param train_net train_net_param train_state
    test_net test_net_param test_state test_iter test_interval test_compute_loss
    test_initialization
    base_lr lr_policy gamma power stepsize stepvalue max_iter
    display average_loss debug_info iter_size random_seed type weights
    momentum weight_decay regularization_type clip_gradients
    snapshot snapshot_prefix snapshot_diff snapshot_format snapshot_after_train
    solver_mode device_id
    """.split()
)

# Set in a file they change nothing here, and the log says so.
WITHOUT_EFFECT = {
    "layer_wise_reduce": "it is for training on several devices",
    "delta": "it is for AdaGrad, RMSProp, AdaDelta and Adam",
    "momentum2": "it is for Adam",
    "rms_decay": "it is for RMSProp",
}

OLD = {"solver_type": "upgraded to type when a solver is read"}


class Finding(NamedTuple):
    """Something wrong with one field."""

    field: str
    found: str
    expected: str = ""
    fix: str = ""


def check(param: Any) -> None:
    """Refuse a SolverParameter for everything that is wrong with it, at once."""
    param = upgraded(param)
    errors: list[MinidlError] = [
        SolverError(f.found, where=where(param, f.field), expected=f.expected, fix=f.fix)
        for find in (_sources, _test_nets, _rate, _type, _numbers, _formats)
        for f in find(param)
    ]
    raise_all(errors)


def upgraded(param: Any) -> Any:
    """`param`, or a copy in today's form if its `solver_type` was set; the log says so."""
    if not param.HasField("solver_type"):
        return param
    param, notes = prototxt.upgrade_solver(param)
    for note in notes:
        log.info("%s", note)
    return param


def where(param: Any, field: str = "") -> str:
    """'lenet_solver.prototxt:12', without a line for a field that is not in the file.

    'solver' for what is from no file: a solver made in Python, a field that was set afterwards.
    """
    origin = param.minidl_origin
    if not field or field in origin.lines:
        return prototxt.where(param, field) or "solver"
    set_in_memory = any(f.name == field for f, _ in param.ListFields())
    return "solver" if set_in_memory else origin.file or "solver"


def file(param: Any) -> str:
    """The path of the solver file, or '' for a solver from text or from Python."""
    name = str(param.minidl_origin.file)
    return name if os.path.isfile(name) else ""


def say_what_has_no_effect(param: Any) -> None:
    """Log the fields that are set but change nothing."""
    for field, why in WITHOUT_EFFECT.items():
        if not param.HasField(field):
            continue
        value = f"{getattr(param, field):g}"
        log.info("%s: %s: %s has no effect: %s", where(param, field), field, value, why)
    if param.test_interval > 0 and not param.test_iter:
        log.warning(
            "%s: test_interval: %d has no effect: there is no test_iter, so nothing is tested",
            where(param, "test_interval"),
            param.test_interval,
        )


def snapshot_prefix(param: Any) -> str:
    """What the names of snapshots start with, by Caffe's rules; '' if nothing says it.

    Without the field it is the solver file's path without its extension; a folder stands for
    files named after the solver in that folder.
    """
    source = file(param)
    if not param.HasField("snapshot_prefix"):
        return os.path.splitext(source)[0]
    prefix = str(param.snapshot_prefix)
    if source and os.path.isdir(prefix):
        return str(Path(prefix) / Path(source).stem)
    return prefix


def _sources(p: Any) -> Iterator[Finding]:
    given = [name for name in TRAIN_SOURCES if p.HasField(name)]
    if not given:
        yield Finding("", "no net to train", f"one of {', '.join(TRAIN_SOURCES)}")
    elif len(given) > 1:
        yield Finding(given[1], f"has both {' and '.join(given)}", "one net to train")


def _test_nets(p: Any) -> Iterator[Finding]:
    own = len(p.test_net) + len(p.test_net_param)
    generic = p.HasField("net") or p.HasField("net_param")
    iters = len(p.test_iter)
    if iters < own or (iters > own and not generic):
        expected = f"{'at least ' if generic else ''}{own}: one for each test net"
        yield Finding("test_iter", f"{iters} test_iter for {own} test nets", expected)
        return
    if p.test_state and len(p.test_state) != iters:
        found = f"{len(p.test_state)} test_state for {iters} test nets"
        yield Finding("test_state", found, "none, or one for each test_iter")
    if iters and p.test_interval <= 0:
        found = f"test_interval is {p.test_interval}, but there are nets to test"
        yield Finding("test_interval", found, "a positive number", "or leave out test_iter")
    for count in p.test_iter:
        if count < 1:
            yield Finding("test_iter", f"test_iter is {count}", "a positive number of batches")


def _rate(p: Any) -> Iterator[Finding]:
    if not p.HasField("base_lr"):
        yield Finding("", "base_lr is missing", "the learning rate to start from")
    try:
        policy = schedules.policy(p)
    except SolverError as error:
        yield Finding("lr_policy", error.found, error.expected, error.fix)
        return
    for field in policy.needs:
        repeated = field == "stepvalue"
        if not (len(p.stepvalue) if repeated else p.HasField(field)):
            yield Finding("lr_policy", f'lr_policy "{p.lr_policy}" needs {field}')
    if p.lr_policy == "step" and p.HasField("stepsize") and p.stepsize < 1:
        yield Finding("stepsize", f"stepsize is {p.stepsize}", "a positive number of iterations")


def _type(p: Any) -> Iterator[Finding]:
    if p.type in rules.RULES:
        return
    if p.type in rules.LATER:
        found = f'type "{p.type}" is not there yet: a later version of minidl will have it'
        yield Finding("type", found, f"one of {', '.join(rules.RULES)}")
    else:
        known = [*rules.RULES, *rules.LATER]
        yield Finding("type", f"unknown type '{p.type}'", "SGD", did_you_mean(p.type, known))


_LEAST = {  # whole numbers
    "display": 0,
    "average_loss": 1,
    "iter_size": 1,
    "max_iter": 0,
    "snapshot": 0,
    "test_interval": 0,
}
_RANGES = {"momentum": (0.0, 1.0), "weight_decay": (0.0, math.inf)}  # least, and below


def _numbers(p: Any) -> Iterator[Finding]:
    for field, least in _LEAST.items():
        value = getattr(p, field)
        if value < least:
            yield Finding(field, f"{field} is {value}", f"{least} or more")
    for field, (low, below) in _RANGES.items():
        value = getattr(p, field)
        if not low <= value < below:
            limit = f" and below {below:g}" if below < math.inf else ""
            yield Finding(field, f"{field} is {value:g}", f"{low:g} or more{limit}")
    for field in ("base_lr", "gamma", "power", "clip_gradients"):
        value = getattr(p, field)
        if not math.isfinite(value):
            yield Finding(field, f"{field} is {value}", "a finite number")
    for value in p.stepvalue:
        if value < 0:
            yield Finding("stepvalue", f"stepvalue is {value}", "0 or more")


def _formats(p: Any) -> Iterator[Finding]:
    if p.snapshot_format == p.HDF5 and not hdf5.available():
        found = "snapshot_format is HDF5, and h5py, which writes such files, is not installed"
        yield Finding("snapshot_format", found, "h5py", "pip install 'minidl[hdf5]'")
    kind = p.regularization_type
    if kind not in REGULARIZATIONS:
        near = nearest(kind, REGULARIZATIONS)
        fix = f"did you mean '{near}'?" if near else ""
        yield Finding(
            "regularization_type", f"unknown regularization_type '{kind}'", "L2 or L1", fix
        )
