"""A run's weights and state: written to the files of a snapshot, read again."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minidl import schema
from minidl.errors import MinidlError, WeightsError, raise_all
from minidl.net import Net, weights
from minidl.solver import monitor, parameters, schedules
from minidl.solver.marks import Mark, carried, go_to, mark
from minidl.solver.monitor import Best
from minidl.solver.run import Run
from minidl.solver.smoothing import SmoothedLoss
from minidl.storage import arrays, files, replaceable, snapshot, weight_files, weights_hdf5
from minidl.storage.content import LayerWeights

log = logging.getLogger("minidl")


def message(seed: int, loss: SmoothedLoss, places: Sequence[Mark]) -> Any:
    """Return the ResumeState of a run; `places` of the training net, then of the test nets."""
    train, *tests = places
    state = schema.ResumeState(
        seed=seed,
        train_passes=train.passes,
        recent_losses=loss.recent,
        smoothed_loss=loss.value,
        test_passes=[test.passes for test in tests],
        format_version=snapshot.FORMAT,
    )
    for i, place in enumerate(places):
        for layer, batches in place.batches.items():
            state.position.add(net=name(i), layer=layer, batches=batches)
        for (layer, array), values in place.carried.items():
            values = arrays.to_blob(values)
            state.carried.add(net=name(i), layer=layer, name=array, values=values)
    return state


def name(index: int) -> str:
    """Return a net's name in a snapshot: "train", "test 0", "test 1", ..."""
    return f"test {index - 1}" if index else "train"


def check_names(net: Net, param: Any) -> None:
    """Refuse a net whose layers' names a snapshot in HDF5 cannot hold: at once, not after hours."""
    if param.snapshot_format == param.HDF5:
        blobs = {name: [None] * len(params) for name, params in net.params.items()}
        layers = [LayerWeights(la.name, la.type, blobs.get(la.name, [])) for la in net.param.layer]
        weights_hdf5.check_names(layers, parameters.where(param, "snapshot_format"))


def check_paths(prefix: str) -> None:
    """Refuse a prefix whose folder cannot take files, and one where files that are not snapshots
    have the names of some."""
    files.check_writable(prefix)
    stem = glob.escape(prefix)
    for ending in ("caffemodel", "solverstate", "caffemodel.h5", "solverstate.h5"):
        for path in glob.iglob(f"{stem}_iter_[0-9]*.{ending}"):
            replaceable.check_known(path)


def save(run: Run, prefix: str, places: Sequence[Mark]) -> tuple[str, str]:
    """Write the weights, then the state that names them; return both paths.

    snapshot_format says in which of Caffe's formats; HDF5's names end in .h5.

    In this order a state always has its weights, whenever the process is killed. Only where a run
    writes over the snapshots of an earlier one may a kill leave new weights next to the old state:
    the state knows the SHA-256 of its own, and is refused with others.
    """
    end = ".h5" if run.param.snapshot_format == run.param.HDF5 else ""
    stem = f"{prefix}_iter_{run.iter}"
    model, path = f"{stem}.caffemodel{end}", f"{stem}.solverstate{end}"
    run.net.save(model, diffs=run.param.snapshot_diff)
    plateaus = run.plateau.count
    step = schedules.current_step(run.param, run.iter - 1, plateaus) if run.iter else 0
    history = [run.net.device.to_host(h) for h in run.updater.history]
    resume = message(run.seed, run.loss, places)
    resume.plateau.CopyFrom(run.plateau.message())
    resume.early_stop.CopyFrom(run.early_stop.message())
    resume.weights_sha256 = files.sha256(model)
    snapshot.write(path, snapshot.State(run.iter, model, history, step, resume))
    return model, path


def load(run: Run, path: str) -> str:
    """Restore a run from the snapshot at `path`; return the path of its weights.

    Everything is read and compared first, so a snapshot that is refused changes nothing.
    """
    found = snapshot.read(path)
    file = str(snapshot.weights_path(found, path))
    if file != found.learned_net:
        log.info("%s names its weights %s: %s is taken", path, found.learned_net, file)
    _check_history(run, found, path)
    _check_layers(run, file)
    run.net.copy_from(file)
    for mine, theirs in zip(run.updater.history, found.history, strict=True):
        run.net.device.write(mine, theirs.reshape(mine.shape))
    run.iter = found.iter
    if found.resume is None:
        log.warning(
            "%s was written by Caffe, which does not save random numbers, data positions and the "
            "smoothed loss: the data sets start from their beginning",
            path,
        )
        run.smoothed = SmoothedLoss()
        counted = run.param.lr_policy == "plateau"  # by the forks that have it
        run.plateau = Best(None, found.iter, found.current_step if counted else 0)
        run.early_stop = Best()
        for net in run.nets:
            go_to(net, Mark(0, dict.fromkeys(mark(net).batches, 0)))
        return file
    _put_back(run, found.resume, path)
    return file


def _put_back(run: Run, resume: Any, path: str) -> None:
    if run.param.random_seed >= 0 and run.param.random_seed != resume.seed:
        log.warning(
            "random_seed is %d, but the run of %s had %d and goes on with that",
            run.param.random_seed,
            path,
            resume.seed,
        )
    run.set_seed(resume.seed)
    run.smoothed = SmoothedLoss(resume.smoothed_loss, resume.recent_losses)
    run.plateau = monitor.from_message(resume.plateau)
    run.early_stop = monitor.from_message(resume.early_stop)
    positions = {(p.net, p.layer): p.batches for p in resume.position}
    passes = dict(enumerate([resume.train_passes, *resume.test_passes]))
    for i, net in enumerate(run.nets):
        batches = {layer: positions.get((name(i), layer), 0) for layer in mark(net).batches}
        kept = {
            (c.layer, c.name): arrays.from_blob(c.values)
            for c in resume.carried
            if c.net == name(i)
        }
        go_to(net, Mark(passes.get(i, 0), batches, kept))
        _say_what_is_lost(net, kept, f"{path}, the {name(i)} net")
        for layer in batches:
            if (name(i), layer) not in positions:
                log.warning(
                    "%s does not know data layer '%s' of the %s net, which starts at its beginning",
                    path,
                    layer,
                    name(i),
                )


def _say_what_is_lost(net: Net, found: dict[tuple[str, str], np.ndarray], where: str) -> None:
    for layer, array, shape in carried(net):
        had = found.get((layer.name, array))
        if had is not None and had.shape != shape:
            log.warning(
                "%s: %s of layer '%s' has the shape %s, needed is %s: it starts with zeros",
                where,
                array,
                layer.name,
                had.shape,
                shape,
            )


def _check_history(run: Run, found: snapshot.State, path: str) -> None:
    params, rule = run.net.learnable, run.updater.rule
    if len(found.history) != len(run.updater.history):
        raise WeightsError(
            f"has {len(found.history)} arrays of history",
            where=path,
            expected=f"{len(run.updater.history)}: {rule.histories} for each of the net's "
            f"{len(params)} parameters",
            fix="is it a snapshot of this net and this solver type?",
        )
    errors: list[MinidlError] = []
    for i, array in enumerate(found.history):
        param = params[i % len(params)]
        wanted = param.shape
        if found.legacy and found.legacy[i] and len(wanted) < 4:
            wanted = (1,) * (4 - len(wanted)) + wanted  # the old four axes
        if array.shape != wanted:
            errors.append(
                WeightsError(
                    f"the history of parameter {param.name} has the shape {array.shape}",
                    where=path,
                    expected=f"{param.shape}, the parameter's",
                )
            )
    raise_all(errors)


def _check_layers(run: Run, path: str) -> None:
    """Refuse a file without all of the run's weights, whereas `copy_from` takes what fits."""
    missing = weights.lacking(run.net.state, weight_files.read(path))
    if missing:
        raise WeightsError(
            f"has no weights for {_listing(missing)}",
            where=path,
            expected="the weights of every layer of the run",
            fix="is it a snapshot of this net? to start a new run from it, give it as weights",
        )


def _listing(items: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in items]
    rest = f" and {len(quoted) - 5} more" if len(quoted) > 5 else ""
    return f"layer{'s' if len(quoted) > 1 else ''} {', '.join(quoted[:5])}{rest}"
