"""Checks of a solver file's fields, each by itself and together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from minidl.errors import SolverError, did_you_mean, nearest
from minidl.prototxt.finite import not_finite
from minidl.solver import schedules
from minidl.solver.detection import VERSIONS
from minidl.solver.rules import RULES
from minidl.storage import hdf5

TRAIN_SOURCES = ("net", "net_param", "train_net", "train_net_param")
REGULARIZATIONS = ("L2", "L1")
LARC_POLICIES = ("scale", "clip")
EVALUATIONS = ("classification", "detection")


class Finding(NamedTuple):
    """Something wrong with one field."""

    field: str
    found: str
    expected: str = ""
    fix: str = ""


def of(param: Any) -> Iterator[Finding]:
    """Yield everything that is wrong with a SolverParameter in today's form."""
    finders = (_sources, _test_nets, _rate, _type, _numbers, _formats, _monitors, _nvidias, _ssds)
    for find in finders:
        yield from find(param)


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
        if count < 0:
            yield Finding("test_iter", f"test_iter is {count}", "batches, 0 for no test")


def _rate(p: Any) -> Iterator[Finding]:
    if not p.HasField("base_lr"):
        yield Finding("", "base_lr is missing", "the learning rate to start from")
    try:
        policy = schedules.policy(p)
    except SolverError as error:
        yield Finding("lr_policy", error.found, error.expected, error.fix)
        return
    given = {field.name for field, _ in p.ListFields()}
    for field in policy.needs:
        if field not in given:
            yield Finding("lr_policy", f'lr_policy "{p.lr_policy}" needs {field}')
    if p.lr_policy == "step" and p.HasField("stepsize") and p.stepsize < 1:
        yield Finding("stepsize", f"stepsize is {p.stepsize}", "a positive number of iterations")
    for size in p.plateau_winsize:
        if size < 1:
            found = f"plateau_winsize is {size}"
            yield Finding("plateau_winsize", found, "a positive number of iterations")


def _type(p: Any) -> Iterator[Finding]:
    if p.type not in RULES:
        fix = did_you_mean(p.type, RULES)
        yield Finding("type", f"unknown type '{p.type}'", f"one of {', '.join(RULES)}", fix)
    elif p.momentum and "momentum" not in RULES[p.type].reads:
        found = f"momentum is {p.momentum:g}, but type {p.type} has none"
        yield Finding("momentum", found, "0", "leave momentum out, or choose another type")


def _nvidias(p: Any) -> Iterator[Finding]:
    """Check the fields that only NVIDIA's Caffe has."""
    if p.larc and p.type != "SGD":
        found = f"larc is true, but type is {p.type}"
        yield Finding("larc", found, 'type: "SGD"', "leave larc out, or choose that type")
    if p.larc_policy not in LARC_POLICIES:
        found = f"unknown larc_policy '{p.larc_policy}'"
        yield Finding("larc_policy", found, " or ".join(LARC_POLICIES))
    if p.rampup_interval and p.warmup_iter:
        found = "has both warmup_iter and rampup_interval"
        yield Finding("rampup_interval", found, "one of them")


def _ssds(p: Any) -> Iterator[Finding]:
    """Check the fields that only SSD's fork has."""
    for field, known in (("eval_type", EVALUATIONS), ("ap_version", VERSIONS)):
        value = getattr(p, field)
        if value not in known:
            fix = did_you_mean(value, known)
            yield Finding(field, f"unknown {field} '{value}'", f"one of {', '.join(known)}", fix)


_LEAST = {  # whole numbers
    "display": 0,
    "average_loss": 1,
    "iter_size": 1,
    "max_iter": 0,
    "snapshot": 0,
    "test_interval": 0,
    "warmup_iter": 0,
    "rampup_interval": 0,
}
_RANGES = {  # least, and below
    "momentum": (0.0, 1.0),
    "momentum2": (0.0, 1.0),
    "rms_decay": (0.0, 1.0),
    "delta": (0.0, math.inf),
    "weight_decay": (0.0, math.inf),
    "warmup_start_lr": (0.0, math.inf),
    "min_lr": (0.0, math.inf),
    "rampup_lr": (0.0, math.inf),
    "larc_eta": (0.0, math.inf),
}


def _numbers(p: Any) -> Iterator[Finding]:
    for field, least in _LEAST.items():
        value = getattr(p, field)
        if value < least:
            yield Finding(field, f"{field} is {value}", f"{least} or more")
    for field, (low, below) in _RANGES.items():
        value = getattr(p, field)
        if math.isfinite(value) and not low <= value < below:
            limit = f" and below {below:g}" if below < math.inf else ""
            yield Finding(field, f"{field} is {value:g}", f"{low:g} or more{limit}")
    for path, value in not_finite(p):
        yield Finding(path, f"{path} is {value}", "a finite number")
    for value in p.stepvalue:
        if value < 0:
            yield Finding("stepvalue", f"stepvalue is {value}", "0 or more")


def _formats(p: Any) -> Iterator[Finding]:
    if p.snapshot_format == p.HDF5 and not hdf5.available():
        found = "snapshot_format is HDF5, and h5py, which writes such files, is not installed"
        yield Finding("snapshot_format", found, "h5py", "pip install h5py")
    kind = p.regularization_type
    if kind not in REGULARIZATIONS:
        near = nearest(kind, REGULARIZATIONS)
        fix = f"did you mean '{near}'?" if near else ""
        yield Finding(
            "regularization_type", f"unknown regularization_type '{kind}'", "L2 or L1", fix
        )


def _monitors(p: Any) -> Iterator[Finding]:
    for field in ("plateau_monitor", "early_stop_monitor"):
        if p.HasField(field):
            yield from _monitor(p, field, getattr(p, field))
    if p.HasField("early_stop_monitor") and not p.HasField("early_stop_patience"):
        found = "early_stop_monitor needs early_stop_patience"
        yield Finding("early_stop_monitor", found, "the number of tests to wait")
    if p.HasField("early_stop_patience"):
        if p.early_stop_patience < 1:
            found = f"early_stop_patience is {p.early_stop_patience}"
            yield Finding("early_stop_patience", found, "1 or more")
        if not p.HasField("early_stop_monitor"):
            found = "early_stop_patience needs early_stop_monitor"
            fix = 'such as early_stop_monitor { output: "accuracy" mode: MAX }'
            yield Finding("early_stop_patience", found, "the output to watch", fix)


def _monitor(p: Any, field: str, monitor: Any) -> Iterator[Finding]:
    if not p.test_iter:
        yield Finding(field, f"{field} watches a test, but nothing is tested", "test_iter")
    elif not 0 <= monitor.test_net < len(p.test_iter):
        found = f"{field}: test_net is {monitor.test_net}, and there are {len(p.test_iter)}"
        yield Finding(field, found, "the number of a test net, counted from 0")
    elif not p.test_iter[monitor.test_net]:
        found = f"{field} watches test net #{monitor.test_net}, whose test_iter is 0"
        yield Finding(field, found, "a test with batches")
    if not monitor.output:
        yield Finding(field, f"{field}: output is missing", "the name of an output of the test net")
    if not monitor.HasField("mode"):
        yield Finding(field, f"{field}: mode is missing", "MIN for a loss, MAX for an accuracy")
    if monitor.min_delta < 0:
        yield Finding(field, f"{field}: min_delta is {monitor.min_delta:g}", "0 or more")
