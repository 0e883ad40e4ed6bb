"""The nets of zoo/: they build, with the shapes, parameters and operations their READMEs state."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from minidl import schema
from minidl.layers.context import Context
from minidl.net.blueprint import Blueprint
from minidl.prototxt import read_net, read_solver
from minidl.storage import caffemodel
from tests.support import ROOT, golden, shared
from zoo.writing import catalogue

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
GOOGLENET = (6_998_552, 1_582_671_872)
SIDE_LOSSES = (  # of GoogLeNet in training: after 5 x 5 means with a stride of 3, 4 x 4
    sum((c * 128 + 128) + (2048 * 1024 + 1024) + (1024 * 1000 + 1000) for c in (512, 528)),
    sum(16 * c * 128 + 2048 * 1024 + 1024 * 1000 for c in (512, 528)),
)

# As published: parameters of convolutions and inner products (papers do not count the statistics
# of batch normalisation), in millions, and multiply-adds, in billions
PUBLISHED = {
    "vgg16": (138, 15.5),  # Simonyan & Zisserman, table 2; He et al. give 15.3 without fc
    "resnet18": (11.7, 1.8),  # He et al. 2015, table 1
    "resnet50": (25.6, 3.8),
    "squeezenet": (1.248, 0.86),  # Iandola et al., table 1; Gholami et al. 2018
    "mobilenet": (4.2, 0.569),  # Howard et al., table 4
    "googlenet": (6.99, 1.58),  # Szegedy et al., table 1, gives 6.8 without biases, and 1.5
}
FACTS = {
    "lenet/lenet_train_test.prototxt": (1, 28, LENET),
    "lenet/digits_train_test.prototxt": (1, 28, LENET),
    "lenet/lenet_deploy.prototxt": (1, 28, LENET),
    "alexnet/train_val.prototxt": (3, 256, ALEXNET),
    "alexnet/deploy.prototxt": (3, 256, ALEXNET),
    **{
        f"{folder}/{file}.prototxt": (channels, size, facts)
        for folder, channels, size, facts in (
            ("caffenet", 3, 256, ALEXNET),
            ("googlenet", 3, 256, GOOGLENET),
            ("vgg16", 3, 256, (138_357_544, 15_470_264_320)),
            ("resnet18", 3, 256, (11_699_132, 1_814_073_344)),
            ("resnet50", 3, 256, (25_610_205, 3_857_973_248)),
            ("squeezenet", 3, 256, (1_248_424, 861_339_936)),
            ("mobilenet", 3, 256, (4_253_891, 568_740_352)),
            ("cifar10_quick", 3, 32, (145_578, 12_354_176)),
            ("cifar10_full", 3, 32, (89_578, 12_298_240)),
            ("autoencoder", 1, 28, (2_837_314, 2_833_000)),
        )
        for file in ("train_val", "deploy")
    },
}
FACTS["googlenet/train_val.prototxt"] = (
    3,
    256,
    tuple(a + b for a, b in zip(GOOGLENET, SIDE_LOSSES, strict=True)),
)
MODELS = sorted({net.partition("/")[0] for net in FACTS})


def test_every_net_is_listed_here():
    assert {name(path) for path in NETS} == set(FACTS)


@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST], ids=["TRAIN", "TEST"])
@pytest.mark.parametrize("net", FACTS)
def test_parameters_and_operations(net, phase):
    channels, size, expected = FACTS[net]
    plan = blueprint(net, phase, (channels, size, size))
    assert (parameters(plan), multiply_adds_per_image(plan)) == expected


@pytest.mark.parametrize("model", MODELS)
def test_the_readme_states_them_too(model):
    text = (ZOO / model / "README.md").read_text("utf-8")
    used = "lenet_deploy" if model == "lenet" else "deploy"
    for number in FACTS[f"{model}/{used}.prototxt"][2]:
        assert f"{number:,}" in text


@pytest.mark.parametrize("model", PUBLISHED)
def test_they_are_the_published_ones(model):
    millions, billions = PUBLISHED[model]
    plan = blueprint(f"{model}/deploy.prototxt")
    statistics = [p.shape for n in plan.nodes if n.type == "BatchNorm" for p in n.params]
    learned = parameters(plan) - sum(map(math.prod, statistics))
    assert learned / 1e6 == pytest.approx(millions, rel=0.01)
    assert multiply_adds_per_image(plan) / 1e9 == pytest.approx(billions, rel=0.02)


@pytest.mark.parametrize("model", catalogue.MODELS, ids=lambda model: model.folder)
def test_what_is_written_is_what_the_program_writes(model):
    for file, text in catalogue.files(model).items():
        assert (ZOO / model.folder / file).read_text("utf-8") == text, "run python -m zoo.writing"


@pytest.mark.parametrize("model", MODELS)
def test_shapes_written_in_comments_are_the_real_ones(model):
    for path in (p for p in NETS if p.parent.name == model):
        text = path.read_text("utf-8")
        written = dict(re.findall(r'top: "([^"]+)"  # ([\dx ]+)$', text, re.MULTILINE))
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


def test_squeezenet_has_the_shapes_of_its_authors_weights():
    """Blob by blob: an earlier release, which is at hand, has other layer names."""
    stored = caffemodel.read(shared("models") / "squeezenet_v1.0" / "weights.caffemodel")
    theirs = [blob.shape for layer in stored.layers for blob in layer.blobs]
    ours = [p.shape for n in blueprint("squeezenet/deploy.prototxt").nodes for p in n.params]
    assert ours == theirs
