"""Solver states: how far a run has got, in Caffe's file plus what Caffe leaves out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minidl import schema
from minidl.errors import FormatError, UsageError, WeightsError
from minidl.storage import arrays, files, hdf5, sniff, wire

# Fields of SolverState.
_ITER, _LEARNED_NET, _HISTORY, _CURRENT_STEP, _RESUME = 1, 2, 3, 4, 20000
FORMAT = "1"  # of ResumeState
_MOST_COUNTED = 1 << 53  # of any counter: a million a second for 285 years
_MOST_ITERATIONS = (1 << 31) - 1  # Caffe's field has 31 bits


@dataclass
class State:
    """One .solverstate file.

    iter            updates done
    learned_net     path of the weights at the time they were written
    history         the rule's arrays, in the order of `net.learnable`
    legacy          for each of them, whether its shape is the old four axes
    current_step    number of stepvalue entries passed, as Caffe counts them
    resume          schema.ResumeState, or None in a file that Caffe wrote
    """

    iter: int
    learned_net: str
    history: Sequence[np.ndarray]
    current_step: int = 0
    resume: Any = None
    legacy: list[bool] = field(default_factory=list)


def read(path: str | os.PathLike[str]) -> State:
    """Return a .solverstate of Caffe or minidl, in either format; arrays are views of its bytes.

    Errors: FormatError for a file that is cut short, damaged or of another kind; UsageError for a
    path that cannot be read, and for HDF5 where h5py is not installed.
    """
    if sniff.is_hdf5(files.head(path, "solver state")):
        return _read_hdf5(path)
    data = files.read(path, "solver state")
    reader = wire.Reader(data, str(path), sniff.STATE)
    state = State(-1, "", [])
    history: list[np.ndarray] = []
    for item in reader.fields():
        if item.number == _ITER:
            state.iter = reader.integer(item, "iter")
        elif item.number == _LEARNED_NET:
            state.learned_net = reader.text(item, "learned_net")
        elif item.number == _HISTORY:
            within = f"history {len(history)}"
            reader.expect(item, wire.BYTES, within)
            array, legacy = arrays.parse(reader, item.start, item.end, within)
            history.append(array)
            state.legacy.append(legacy)
        elif item.number == _CURRENT_STEP:
            state.current_step = reader.integer(item, "current_step")
        elif item.number == _RESUME:
            reader.expect(item, wire.BYTES, "minidl_resume")
            state.resume = _resume(reader, item)
    state.history = history
    if not 0 <= state.iter < 2**31 or not state.learned_net:
        reader.fail(0, "", "no iteration" if state.iter < 0 else "no weight file name")
    return state


def _resume(reader: wire.Reader, item: wire.Field) -> Any:
    try:
        resume = schema.ResumeState.FromString(bytes(reader.data[item.start : item.end]))
    except Exception as error:  # protobuf's DecodeError is another class in every release
        reader.fail(item.start, "minidl_resume", str(error))
    return _of_this_version(resume, reader.path)


def _of_this_version(resume: Any, path: str) -> Any:
    if resume.format_version != FORMAT:
        raise FormatError(
            f"minidl's part of it has the version {resume.format_version!r}",
            where=path,
            expected=f"version {FORMAT!r}",
            fix="resume with the version of minidl that wrote it",
        )
    counts = {
        "passes": [resume.train_passes, *resume.test_passes],
        "batches": [position.batches for position in resume.position],
        "iterations": [resume.plateau.iter, resume.early_stop.iter],
    }
    for what, numbers in counts.items():
        for number in numbers:
            if not 0 <= number < _MOST_COUNTED:
                raise FormatError(
                    f"is damaged: it counts {number:,} {what}",
                    where=path,
                    fix="resume from another snapshot",
                )
    return resume


def _read_hdf5(path: str | os.PathLike[str]) -> State:
    """Read it from /iter, /learned_net, /current_step, /history/<i> and our /minidl_resume."""
    where = str(path)
    with hdf5.reading(path, "solver state") as file:
        if "data" in file and "iter" not in file:
            raise FormatError("holds weights in HDF5", where=where, expected="a solver state")
        state = State(
            hdf5.whole_number(file, "iter", where),
            hdf5.text(file, "learned_net", where) if "learned_net" in file else "",
            _history(file, where),
            hdf5.whole_number(file, "current_step", where) if "current_step" in file else 0,
        )
        if "minidl_resume" in file:
            state.resume = _resume_of(hdf5.octets(file, "minidl_resume", where), where)
    state.legacy = [False] * len(state.history)
    if not 0 <= state.iter < 2**31 or not state.learned_net:
        found = "no name of a weight file" if state.iter >= 0 else f"iteration {state.iter}"
        raise FormatError(f"has {found}", where=where, expected="a solver state in HDF5")
    return state


def _history(file: Any, where: str) -> list[np.ndarray]:
    """Return the arrays /history/0, /history/1, ... by number (HDF5 sorts them 0, 1, 10, 11, 2)."""
    group = file.get("history")
    if not hasattr(group, "keys"):
        raise FormatError("has no group 'history'", where=where, expected="a solver state in HDF5")
    found = dict(hdf5.datasets(group, where))
    hdf5.check_all(found, where, "a solver state")
    names = [str(i) for i in range(len(found))]
    if set(names) != set(found):
        odd = next(name for name in found if name not in names)
        raise FormatError(
            f"its history has an array '{odd[:80]}'",
            where=where,
            expected=f"{len(found)} arrays called 0, 1, 2, ...",
        )
    return [hdf5.floats(found[name], f"/history/{name}", where) for name in names]


def _resume_of(data: bytes, where: str) -> Any:
    try:
        resume = schema.ResumeState.FromString(data)
    except Exception as error:
        raise FormatError(f"is damaged in minidl_resume: {error}", where=where) from None
    return _of_this_version(resume, where)


def write(path: str | os.PathLike[str], state: State) -> None:
    """Write a .solverstate; it appears whole or not at all. Write its weights first.

    A path that ends in .h5 gets Caffe's HDF5 form.

    Errors: RunError for a full disk, UsageError for a path that cannot be written.
    """
    if state.iter > _MOST_ITERATIONS:
        raise UsageError(
            f"cannot hold iteration {state.iter:,}",
            where=str(path),
            expected=f"at most {_MOST_ITERATIONS:,}, as in Caffe",
        )
    if str(path).endswith(".h5"):
        _write_hdf5(path, state)
        return
    small = schema.SolverState(
        iter=state.iter,
        learned_net=os.fsdecode(state.learned_net),
        current_step=state.current_step,
        minidl_resume=state.resume,
    )
    pieces: list[Any] = [small.SerializeToString()]
    for array in state.history:
        blob = arrays.serialize(array)
        pieces += [wire.head(_HISTORY, sum(map(len, blob))), *blob]
    files.write_all(path, pieces)


def _write_hdf5(path: str | os.PathLike[str], state: State) -> None:
    with hdf5.writing(path) as file:
        file["iter"] = np.array([state.iter], np.int32)
        hdf5.put_text(file, "learned_net", os.fsdecode(state.learned_net))
        file["current_step"] = np.array([state.current_step], np.int32)
        history = file.create_group("history")
        for i, array in enumerate(state.history):
            history[str(i)] = array
        if state.resume is not None:
            file["minidl_resume"] = np.frombuffer(state.resume.SerializeToString(), np.uint8)


def weights_path(state: State, path: str | os.PathLike[str]) -> Path:
    """Return where the weights of the state read from `path` are: in its folder or their old place.

    Its folder comes first, for the old place of a copied snapshot may hold those of a later run:
    under the name that the state records, then under the state's own, in case both were renamed.
    Files that were not written with the state are skipped; Caffe's states do not record that.

    Errors: UsageError naming the places, WeightsError where only other weights are there.
    """
    folder, old = Path(path).parent, Path(state.learned_net)
    last = re.split(r"[/\\]", state.learned_net)[-1]  # written on Windows, perhaps
    own = Path(path).name.replace(".solverstate", ".caffemodel")
    places = [folder / old.name, folder / last, old]
    if own != Path(path).name:
        places.append(folder / own)
    places = list(dict.fromkeys(places))
    # os.path's: Path's raises for a name that no system accepts
    found = [place for place in places if os.path.isfile(place)]
    if not found:
        raise UsageError(
            "the weights that belong to this solver state were not found",
            where=str(path),
            expected=" or ".join(map(str, places)),
            fix="put the weights of the same iteration next to the solver state",
        )
    wanted = state.resume.weights_sha256 if state.resume is not None else ""
    for place in found:
        if not wanted or files.sha256(place) == wanted:
            return place
    raise WeightsError(
        f"{' and '.join(map(str, found))} "
        f"{'is not the file' if len(found) == 1 else 'are not the file'} that was written with it: "
        "damaged, or of another run",
        where=str(path),
        expected=f"weights with the SHA-256 {wanted}",
        fix="resume from another snapshot; or put the .caffemodel that was written with this "
        ".solverstate next to it",
    )
