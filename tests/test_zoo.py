"""The nets of zoo/: they build, with the shapes, parameters and operations their READMEs state."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from minidl import schema
from minidl.blueprint import Blueprint
from minidl.context import Context
from minidl.prototxt import read_net, read_solver
from minidl.storage import caffemodel
from tests.support import ROOT, golden, shared

ZOO = ROOT / "zoo"
SOLVERS = sorted(ZOO.glob("*/*solver.prototxt"))
NETS = sorted(set(ZOO.glob("*/*.prototxt")) - set(SOLVERS))


def name(path: Path) -> str:
    return str(path.relative_to(ZOO))


def blueprint(path: str, phase: int = schema.TEST, absent: tuple[int, ...] = (3, 256, 256)):
    context = Context(phase=phase, absent_data=absent)
    return Blueprint(read_net(ZOO / path), context)


def parameters(plan: Blueprint) -> int:
    return sum(math.prod(param.shape) for node in plan.nodes for param in node.params)


def multiply_adds_per_image(plan: Blueprint) -> int:
    batch = plan.nodes[0].top_shapes[0][0]
    total = sum(node.multiply_adds for node in plan.nodes if node.type in WEIGHTED)
    assert total % batch == 0
    return total // batch


WEIGHTED = ("Convolution", "InnerProduct")  # what papers count

# parameters and multiply-adds an image, worked out by hand from the layers' shapes
LENET = (
    (20 * 25 + 20) + (50 * 20 * 25 + 50) + (500 * 800 + 500) + (10 * 500 + 10),
    (20 * 25) * 24 * 24 + (50 * 20 * 25) * 8 * 8 + 500 * 800 + 10 * 500,
)
ALEXNET = (60_965_224, 724_406_816)
FACTS = {
    "lenet/lenet_train_test.prototxt": (1, 28, LENET),
    "lenet/digits_train_test.prototxt": (1, 28, LENET),
    "lenet/lenet_deploy.prototxt": (1, 28, LENET),
    "alexnet/train_val.prototxt": (3, 256, ALEXNET),
    "alexnet/deploy.prototxt": (3, 256, ALEXNET),
}


def test_every_net_is_listed_here():
    assert {name(path) for path in NETS} == set(FACTS)


@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST], ids=["TRAIN", "TEST"])
@pytest.mark.parametrize("net", FACTS)
def test_parameters_and_operations(net, phase):
    channels, size, expected = FACTS[net]
    plan = blueprint(net, phase, (channels, size, size))
    assert (parameters(plan), multiply_adds_per_image(plan)) == expected


@pytest.mark.parametrize("model", ["lenet", "alexnet"])
def test_the_readme_states_them_too(model):
    text = (ZOO / model / "README.md").read_text("utf-8")
    for number in LENET if model == "lenet" else ALEXNET:
        assert f"{number:,}" in text


@pytest.mark.parametrize("model", ["lenet", "alexnet"])
def test_shapes_written_in_comments_are_the_real_ones(model):
    for path in (p for p in NETS if p.parent.name == model):
        written = dict(re.findall(r'top: "(\w+)"  # ([\dx ]+)$', path.read_text(), re.MULTILINE))
        channels, size, _ = FACTS[name(path)]
        plan = blueprint(name(path), schema.TEST, (channels, size, size))
        tops = {}
        for node in plan.nodes:
            tops.update(zip(node.tops, node.top_shapes, strict=True))
        assert len(written) >= 4
        for top, shape in written.items():
            assert tuple(map(int, shape.split(" x "))) == tops[top][1:], f"{path}: {top}"


def test_one_set_of_weights_fits_all_lenets():
    shapes = [
        {param.key: param.shape for node in plan.nodes for param in node.params}
        for plan in (blueprint(net, absent=(1, 28, 28)) for net in FACTS if net.startswith("lenet"))
    ]
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.parametrize("path", SOLVERS, ids=name)
def test_solvers_name_a_net_of_the_zoo_and_a_folder_that_git_ignores(path):
    solver = read_solver(path)
    assert (path.parent / solver.net) in NETS  # beside it: found from any folder
    assert solver.snapshot_prefix.startswith("runs/")
    assert (
        solver.max_iter % solver.test_interval == 0
    )  # so that the last test is of the last weights


def test_lenet_is_the_net_that_caffe_was_recorded_with():
    case = golden("lenet_mnist.npz")
    theirs = {key[len("init_") :]: array.shape for key, array in case.items() if "init_" in key}
    ours = {
        param.key.replace("/", "_"): param.shape
        for node in blueprint("lenet/lenet_train_test.prototxt", absent=(1, 28, 28)).nodes
        for param in node.params
    }
    assert ours == theirs


def test_lenet_takes_weights_trained_with_caffe():
    stored = caffemodel.read(shared("models") / "lenet_v2" / "weights.caffemodel")
    shapes = {layer.name: [b.size for b in layer.blobs] for layer in stored.layers if layer.blobs}
    plan = blueprint("lenet/lenet_deploy.prototxt")
    for node in plan.nodes:
        if node.params:
            assert shapes[node.name] == [math.prod(param.shape) for param in node.params]
