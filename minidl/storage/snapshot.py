"""Solver states: where a run stood, in Caffe's file and with what Caffe leaves out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minidl import schema
from minidl.errors import FormatError, UsageError, WeightsError
from minidl.storage import arrays, files, sniff, wire

# Fields of SolverState.
_ITER, _LEARNED_NET, _HISTORY, _CURRENT_STEP, _RESUME = 1, 2, 3, 4, 20000
FORMAT = "1"  # of ResumeState


@dataclass
class State:
    """One .solverstate file.

    iter            updates done
    learned_net     path of the weights, as it was when they were written
    history         the rule's arrays, in the order of `net.learnable`
    legacy          for each of them whether its shape is the old four axes
    current_step    entries of stepvalue passed, which Caffe counts
    resume          schema.ResumeState, or None in a file that Caffe wrote
    """

    iter: int
    learned_net: str
    history: Sequence[np.ndarray]
    current_step: int = 0
    resume: Any = None
    legacy: list[bool] = field(default_factory=list)


def read(path: str | os.PathLike[str]) -> State:
    """A .solverstate of Caffe or minidl; the arrays are views of the file's bytes.

    Errors: FormatError for a file that is cut short, damaged or of another kind; UsageError for a
    path that cannot be read.
    """
    data = files.read(path, "solver state")
    if sniff.is_hdf5(bytes(data[:512])) or str(path).endswith(".h5"):
        raise FormatError(
            "is a snapshot in HDF5, which cannot be read yet",
            where=str(path),
            expected="a .solverstate in Caffe's binary format",
            fix="let Caffe write it with snapshot_format: BINARYPROTO",
        )
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
        reader.fail(0, "", "no iteration" if state.iter < 0 else "no name of a weight file")
    return state


def _resume(reader: wire.Reader, item: wire.Field) -> Any:
    try:
        resume = schema.ResumeState.FromString(bytes(reader.data[item.start : item.end]))
    except Exception as error:  # protobuf's DecodeError is another class in every release
        reader.fail(item.start, "minidl_resume", str(error))
    if resume.format_version != FORMAT:
        raise FormatError(
            f"what minidl added to it has the version {resume.format_version!r}",
            where=reader.path,
            expected=f"version {FORMAT!r}",
            fix="go on with the version of minidl that wrote it",
        )
    return resume


def write(path: str | os.PathLike[str], state: State) -> None:
    """Write a .solverstate; it appears whole or not at all. Write its weights first.

    Errors: RunError for a full disk, UsageError for a path that cannot be written.
    """
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


def weights_path(state: State, path: str | os.PathLike[str]) -> Path:
    """Where the weights of the state read from `path` are: beside it, or at their old place.

    Beside it first, for the old place of a snapshot that was copied may hold those of a later run.
    Files that are not what was written with the state are passed over; Caffe's states do not say.

    Errors: UsageError naming both places, WeightsError where only other weights are there.
    """
    name = Path(state.learned_net)
    places = list(dict.fromkeys([Path(path).parent / name.name, name]))
    found = [place for place in places if place.is_file()]
    if not found:
        raise UsageError(
            "the weights that belong to this solver state are not there",
            where=str(path),
            expected=" or ".join(map(str, places)),
            fix="put the .caffemodel of the same iteration beside the .solverstate",
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
        fix="go on from another snapshot; or put the .caffemodel that was written with this "
        ".solverstate beside it",
    )
