"""Measuring plans: what counts as a plan's time, and what is remembered of it."""

import json

import numpy as np
import pytest

import minidl
from minidl.arrays.device import Device
from minidl.engines import times, tuning
from minidl.engines.request import Request
from minidl.engines.select import Policy, choose
from minidl.engines.tuning import fastest
from tests.engines.fake import Clock, FakeEngine, FakeLayout, FakePlan
from tests.support import need_onednn, relative_error

CPU = Device("cpu")
SHAPE = (2, 3)
FORWARD = Request(bottom_shapes=(SHAPE,), top_shapes=(SHAPE,), bottom_layouts=(None,))
BOTH = Request(
    bottom_shapes=(SHAPE,),
    top_shapes=(SHAPE,),
    params=(("weight", (3, 3)),),
    homes=(None,),
    bottom_layouts=(None,),
    training=True,
    backward=True,
    wanted=(True,),
    learning=("weight",),
)
BLOCKED = FakeLayout("blocked", SHAPE)


@pytest.fixture(autouse=True)
def tables_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_TUNING", str(tmp_path / "cache" / "tuning.json"))
    times.table.cache_clear()
    yield
    times.table.cache_clear()


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(tuning, "perf_counter", made)
    return made


def plan(clock, name, ms, **options):
    return FakePlan(name, ms, clock=clock, **options)


# ------------------------------------------------------------------ what is measured


def test_the_fastest_is_taken_and_its_figures_are_given(clock):
    plans = [plan(clock, "slow", 20), plan(clock, "quick", 5), plan(clock, "fair", 7)]
    best = fastest(FakeEngine(clock=clock), "op", FORWARD, plans, "measure")
    assert best.plan is plans[1]
    assert best.figures == "5 ms measured, the next of 3 7 ms (fair, plain)"


def test_forward_and_backward_count_together(clock):
    one = FakePlan("one", 5, clock=clock, params={"weight": None})
    measured = tuning.measure(FakeEngine(clock=clock), BOTH, {"one": one})
    assert measured["one"] == pytest.approx(10, rel=1e-4)
    measured = tuning.measure(FakeEngine(clock=clock), FORWARD, {"one": one})
    assert measured["one"] == pytest.approx(5, rel=1e-4)


@pytest.mark.parametrize("request_, ways", [(FORWARD, 1), (BOTH, 2)])
def test_conversions_of_the_bottoms_and_of_their_gradients_count(request_, ways, clock):
    engine = FakeEngine(clock=clock, conversion_ms=3)
    blocked = dict(bottom_layouts=(BLOCKED,))
    elsewhere = plan(clock, "elsewhere", 5, params={"weight": None}, **blocked)
    here = plan(clock, "here", 6, params={"weight": None})
    measured = tuning.measure(engine, request_, {"elsewhere": elsewhere, "here": here})
    assert measured["elsewhere"] == pytest.approx(ways * (5 + 3), rel=1e-4)
    assert measured["here"] == pytest.approx(ways * 6, rel=1e-4)
    assert fastest(engine, "op", request_, [elsewhere, here], "measure").plan is here


def test_a_bottom_that_arrives_in_an_engines_layout_may_have_to_be_converted_too(clock):
    engine = FakeEngine(clock=clock, conversion_ms=3)
    arrives = Request(bottom_shapes=(SHAPE,), top_shapes=(SHAPE,), bottom_layouts=(BLOCKED,))
    here, plain = plan(clock, "here", 5, bottom_layouts=(BLOCKED,)), plan(clock, "plain", 5)
    measured = tuning.measure(engine, arrives, {"here": here, "plain": plain})
    assert measured == pytest.approx({"here": 5, "plain": 8}, rel=1e-4)


def test_the_first_run_does_not_count(clock):
    class Warming(FakePlan):
        def _work(self):
            clock.now += 50e-3 if self.runs == 1 else 4e-3

    measured = tuning.measure(FakeEngine(), FORWARD, {"warming": Warming("warming")})
    assert measured["warming"] == pytest.approx(4, rel=1e-4)


def test_the_best_of_several_runs_counts(clock):
    class Disturbed(FakePlan):
        def _work(self):
            clock.now += [9e-3, 6e-3, 4e-3, 7e-3][self.runs - 1]

    measured = tuning.measure(FakeEngine(), FORWARD, {"disturbed": Disturbed("disturbed")})
    assert measured["disturbed"] == pytest.approx(4, rel=1e-4)


def test_a_hopeless_candidate_is_run_no_more(clock):
    plans = {name: plan(clock, name, ms) for name, ms in [("good", 10), ("bad", 16), ("worse", 31)]}
    found = tuning.measure(FakeEngine(), FORWARD, plans)
    assert [p.runs for p in plans.values()] == [1 + tuning.REPEATS, 2, 1]
    assert found == pytest.approx({"good": 10, "bad": 16, "worse": 31}, rel=1e-4)


def test_the_one_to_try_first_is_run_first(clock):
    """So that the others are given up early."""
    first, second = plan(clock, "first", 10), plan(clock, "second", 100)
    fastest(FakeEngine(), "op", FORWARD, [first, second], "measure")
    assert second.runs == 1


def test_what_takes_long_is_run_only_as_often_as_it_has_to_be(clock):
    slow, slower = plan(clock, "slow", 150), plan(clock, "slower", 220)
    tuning.measure(FakeEngine(), FORWARD, {"slow": slow, "slower": slower})
    assert (slow.runs, slower.runs) == (1 + 2, 1 + 1)


def test_a_quick_candidate_is_run_often(clock):
    quick = plan(clock, "quick", 0.01)
    tuning.measure(FakeEngine(), FORWARD, {"quick": quick})
    assert quick.runs == pytest.approx(1 + tuning.ENOUGH / 0.01e-3, rel=0.05)


def test_one_candidate_is_not_run_at_all(clock):
    only = plan(clock, "only", 5)
    assert fastest(FakeEngine(), "op", FORWARD, [only], "measure") == (only, "")
    assert only.runs == 0


# ------------------------------------------------------------------ the memory it is run on


def test_a_plan_gets_memory_in_its_layouts_with_numbers_in_it():
    made = FakePlan(
        "x",
        bottom_layouts=(BLOCKED,),
        params={"weight": None},
        workspace=100,
        saved=30,
    )
    memory = tuning.scratch(made, BOTH, CPU)
    assert [m.layout for m in memory.bottom_memory + memory.bottom_diff_memory] == [BLOCKED] * 2
    assert [m.layout for m in memory.top_memory + memory.top_diff_memory] == [None, None]
    arrays = [m.plain(np.float32) for m in memory.bottom_memory + memory.top_diff_memory]
    arrays.append(memory.params["weight"].values.memory.plain(np.float32))
    for array in arrays:
        assert np.isfinite(array).all() and array.std() > 0.1
    assert memory.params["weight"].wanted
    assert (memory.workspace.array.nbytes, memory.saved.array.nbytes) == (100, 30)
    assert memory.workspace.address % 64 == memory.saved.address % 64 == 0


def test_gradients_count_as_zero_before_each_backward(clock):
    class Watching(FakePlan):
        def bind(self, memory):
            forward, _ = super().bind(memory)

            def backward():
                assert memory.params["weight"].gradient.fresh
                memory.params["weight"].gradient.fresh = False

            return forward, backward

    made = Watching("x", clock=clock, params={"weight": None})
    tuning.measure(FakeEngine(), BOTH, {"x": made})
    assert made.runs > 1


def test_a_plan_in_place_gets_one_memory_for_both():
    request = Request(
        bottom_shapes=(SHAPE,),
        top_shapes=(SHAPE,),
        bottom_layouts=(None,),
        backward=True,
        wanted=(True,),
        in_place=True,
    )
    memory = tuning.scratch(FakePlan("x"), request, CPU)
    assert memory.top_memory[0] is memory.bottom_memory[0]
    assert memory.bottom_diff_memory[0] is memory.top_diff_memory[0]


def test_gradients_that_nobody_wants_have_no_memory():
    request = Request(
        bottom_shapes=(SHAPE,),
        top_shapes=(SHAPE,),
        bottom_layouts=(None,),
        backward=True,
        wanted=(False,),
    )
    assert tuning.scratch(FakePlan("x"), request, CPU).bottom_diff_memory == (None,)
    assert tuning.scratch(FakePlan("x"), FORWARD, CPU).top_diff_memory == ()


# ------------------------------------------------------------------ what is remembered


def test_in_one_process_nothing_is_measured_twice(clock):
    for _ in range(2):
        plans = [plan(clock, "a", 5), plan(clock, "b", 3)]
        best = fastest(FakeEngine(), "op", FORWARD, plans, "measure")
        assert best.plan is plans[1]
    assert plans[0].runs == plans[1].runs == 0
    assert best.figures.startswith("3 ms as measured before, the next of 2 5 ms")


def test_times_are_found_again_by_a_later_process(clock, tmp_path):
    fastest(FakeEngine(), "op", FORWARD, [plan(clock, "a", 5), plan(clock, "b", 3)], "cached")
    times.table.cache_clear()
    later = [plan(clock, "a", 1), plan(clock, "b", 2)]  # as fast as that they are no more
    assert fastest(FakeEngine(), "op", FORWARD, later, "cached").plan is later[1]
    assert later[0].runs == later[1].runs == 0
    (problem,) = json.loads((tmp_path / "cache" / "tuning.json").read_text())["milliseconds"]
    assert problem == f"fake 1.2.3 paper, 1 threads: op {FORWARD}"


def test_measure_writes_no_file(clock, tmp_path):
    fastest(FakeEngine(), "op", FORWARD, [plan(clock, "a", 5), plan(clock, "b", 3)], "measure")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "op, request_, isa",
    [
        ("other", FORWARD, "paper"),
        (
            "op",
            Request(bottom_shapes=((4, 3),), top_shapes=((4, 3),), bottom_layouts=(None,)),
            "paper",
        ),
        (
            "op",
            Request(bottom_shapes=(SHAPE,), top_shapes=(SHAPE,), bottom_layouts=(None,), threads=2),
            "paper",
        ),
        ("op", FORWARD, "stone"),
    ],
)
def test_another_problem_is_measured(op, request_, isa, clock):
    fastest(FakeEngine(), "op", FORWARD, [plan(clock, "a", 5), plan(clock, "b", 3)], "cached")
    engine, plans = FakeEngine(), [plan(clock, "a", 1), plan(clock, "b", 2)]
    engine.isa = isa
    assert fastest(engine, op, request_, plans, "cached").plan is plans[0]


def test_a_candidate_without_a_time_has_all_of_them_run_again(clock):
    fastest(FakeEngine(), "op", FORWARD, [plan(clock, "a", 5), plan(clock, "b", 3)], "cached")
    later = [plan(clock, "a", 5), plan(clock, "b", 3), plan(clock, "c", 1)]
    best = fastest(FakeEngine(), "op", FORWARD, later, "cached")
    assert best.plan is later[2] and "measured, the next of 3" in best.figures
    assert all(p.runs > 0 for p in later)


def test_a_policy_chooses_among_known_times_without_measuring_again(clock):
    def plans():
        return plan(clock, "a", 3, workspace=100), plan(clock, "b", 5), plan(clock, "c", 7)

    def chosen(**options):
        engine = FakeEngine(*plans())
        choice = choose([engine], "op", FORWARD, Policy(tuning="cached", **options))
        return choice.plan.algorithm, sum(p.runs for p in engine.offers)

    algorithm, runs = chosen()
    assert algorithm == "a" and runs > 0
    assert chosen(limit=50) == ("b", 0)
    assert chosen(algorithm="c") == ("c", 0)


def test_candidates_of_one_name_are_told_apart_by_layouts_and_passes():
    first = FakePlan("jit", bottom_layouts=(BLOCKED,), params={"weight": None})
    second = FakePlan("jit", params={"weight": None})
    third = FakePlan("jit", params={"weight": BLOCKED})
    fourth = FakePlan("jit", params={"weight": None})
    fourth.passes = {"forward": "jit", "backward data": "gemm"}
    assert [tuning.describe(p) for p in (first, second, third, fourth)] == [
        "jit, blocked to plain, weight plain",
        "jit, plain, weight plain",
        "jit, plain, weight blocked",
        "jit gemm, plain, weight plain",
    ]


# ------------------------------------------------------------------ on a real engine

NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "y" top: "z" pooling_param { kernel_size: 2 } }
"""


@pytest.mark.parametrize("way", ["measure", "cached"])
def test_a_net_that_measures_computes_the_same(way, caplog):
    need_onednn()
    caplog.set_level("INFO", "minidl")
    x = np.random.default_rng(3).standard_normal((2, 3, 9, 8), np.float32)
    results = [
        minidl.Net("force_backward: true " + NET, seed=1, **options).forward(x=x)["z"]
        for options in (dict(engine="numpy"), dict(tuning=way))
    ]
    assert relative_error(results[1], results[0]) < 1e-5
    (said,) = [line for line in caplog.messages if line.startswith("conv: onednn")]
    assert " ms measured, the next of " in said
