"""Real prototxts, as their owners left them: they parse, build and run.

All nets are built here; of those with the same layer types, the shortest runs if it is small.
`benchmarks/real_files.py` runs them all, and solvers on them, and prints docs/real-files.md.
"""

import json
import re

import numpy as np
import pytest

from benchmarks import real_nets
from benchmarks.real_files import REASONS, net_of, refused, step
from minidl import prototxt, schema
from minidl.errors import MinidlError, PrototxtError
from minidl.layers.context import Context
from minidl.net.blueprint import Blueprint
from tests.support import ROOT, SHARED, relative_error, shared

INDEX = real_nets.index()
NEEDS = "reference material not found: prototxt/index.json"
pytestmark = pytest.mark.skipif(not INDEX, reason=NEEDS)

NETS = [e["file"] for e in INDEX if real_nets.is_net(e) and not real_nets.unknown_types(e)]
PHASES = (schema.TRAIN, schema.TEST)
# What runs here, for one record; forward and backward take a small part of a second.
MULTIPLY_ADDS, NUMBERS = 3e8, 2e7
SHAPES = SHARED / "golden" / "shapes.json"
RECORDED = json.loads(SHAPES.read_text()) if SHAPES.exists() else {}


def refused_files():
    """Of the page's lists: {file: why it is no net for minidl}."""
    found, reason = {}, ""
    for line in (ROOT / "docs" / "real-files.md").read_text().splitlines():
        if match := re.fullmatch(r"\*\*(net|solver): (.*)\*\*", line):
            reason = match[2] if match[1] == "net" else ""
        elif reason and (match := re.match(r"- `(.*?)`", line)):
            found[match[1]] = reason
    return found


REFUSED = refused_files()


@pytest.mark.parametrize("file", NETS)
def test_a_real_net_builds_or_is_refused_for_the_reason_on_the_page(file):
    found, refusals = {}, []
    for phase in PHASES:  # a file may be meant for one of them only
        try:
            found[phase] = real_nets.possible(real_nets.read(file), phase, file)
        except MinidlError as error:
            refusals.append(error)
    if file in REFUSED:
        assert not found
        assert refused(file, "net", refusals[-1]).reason == REFUSED[file]
        return
    assert found, refusals
    if file in RECORDED:
        plan = Blueprint(real_nets.read(file), Context(phase=schema.TEST))
        compare(plan, RECORDED[file])


def compare(plan, recorded):
    """What Caffe itself said of the same file: names, order, shapes."""
    assert [node.name for node in plan.nodes] == recorded["layers"]
    assert plan.inputs == recorded["inputs"]
    assert plan.outputs == recorded["outputs"]
    assert {n: list(s) for n, s in plan.blob_shapes.items()} == recorded["blobs"]
    params = {n.name: [list(p.shape) for p in n.params] for n in plan.nodes if n.params}
    assert params == recorded["params"]


@pytest.mark.skipif(not RECORDED, reason=NEEDS)
def test_most_of_the_recorded_shapes_are_compared():
    assert len(set(RECORDED) & set(NETS) - set(REFUSED)) >= 60


def test_each_refusal_has_a_reason_that_somebody_thought_of():
    assert set(REFUSED.values()) <= {*REASONS.values(), "a map of labels, no net"}


def one_of_each_kind():
    """For each combination of layer types the shortest file."""
    files = [file for file in NETS if file not in REFUSED]
    files.sort(key=lambda file: (real_nets.FOLDER / file).stat().st_size, reverse=True)
    types = {entry["file"]: frozenset(entry["layer_types"] or ()) for entry in INDEX}
    return sorted({types[file]: file for file in files}.values())


def trials(file):
    """What runs here of a net: in each phase that it is meant for, if it is small enough."""
    for phase in PHASES:
        try:
            trial = real_nets.possible(real_nets.read(file), phase, file)
        except MinidlError:
            continue
        if trial.multiply_adds <= MULTIPLY_ADDS and trial.numbers <= NUMBERS:
            yield trial


@pytest.mark.parametrize("file", one_of_each_kind())
def test_a_real_net_runs_on_random_records(file):
    """Statistics that were never learned are 0 in TEST, and let numbers grow in deep nets."""
    for trial in trials(file):
        outputs = real_nets.run(trial, backward=trial.phase == schema.TRAIN)
        learns = any(node.type in ("BatchNorm", "BN") for node in trial.plan.nodes)
        for name, values in outputs.items():
            if trial.phase == schema.TRAIN or not learns:
                assert np.isfinite(values).all(), name


@pytest.mark.parametrize("file", one_of_each_kind())
def test_a_real_net_gives_on_a_gpu_what_it_gives_on_the_cpu(file, gpu):
    *_, trial = [None, *trials(file)]
    if trial is None:
        pytest.skip("too large for a fake GPU")
    on_gpu = real_nets.run(trial, device="cuda:0")
    on_cpu = real_nets.run(trial, device="cpu", engine="numpy")
    for name, expected in on_cpu.items():
        if np.isfinite(expected).all():
            assert relative_error(on_gpu[name], expected) < 1e-4, name


def test_the_malformed_file_gives_one_clear_error():
    [path] = shared("prototxt_malformed").iterdir()
    with pytest.raises(PrototxtError) as error:
        prototxt.read_net(path)
    assert str(error.value).count(".prototxt:") == 1
    assert "template" in str(error.value)


SOLVERS = [entry for entry in INDEX if entry["format"] == "solver"]
# Fields of NVIDIA's and SSD's forks, which BVLC's schema does not have: named, not skipped.
FORK_FIELDS = set(
    "larc larc_policy larc_eta rampup_interval rampup_lr solver_data_type eval_type ap_version "
    "min_lr local_lr_auto local_gw_ratio store_blobs_in_old_format global_grad_scale".split()
)


@pytest.mark.parametrize("entry", SOLVERS, ids=lambda entry: entry["file"])
def test_a_real_solver_parses_and_steps_on_its_net(entry):
    try:
        solver = prototxt.read_solver(real_nets.FOLDER / entry["file"])
    except PrototxtError as error:
        unknown = set(re.findall(r"has no field '(\w+)'", str(error)))
        assert unknown, str(error)
        assert unknown <= FORK_FIELDS, f"refused for {unknown - FORK_FIELDS}"
        return
    assert solver.base_lr > 0 or solver.lr_policy or solver.net
    source = net_of(entry, solver, INDEX)
    if source is None or source["file"] not in NETS or source["file"] in REFUSED:
        return
    trial = real_nets.possible(real_nets.read(source["file"]), schema.TRAIN, source["file"])
    if trial.multiply_adds <= MULTIPLY_ADDS and trial.numbers <= NUMBERS:
        step(solver, trial)
