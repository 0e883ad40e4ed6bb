"""Which engine runs a layer: what users and layers ask for, and what they get."""

import logging
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

import minidl
from minidl import ops
from minidl.arrays.device import Device
from minidl.cli import engine_flags
from minidl.engines import select
from minidl.engines.cudnn import Cudnn
from minidl.engines.cupy_kernels import CupyKernels
from minidl.engines.engine import Operators
from minidl.engines.math import BF16, FLOAT32, MATHS
from minidl.engines.onednn import OneDNN
from minidl.engines.request import Declined, Request, Wish
from minidl.engines.select import Policy, choose
from minidl.errors import EngineError, UsageError
from tests.engines.fake import FakeEngine, FakePlan
from tests.support import ROOT, need_onednn

REQUEST = Request(bottom_shapes=((2, 3),), top_shapes=((2, 3),), bottom_layouts=(None,))
MKLDNN = Wish("fake", "MKLDNN", "net.prototxt:7: Convolution layer 'conv1'")
CAFFE = Wish("numpy", "CAFFE", "net.prototxt:7: Convolution layer 'conv1'")


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.delenv("MINIDL_ENGINE", raising=False)
    select._say.cache_clear()
    yield
    select._say.cache_clear()


@pytest.fixture
def without(monkeypatch):
    """oneDNN is not available."""
    monkeypatch.setattr(
        OneDNN, "load", lambda device: Declined("it is not installed: pip install it")
    )


# ------------------------------------------------------------------ what is asked for


def test_the_environment_names_the_engine_where_nobody_does(monkeypatch):
    assert select.policy().engine == "auto"
    monkeypatch.setenv("MINIDL_ENGINE", "numpy")
    assert select.policy().engine == "numpy"
    assert select.policy("onednn").engine == "onednn"


def test_everything_unknown_is_refused_at_once():
    with pytest.raises(UsageError) as refused:
        select.policy("onedn", "bf61", limit=-1, tuning="mesure")
    text = str(refused.value)
    known = "auto, numpy, onednn, cudnn, cupy"
    assert f"engine is 'onedn'\n  expected: {known}\n  fix: did you mean 'onednn'?" in text
    assert "math is 'bf61'\n  expected: float32, tf32, fp16, bf16" in text
    assert "tuning is 'mesure'\n  expected: heuristic, measure, cached\n" in text
    assert "workspace_limit is -1\n  expected: 0 bytes or more" in text


def test_a_mistake_in_the_environment_is_said_to_be_there(monkeypatch):
    monkeypatch.setenv("MINIDL_ENGINE", "nympy")
    with pytest.raises(UsageError, match=r"MINIDL_ENGINE: engine is 'nympy'(.|\n)*'numpy'\?"):
        select.policy()
    assert select.policy("auto").engine == "auto"


@pytest.mark.parametrize(
    "engine, loaded, why",
    [
        ("auto", FakeEngine(), "this machine's paper does not multiply bfloat16 numbers"),
        ("auto", Declined("it is not installed"), "it is not installed"),
        ("numpy", FakeEngine(), "array code has no such arithmetic"),
    ],
)
def test_bf16_that_is_not_to_be_had_is_said_once_and_float32_used(
    engine, loaded, why, monkeypatch, caplog
):
    monkeypatch.setattr(OneDNN, "load", lambda device: loaded)
    assert select.policy(engine, "bf16").math is select.policy(engine, "bf16").math is FLOAT32
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said == [f"math bf16 is not available, float32 is used: {why}"]


def test_bf16_is_kept_where_the_machine_has_it(monkeypatch, caplog):
    engine = FakeEngine()
    engine.maths = FLOAT32, BF16
    monkeypatch.setattr(select, "gain", lambda engine, math, threads: 2.0)
    monkeypatch.setattr(OneDNN, "load", lambda device: engine)
    assert select.policy(math="bf16").math is BF16
    assert not caplog.records


def test_with_tiles_bf16_is_taken_and_nothing_is_timed(monkeypatch):
    engine = FakeEngine()
    engine.maths = FLOAT32, BF16
    engine.surely_faster = lambda math: math is BF16
    monkeypatch.setattr(OneDNN, "load", lambda device: engine)
    monkeypatch.setattr(select, "gain", lambda *_: pytest.fail("it was timed"))
    assert select.policy(math="bf16").math is BF16


def test_bf16_that_is_slower_than_float32_is_said_and_taken_only_on_demand(monkeypatch, caplog):
    engine = FakeEngine()
    engine.maths = FLOAT32, BF16
    monkeypatch.setattr(OneDNN, "load", lambda device: engine)
    monkeypatch.setattr(select, "gain", lambda engine, math, threads: 0.5)
    assert select.policy(math="bf16").math is FLOAT32
    assert "took 2 times as long as in float32" in caplog.text
    monkeypatch.setenv(select.SLOW_BF16, "1")
    assert select.policy(math="bf16").math is BF16


def test_the_command_line_knows_the_same_words():
    words = engine_flags.ENGINES, engine_flags.TUNINGS
    assert words == (tuple(select.names()), select.WAYS)
    default = vars(Policy())
    assert {name: str(default[name]) for name in engine_flags.DEFAULTS} == engine_flags.DEFAULTS


# ------------------------------------------------------------------ engines that are not there


def test_without_an_engine_array_code_computes_and_the_reason_is_said_once(without, caplog):
    caplog.set_level(logging.INFO, "minidl")
    assert select.engines(Policy()) == select.engines(Policy(threads=2)) == ()
    said = [r.getMessage() for r in caplog.records]
    assert said == [
        "oneDNN is not available, array code computes: it is not installed: pip install it"
    ]


def test_an_engine_that_is_named_and_not_there_is_an_error(without):
    with pytest.raises(EngineError, match=r"onednn is not available: it is not(.|\n)*fix: "):
        select.engines(Policy("onednn"))


def test_an_engine_that_a_layer_names_and_is_not_there_is_an_error_at_its_line(without):
    with pytest.raises(EngineError) as refused:
        select.engines(Policy(), [Wish(), CAFFE, MKLDNN._replace(engine="onednn")])
    assert str(refused.value).startswith(f"{MKLDNN.where}: engine MKLDNN is not available: it is")


def test_array_code_needs_no_engine(without, caplog):
    caplog.set_level(logging.INFO, "minidl")
    assert select.engines(Policy("numpy"), [Wish(), CAFFE]) == ()
    assert not caplog.records


# ------------------------------------------------------------------ choosing


def chosen(policy, *plans, wish=Wish(), **options):  # noqa: B008
    """The algorithm that was chosen, or why none was."""
    choice = choose([FakeEngine(*plans)], None, REQUEST, policy, wish=wish, **options)
    return choice.plan.algorithm if choice.plan is not None else choice.why


DIRECT, GEMM = FakePlan("jit:avx", workspace=0), FakePlan("x64:gemm:jit", workspace=3000)
PACKED = FakePlan("brgconv:avx nhwc", workspace=500)


def test_the_first_candidate_is_taken_and_no_other_is_made():
    engine = FakeEngine(GEMM, DIRECT)
    assert choose([engine], None, REQUEST, Policy()).plan is GEMM
    assert engine.made == 1


@pytest.mark.parametrize(
    "wanted, expected",
    [
        (dict(algorithm="no_workspace"), "jit:avx"),
        (dict(algorithm="direct"), "brgconv:avx nhwc"),
        (dict(algorithm="gemm"), "x64:gemm:jit"),
        (dict(algorithm="nhwc"), "brgconv:avx nhwc"),
        (dict(algorithm="brgconv"), "brgconv:avx nhwc"),
        (dict(limit=500), "brgconv:avx nhwc"),
        (dict(limit=499), "jit:avx"),
        (dict(limit=0), "jit:avx"),
        (dict(algorithm="gemm", limit=3000), "x64:gemm:jit"),
    ],
)
def test_preferences(wanted, expected):
    assert chosen(Policy(**wanted), GEMM, PACKED, DIRECT) == expected


def test_where_nothing_is_wanted_it_is_said_what_there_was_each_once():
    why = chosen(Policy(algorithm="winograd"), DIRECT, GEMM, DIRECT)
    assert why == "fake jit:avx, x64:gemm:jit: not winograd"
    why = chosen(Policy(algorithm="gemm", limit=100), DIRECT, GEMM)
    assert why == (
        "fake jit:avx: not gemm; fake x64:gemm:jit: a workspace of 3000 bytes, and the limit is 100"
    )


class ObedientPlan(FakePlan):
    """Of an engine whose passes choose independently, by what the request asks for."""

    obeys = True


def test_a_plan_whose_passes_choose_by_name_says_which_do_without_it():
    said = {"backward data": "algo1, as this pass has no direct"}
    plan = ObedientPlan("implicit_gemm/algo1", workspace=10, notes=said)
    choice = choose([FakeEngine(plan)], None, REQUEST, Policy(algorithm="direct"))
    assert choice.plan is plan
    assert choice.why == "backward data by algo1, as this pass has no direct"
    assert chosen(Policy(algorithm="fft"), ObedientPlan("relu")) == "relu"
    assert chosen(Policy(algorithm="no_workspace"), plan) == (
        "fake implicit_gemm/algo1: a workspace of 10 bytes"
    )


def test_what_does_not_fit_its_place_is_passed_over():
    fits = {"x64:gemm:jit": "its backward reads 'conv1'"}
    assert chosen(Policy(), GEMM, DIRECT, fits=lambda p: fits.get(p.algorithm, "")) == "jit:avx"
    assert chosen(Policy(), GEMM, fits=lambda p: fits.get(p.algorithm, "")) == (
        "fake x64:gemm:jit: its backward reads 'conv1'"
    )


def test_an_engine_that_declines_says_why():
    engine = FakeEngine(declines="it has no STOCHASTIC pooling")
    choice = choose([engine], None, REQUEST, Policy())
    assert choice == (None, None, "fake: it has no STOCHASTIC pooling")


# ------------------------------------------------------------------ what layers ask for


def test_a_layers_own_engine_goes_before_the_policys():
    assert chosen(Policy("fake"), DIRECT, wish=CAFFE) == "its engine is CAFFE"
    assert chosen(Policy("numpy"), DIRECT, wish=MKLDNN) == "jit:avx"
    assert chosen(Policy("numpy"), DIRECT) == ""
    assert chosen(Policy("fake"), DIRECT) == "jit:avx"


def test_only_a_wish_for_an_engine_is_insisted_on():
    select.insist(Wish(), "fake: no")
    select.insist(CAFFE, "its engine is CAFFE")
    with pytest.raises(EngineError) as refused:
        select.insist(MKLDNN, "fake: it has no groups; fake jit: not gemm")
    assert str(refused.value) == (
        "net.prototxt:7: Convolution layer 'conv1': engine MKLDNN cannot run this layer: "
        "fake: it has no groups; fake jit: not gemm\n"
        "  fix: engine: DEFAULT takes another where this one cannot"
    )


# ------------------------------------------------------------------ from the prototxt


NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer {
  name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param {
    num_output: 16 kernel_size: 3
    engine: %s
  }
}
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" relu_param { engine: %s } }
layer {
  name: "pool" type: "Pooling" bottom: "y" top: "z"
  pooling_param { pool: %s kernel_size: 2 engine: %s }
}
"""


def computed_by(*values, **options):
    """{layer: who computes it} of NET with these engines."""
    net = minidl.Net(NET % values, seed=1, **options)
    steps = {step.node.name: step for step in net.schedule.steps}
    del steps["in"]
    return {
        name: "fused" if step.fused else step.engine.name if step.engine else "numpy"
        for name, step in steps.items()
    }


@pytest.fixture
def real():
    """Skips the test where there is no oneDNN."""
    need_onednn()


def test_fields_choose_layer_by_layer(real):
    default = "DEFAULT", "DEFAULT", "MAX", "DEFAULT"
    assert computed_by(*default) == {"conv": "onednn", "relu": "fused", "pool": "onednn"}
    mixed = "MKLDNN", "CAFFE", "MAX", "MKL2017"
    expected = {"conv": "onednn", "relu": "numpy", "pool": "onednn"}
    assert computed_by(*mixed) == computed_by(*mixed, engine="numpy") == expected
    caffe = "CAFFE", "DEFAULT", "MAX", "CAFFE"
    assert computed_by(*caffe) == {"conv": "numpy", "relu": "onednn", "pool": "numpy"}
    caffe = "CAFFE", "CAFFE", "MAX", "CAFFE"
    assert set(computed_by(*caffe, engine="onednn").values()) == {"numpy"}


def test_the_work_of_a_layer_is_not_done_by_one_of_another_engine(real):
    alone = "MKLDNN", "DEFAULT", "MAX", "DEFAULT"
    expected = {"conv": "onednn", "relu": "numpy", "pool": "numpy"}
    assert computed_by(*alone, engine="numpy") == expected


def test_a_field_that_cannot_be_honoured_is_refused_at_its_line(real, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET % ("MKLDNN", "DEFAULT", "STOCHASTIC", "MKLDNN"))
    with pytest.raises(EngineError) as refused:
        minidl.Net(path).prepare()
    assert str(refused.value).startswith(
        f"{path}:13: Pooling layer 'pool': engine MKLDNN cannot run this layer: onednn: it has no "
    )


def test_a_field_is_refused_at_its_line_where_its_engine_is_not_there(without):
    net = minidl.Net(NET % ("MKLDNN", "DEFAULT", "MAX", "DEFAULT"))
    with pytest.raises(EngineError, match=r":7: Convolution layer 'conv': engine MKLDNN is not av"):
        net.prepare()


def test_a_named_engine_may_decline_and_says_so(real, caplog):
    caplog.set_level(logging.INFO, "minidl")
    values = "DEFAULT", "DEFAULT", "STOCHASTIC", "DEFAULT"
    assert computed_by(*values, engine="onednn")["pool"] == "numpy"
    assert "pool: array code (onednn: it has no STOCHASTIC pooling)" in caplog.messages


# ------------------------------------------------------------------ on a GPU


def test_an_engine_computes_on_its_own_kind_of_device(gpu, monkeypatch):
    cuda = Device("cuda:0")
    with pytest.raises(EngineError, match="onednn does not compute on cuda:0(.|\n)*cudnn, cupy"):
        select.policy("onednn", device=cuda)
    with pytest.raises(EngineError, match="cupy does not compute on cpu"):
        select.policy("cupy")
    monkeypatch.setenv("MINIDL_ENGINE", "onednn")
    assert select.policy(device=cuda).engine == "auto"  # the variable is for nets on the CPU


@pytest.mark.parametrize("math", ["tf32", "fp16"])
def test_arithmetic_of_gpus_is_refused_on_the_cpu(math):
    with pytest.raises(EngineError, match=f"{math} is available on GPUs only"):
        select.policy(math=math)


def test_on_a_gpu_an_algorithm_is_one_of_convolutions():
    conv, pool = ops.Conv(4, (3, 3)), ops.Pool("MAX", (2, 2))
    policy = Policy(algorithm="winograd", device="cuda:0")
    engine = FakeEngine(FakePlan("gemm"), FakePlan("winograd"))
    assert choose([engine], conv, REQUEST, policy).plan.algorithm == "winograd"
    assert choose([engine], pool, REQUEST, policy).plan.algorithm == "gemm"
    on_cpu = replace(policy, device="cpu")
    assert choose([engine], pool, REQUEST, on_cpu).plan.algorithm == "winograd"


def test_a_soft_wish_is_asked_first_and_steps_back():
    first, wished = FakeEngine(FakePlan("a")), FakeEngine(FakePlan("b"))
    wished.name = "cudnn"
    wish = Wish("cudnn", "CUDNN", "net.prototxt:7", soft=True)
    assert choose([first, wished], object(), REQUEST, Policy(), wish=wish).plan.algorithm == "b"
    wished.declines = "not here"
    assert choose([first, wished], object(), REQUEST, Policy(), wish=wish).plan.algorithm == "a"
    select.insist(wish, "not here")


@pytest.mark.parametrize(
    "op, math, first",
    [
        (ops.Conv(4, (3, 3)), "float32", "cudnn"),
        (ops.Conv(4, (3, 3)), "bf16", "cudnn"),
        (ops.Pool("MAX", (2, 2)), "tf32", "cupy"),
        (ops.Pool("MAX", (2, 2)), "fp16", "cudnn"),
    ],
)
def test_on_a_gpu_convolutions_are_cudnns_and_the_rest_is_ours_in_float32(op, math, first):
    engines = [FakeEngine(FakePlan("x")), FakeEngine(FakePlan("x"))]
    for engine, like in zip(engines, (Cudnn, CupyKernels), strict=True):
        engine.name, engine.prefers = like.name, partial(like.prefers, engine)
    policy = Policy(math=MATHS[math], device="cuda:0")
    assert choose(engines, op, REQUEST, policy).engine.name == first
    assert choose(engines, op, REQUEST, replace(policy, engine="cupy")).engine.name == "cupy"


# ------------------------------------------------------------------ what engines declare


def test_an_engine_declares_itself_and_registers_the_operators_it_serves():
    for engine in select.known():
        assert engine.name and engine.title and engine.kind in ("cpu", "cuda")
        assert ops.Conv in engine.operators
        for op, plans in engine.operators.items():
            assert op.__module__ == "minidl.ops"
            assert plans.__module__.startswith(engine.__module__ + ".")


def test_an_operator_is_served_once():
    operators = Operators()
    operators.serves(ops.LRN)(lambda engine, op, request: [])
    with pytest.raises(AssertionError, match="LRN is served by tests"):
        operators.serves(ops.LRN)(lambda engine, op, request: [])


def test_choosing_array_code_imports_no_engine():
    code = (
        "import sys, minidl; net = minidl.Net(sys.argv[1], engine='numpy'); net.forward();"
        "found = [n for n in sys.modules if n.startswith('minidl.engines.')];"
        "print(*sorted({n.split('.')[2] for n in found}))"
    )
    net = NET % ("DEFAULT", "DEFAULT", "MAX", "DEFAULT")
    done = subprocess.run(
        [sys.executable, "-c", code, net], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"onednn", "cudnn", "cupy_kernels"} & set(done.stdout.split())
