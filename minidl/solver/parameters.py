"""Every field of a solver file: honoured, or refused by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minidl import prototxt
from minidl.errors import MinidlError, SolverError, raise_all
from minidl.solver import findings
from minidl.solver.rules import RULES

log = logging.getLogger("minidl")

HONOURED = frozenset(
    """
    net net_param train_net train_net_param train_state
    test_net test_net_param test_state test_iter test_interval test_compute_loss
    test_initialization
    base_lr lr_policy gamma power stepsize stepvalue max_iter
    display average_loss debug_info iter_size random_seed type weights
    momentum weight_decay regularization_type clip_gradients
    momentum2 rms_decay delta
    snapshot snapshot_prefix snapshot_diff snapshot_format snapshot_after_train
    solver_mode device_id
    warmup_iter warmup_start_lr min_lr plateau_winsize plateau_monitor
    early_stop_monitor early_stop_patience
    eval_type ap_version show_per_class_result
    larc larc_policy larc_eta rampup_interval rampup_lr
    """.split()
)

# Set in a file they change nothing here, and the log says so.
WITHOUT_EFFECT = {
    "layer_wise_reduce": "it is for training on several devices",
    "solver_data_type": "an update computes in the net's numbers",
    "store_blobs_in_old_format": "weights are always written as BVLC's Caffe writes them",
}

# These do where lr_policy is one of those named; see also `Rule.reads`.
FOR_POLICIES = {
    "min_lr": ("poly", "cosine"),
    "plateau_winsize": ("plateau",),
    "plateau_monitor": ("plateau",),
}

OLD = {"solver_type": "upgraded to type when a solver is read"}


def check(param: Any) -> None:
    """Refuse a SolverParameter for everything that is wrong with it, at once."""
    param = upgraded(param)
    errors: list[MinidlError] = [
        SolverError(f.found, where=where(param, f.field), expected=f.expected, fix=f.fix)
        for f in findings.of(param)
    ]
    raise_all(errors)


def upgraded(param: Any) -> Any:
    """Return `param`, or a copy in today's form if its `solver_type` was set; the log says so."""
    if not param.HasField("solver_type"):
        return param
    param, notes = prototxt.upgrade_solver(param)
    for note in notes:
        log.info("%s", note)
    return param


def where(param: Any, field: str = "") -> str:
    """Return 'lenet_solver.prototxt:12', without a line for a field that is not in the file.

    It is 'solver' without a file: for a solver made in Python, a field that was set afterwards.
    """
    origin = param.minidl_origin
    if not field or field in origin.lines:
        return prototxt.where(param, field) or "solver"
    set_in_memory = any(f.name == field for f, _ in param.ListFields())
    return "solver" if set_in_memory else origin.file or "solver"


def file(param: Any) -> str:
    """Return the path of the solver file, or '' for a solver from text or from Python."""
    name = str(param.minidl_origin.file)
    return name if os.path.isfile(name) else ""


def say_what_has_no_effect(param: Any) -> None:
    """Log the fields that are set but change nothing."""
    given = {field.name for field, _ in param.ListFields()}
    for field, why in [*WITHOUT_EFFECT.items(), *_of_no_use(param)]:
        if field in given:
            value = getattr(param, field)
            shown = f": {value:g}" if isinstance(value, int | float) else ""
            log.info("%s: %s%s has no effect: %s", where(param, field), field, shown, why)
    if param.test_interval > 0 and not param.test_iter:
        log.warning(
            "%s: test_interval: %d has no effect: there is no test_iter, so nothing is tested",
            where(param, "test_interval"),
            param.test_interval,
        )
    for i, count in enumerate(param.test_iter):
        if not count:
            log.warning("%s: test_iter: 0: test net #%d never runs", where(param, "test_iter"), i)


def _of_no_use(param: Any) -> Iterator[tuple[str, str]]:
    """Yield fields that this solver's type and policy do not read, and what does."""
    for field in ("momentum2", "rms_decay", "delta"):
        types = [name for name, rule in RULES.items() if field in rule.reads]
        if param.type not in types:
            yield field, f"it is for {_listing(types)}"
    for field, policies in FOR_POLICIES.items():
        if param.lr_policy not in policies:
            yield field, f"it is for lr_policy {_listing(policies)}"
    if not param.rampup_interval:
        yield "rampup_lr", "there is no rampup_interval"
    if param.eval_type != "detection":
        why = 'eval_type is not "detection"'
        yield from ((field, why) for field in ("ap_version", "show_per_class_result"))
    if not param.larc:
        yield from ((field, "larc is not true") for field in ("larc_policy", "larc_eta"))
    if not param.warmup_iter:
        yield "warmup_start_lr", "there is no warmup_iter"


def _listing(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def snapshot_prefix(param: Any) -> str:
    """Return what names of snapshots start with, by Caffe's rules; '' if nothing says it.

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
