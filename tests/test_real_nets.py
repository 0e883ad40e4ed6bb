"""Real prototxts, as their owners left them: they parse, build and run."""

import json
import re

import numpy as np
import pytest

from minidl import prototxt, schema
from minidl.blueprint import Blueprint
from minidl.context import Context
from minidl.errors import MinidlError, PrototxtError
from minidl.layers.base import REGISTRY
from minidl.net import Net
from tests.support import SHARED, relative_error, shared

NEEDS = "reference material not found: prototxt/index.json"
FOLDED = {"(V0 padding)"}  # no layer: the upgrade folds it into the one that follows
RUN_ON_THE_FAKE_AT_MOST = 2e8
RUN_AT_MOST = 2.5e9  # multiply-adds for one record: what a test runs; VGG has 15e9
IMAGE_SHAPES = [(3, 256, 256), (1, 28, 28), (3, 32, 32), (3, 100, 100), (1, 100, 100), (2, 28, 28)]


def index():
    path = SHARED / "prototxt" / "index.json"
    return json.loads(path.read_text()) if path.exists() else []


NETS = [
    entry["file"]
    for entry in index()
    if entry["layer_types"] and set(entry["layer_types"]) <= set(REGISTRY) | FOLDED
]
STAGES = [(), ("train",), ("val",), ("deploy",)]  # DIGITS writes one file for all three

# Files that BVLC Caffe refuses as well, by what is wrong with them: fields and engines of forks
# and development branches, or an owner's slip. Each is refused for just this reason.
NOT_BVLC = {
    "has no field '(version|default_forward_type|eltwise_mem_sharing)'": [
        "BVLC+caffe__examples-lenet-lenet@2014-03-27-V1.prototxt",
        "BVLC+caffe__examples-lenet-lenet_test@2014-03-27-V1.prototxt",
        "BVLC+caffe__examples-lenet-lenet_train@2014-03-27-V1.prototxt",
        "NVIDIA+caffe__models-alexnet_owt-train_val_fp16.prototxt",
        "NVIDIA+caffe__models-bvlc_alexnet-train_val_fp16.prototxt",
        "NVIDIA+caffe__models-bvlc_googlenet-train_val_fp16.prototxt",
        "NVIDIA+caffe__models-resnet18-train_val_fp16.prototxt",
        "NVIDIA+caffe__models-resnet50-train_val_augment.prototxt",
    ],
    "convolution_param has no field 'mem_group_size'": [
        "BVLC+caffe__examples-imagenet_sqiu-imagenet-clarifai_train@2014-07-29-V1.prototxt",
        "BVLC+caffe__examples-imagenet_sqiu-imagenet-clarifai_val@2014-07-29-V1.prototxt",
        "BVLC+caffe__examples-mnist-lenet_test@2014-07-24-V1.prototxt",
        "BVLC+caffe__examples-mnist-lenet_train@2014-07-24-V1.prototxt",
    ],
    "convolution_param.engine is (FFT|LOOP|NAIVE|SPATIAL)": [
        "BVLC+caffe__examples-mnist-lenet_train_test_fft@2014-11-03-V1.prototxt",
        "BVLC+caffe__examples-mnist-lenet_train_test_fft_conv1@2015-11-19-V1.prototxt",
        "BVLC+caffe__examples-mnist-lenet_train_test_loop@2014-10-17-V1.prototxt",
        "BVLC+caffe__examples-mnist-lenet_train_test_naive@2014-10-17-V1.prototxt",
        "BVLC+caffe__examples-mnist-lenet_train_test_spatial@2015-11-19-V1.prototxt",
    ],
    "data_param has no field '(transform_param|cache)'": [
        "BVLC+caffe__examples-imagenet-imagenet_train_val@2014-08-28-V1.prototxt",
        "NVIDIA+caffe__models-alexnet_bn-train_val2.prototxt",
        "NVIDIA+caffe__models-cifar10_nv-cifar10_nv_train_test.prototxt",
        "NVIDIA+caffe__models-resnet50_exp-resnet50_nobn.prototxt",
    ],
    "batch_norm_param has no field 'scale_bias'": [
        "NVIDIA+caffe__models-inception_v3-train_val.prototxt",
    ],
    "has no field 'subtraction'": ["BVLC+caffe__src-programs-imagenet@2013-10-10-V0.prototxt"],
    "is given twice": [
        "BVLC+caffe__examples-parallel-imagenet@2015-12-12-V1.prototxt",
        "BVLC+caffe__examples-parallel-mnist@2015-12-12-V1.prototxt",
        "BVLC+caffe__prototxt-imagenet_val_channelconstant@2014-02-13-V0.prototxt",
    ],
    "did you mean 'SOFTMAX'": [
        "BVLC+caffe__models-jhlim_googlenet_bn-deploy@2016-02-05-V1.prototxt",
    ],
}
# These parse, but no phase of them makes a net.
NOT_A_NET = {
    "'data' is unknown": ["BVLC+caffe__src-caffe-test-data-simple_conv@2013-09-29-V0.prototxt"],
    "SoftmaxWithLoss layer 'loss': has 1 bottom": [
        "dgschwend+netscope__presets-inceptionv3.prototxt",
        "dgschwend+netscope__presets-inceptionv3_orig.prototxt",
        "dgschwend+netscope__presets-inceptionv4.prototxt",
        "dgschwend+netscope__presets-sq11b2a_e3.prototxt",
        "dgschwend+netscope__presets-squeezenet_v11.prototxt",
    ],
}
UNREADABLE = {file: reason for reason, files in NOT_BVLC.items() for file in files}
UNUSABLE = {file: reason for reason, files in NOT_A_NET.items() for file in files}
SHAPES = SHARED / "golden" / "shapes.json"
RECORDED = json.loads(SHAPES.read_text()) if SHAPES.exists() else {}


def build(net, phase):
    """The blueprint, with whatever image size makes the net possible where its data is absent."""
    errors = []
    for stages in STAGES:
        for shape in IMAGE_SHAPES:
            context = Context(phase=phase, absent_data=shape)
            try:
                return Blueprint(net, context, stages=stages), shape, stages
            except MinidlError as error:
                errors.append(str(error))
    raise AssertionError("\n".join(dict.fromkeys(errors)))


def of_one_record(net):
    """The same net for a batch of 1, where nothing else in it tells how many there are."""
    small = schema.NetParameter()
    small.CopyFrom(net)
    fixed = any(spec.reshape_param.shape.dim[:1] not in ([], [0], [-1]) for spec in net.layer)
    for spec in () if fixed else small.layer:
        if spec.HasField("data_param"):
            spec.data_param.batch_size = 1
        for shape in [*spec.input_param.shape, *spec.dummy_data_param.shape]:
            shape.dim[0] = 1
    return small


@pytest.mark.skipif(not NETS, reason=NEEDS)
@pytest.mark.parametrize("file", [n for n in NETS if n not in {**UNREADABLE, **UNUSABLE}])
def test_a_real_net_builds_and_runs(file):
    net = prototxt.read_net(shared("prototxt") / file)
    found = {}
    for phase in (schema.TRAIN, schema.TEST):
        try:
            found[phase] = build(net, phase)
        except AssertionError as error:  # a file may be meant for one phase only
            assert "is unknown" in str(error), error
    assert found
    phase = max(found)
    plan, shape, stages = found[phase]
    if file in RECORDED:
        compare(plan, RECORDED[file])
    small = of_one_record(net)
    plan = Blueprint(small, Context(phase=phase, absent_data=shape), stages=stages)
    if sum(node.multiply_adds for node in plan.nodes) > RUN_AT_MOST:
        return
    outputs = run(small, phase, shape, stages)
    for name, values in outputs.items():
        assert np.isfinite(values).all(), name


def run(net, phase, shape, stages, **options):
    """The outputs of one forward pass on random numbers."""
    running = Net(net, phase, seed=1, absent_data=shape, stages=stages, **options)
    rng = np.random.default_rng(0)
    for node, tops in zip(running.blueprint.nodes, running.tops, strict=True):
        if node.type == "Input":
            for blob in tops:
                is_label = len(blob.shape) == 1
                blob.data = np.zeros(blob.shape) if is_label else rng.standard_normal(blob.shape)
    outputs = running.forward()
    running.close()
    return {name: running.device.to_host(values) for name, values in outputs.items()}


def one_of_each_kind():
    """For each combination of layer types the shortest file."""
    files = [n for n in NETS if n not in {**UNREADABLE, **UNUSABLE}]
    files.sort(key=lambda file: (SHARED / "prototxt" / file).stat().st_size, reverse=True)
    types = {entry["file"]: frozenset(entry["layer_types"] or ()) for entry in index()}
    return sorted({types[file]: file for file in files}.values())


@pytest.mark.skipif(not NETS, reason=NEEDS)
@pytest.mark.parametrize("file", one_of_each_kind())
def test_a_real_net_gives_on_a_gpu_what_it_gives_on_the_cpu(file, gpu):
    """What cannot be run on the CPU is for the test above."""
    try:
        net = of_one_record(prototxt.read_net(shared("prototxt") / file))
        plan, shape, stages = build(net, schema.TRAIN if "train" in file else schema.TEST)
    except (MinidlError, AssertionError) as error:
        pytest.skip(f"no net for one record: {str(error).splitlines()[0]}")
    if sum(node.multiply_adds for node in plan.nodes) > RUN_ON_THE_FAKE_AT_MOST:
        return
    on_gpu = run(net, plan.ctx.phase, shape, stages, device="cuda:0")
    on_cpu = run(net, plan.ctx.phase, shape, stages, device="cpu", engine="numpy")
    for name, expected in on_cpu.items():
        if np.isfinite(expected).all():  # statistics of 0 let numbers grow in some deep ones
            assert relative_error(on_gpu[name], expected) < 1e-4, name


@pytest.mark.skipif(not NETS, reason=NEEDS)
@pytest.mark.parametrize(("file", "reason"), UNREADABLE.items())
def test_what_bvlc_caffe_cannot_read_is_refused_for_its_reason(file, reason):
    with pytest.raises(PrototxtError, match=reason):
        prototxt.read_net(shared("prototxt") / file)


@pytest.mark.skipif(not NETS, reason=NEEDS)
@pytest.mark.parametrize(("file", "reason"), UNUSABLE.items())
def test_what_makes_no_net_is_refused_for_its_reason(file, reason):
    net = prototxt.read_net(shared("prototxt") / file)
    with pytest.raises(AssertionError, match=reason):
        build(net, schema.TRAIN)


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
    assert len(set(RECORDED) & set(NETS)) >= 60


def test_the_malformed_file_gives_one_clear_error():
    [path] = shared("prototxt_malformed").iterdir()
    with pytest.raises(PrototxtError) as error:
        prototxt.read_net(path)
    assert str(error.value).count(".prototxt:") == 1
    assert "template" in str(error.value)


@pytest.mark.skipif(not index(), reason=NEEDS)
@pytest.mark.parametrize("file", [e["file"] for e in index() if e["format"] == "solver"])
def test_a_real_solver_parses(file):
    try:
        solver = prototxt.read_solver(shared("prototxt") / file)
    except PrototxtError as error:
        unknown = set(re.findall(r"has no field '(\w+)'", str(error)))
        assert unknown, str(error)
        assert unknown <= FORK_FIELDS, f"refused for {unknown - FORK_FIELDS}"
        return
    assert solver.base_lr > 0 or solver.lr_policy or solver.net


# Fields of NVIDIA's and SSD's forks, which BVLC's schema does not have: named, not skipped.
FORK_FIELDS = set(
    "larc larc_policy larc_eta rampup_interval rampup_lr solver_data_type eval_type ap_version "
    "min_lr local_lr_auto local_gw_ratio store_blobs_in_old_format global_grad_scale".split()
)
