"""Where a solver's nets come from, and what testing them gives."""

import logging

import numpy as np
import pytest

from minidl import prototxt, schema
from minidl.errors import SolverError
from minidl.net import Net
from minidl.solver import Solver, get_solver, nets
from minidl.storage import caffemodel
from tests.places import on
from tests.solver.support import NET, SOLVER, diary, make, solver_param, weights

pytestmark = on("cpu", "cuda:0")


def test_figures_are_means_over_batches():
    solver, notes = diary("test_iter: 3 test_interval: 1 test_compute_loss: true")
    net = make("test_iter: 3 test_interval: 1").test_nets[0]  # has the training net's weights
    by_hand = [net.forward_pass() for _ in range(3)]
    (info,) = solver.test_all()
    assert info["outputs"]["loss"] == pytest.approx(np.mean(by_hand), rel=1e-6)
    assert info["loss"] == pytest.approx(np.mean(by_hand), rel=1e-6)


def test_a_test_of_no_batches_is_none_and_said_to_be(caplog):
    solver, notes = diary("test_iter: 0 test_iter: 2 test_interval: 2 test_compute_loss: true")
    assert "test_iter: 0: test net #0 never runs" in caplog.text
    solver.step(3)
    none, some = solver.test_all()
    assert none["outputs"] == {} and "loss" not in none
    assert some["outputs"]["loss"] == pytest.approx(some["loss"])
    assert solver.test_nets[0].streams.passes == 0
    assert {net for _, net, _ in notes.tests} == {1}
    plain = make()
    plain.step(3)
    for mine, theirs in zip(weights(solver), weights(plain), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_outputs_of_many_numbers_are_counted_through_in_the_log(caplog):
    caplog.set_level(logging.INFO, "minidl")
    net = (
        NET
        + 'layer { name: "a" type: "Reduction" bottom: "ip1" top: "a" \
        reduction_param { axis: 1 } include { phase: TEST } }'
    )
    make("test_iter: 1 test_interval: 1", net).test_all()
    lines = [r.getMessage() for r in caplog.records if "Test net output" in r.getMessage()]
    assert [line.split(" = ")[0].strip() for line in lines] == [
        *(f"Test net output #{i}: a" for i in range(6)),
        "Test net output #6: loss",
    ]
    assert "(*" not in lines[0] and "(* 1 = " in lines[6]


def test_nets_come_from_their_sources_in_caffes_order(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "minidl")
    monkeypatch.chdir(tmp_path)
    for name in ("generic", "own"):
        (tmp_path / f"{name}.prototxt").write_text(NET.replace("tiny", name))
    fields = 'test_net: "own.prototxt" net: "generic.prototxt" test_interval: 1 '
    fields += "test_iter: 1 test_iter: 2 test_iter: 3 test_iter: 4"
    param = solver_param(fields, net="")
    param.test_net_param.add().CopyFrom(prototxt.read_net(NET))
    solver = Solver(param)
    assert [net.name for net in solver.test_nets] == ["tiny", "own", "generic", "generic"]
    said = [r.getMessage() for r in caplog.records if "net" in r.getMessage()]
    assert "Creating training net from net file: generic.prototxt" in said
    assert "Creating test net (#1) specified by test_net file: own.prototxt" in said


STAGED = (
    NET
    + """
layer { name: "shallow" type: "Silence" bottom: "ip1"
  include { phase: TEST stage: "a" } include { phase: TRAIN min_level: 2 } }
layer { name: "deep" type: "Silence" bottom: "tanh" include { phase: TEST stage: "b" } }
"""
)


def test_states_choose_layers_with_solver_over_net():
    param = solver_param(
        "test_iter: 1 test_iter: 1 test_interval: 1 train_state { level: 2 } "
        'test_state { stage: "a" } test_state { stage: "b" }',
        STAGED,
    )
    param.net_param.state.level = 1
    solver = Solver(param)
    has = [[n in net.layer_dict for n in ("shallow", "deep")] for net in solver.nets]
    assert has == [[True, False], [True, False], [False, True]]


def test_a_net_file_is_found_beside_the_solver_file(tmp_path, monkeypatch):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "net.prototxt").write_text(NET)
    path = tmp_path / "zoo" / "solver.prototxt"
    path.write_text(f'net: "net.prototxt"\n{SOLVER}')
    monkeypatch.chdir(tmp_path)
    assert get_solver(path).net.name == "tiny"


def test_the_current_folder_comes_first_as_in_caffe(tmp_path, monkeypatch):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "net.prototxt").write_text(NET)
    (tmp_path / "net.prototxt").write_text(NET.replace("tiny", "here"))
    path = tmp_path / "zoo" / "solver.prototxt"
    path.write_text(f'net: "net.prototxt"\n{SOLVER}')
    monkeypatch.chdir(tmp_path)
    assert get_solver(path).net.name == "here"


def test_tests_follow_an_array_that_was_replaced():
    solver = make("test_iter: 1 test_interval: 1")
    param = solver.net.params["ip2"][0]
    param.data = param.data * 0
    solver.test_all()
    assert np.shares_memory(solver.test_nets[0].params["ip2"][0].data, param.data)
    assert not solver.test_nets[0].blobs["ip2"].data.any()


def test_a_missing_net_file_is_named_with_the_line_of_the_solver(tmp_path):
    (tmp_path / "tiny.prototxt").write_text(NET)
    path = tmp_path / "solver.prototxt"
    path.write_text(f'{SOLVER}\nnet: "tinny.prototxt"\n')
    with pytest.raises(SolverError, match=r"solver\.prototxt:\d: net: there is no file(.|\n)*tiny"):
        get_solver(path)


def test_what_given_weights_lack_is_said_once_for_all_nets(tmp_path, caplog):
    other = NET.replace('name: "ip2"', 'name: "old"')
    first = make(f'snapshot_prefix: "{tmp_path}/snap"', other)
    path, _ = first.snapshot()
    make(f'weights: "{path}" test_iter: 1 test_iter: 1 test_interval: 5')
    found = [m for m in caplog.messages if "source layer old" in m or "ip2 keeps its" in m]
    assert len(found) == 2


def test_a_test_net_gets_the_weights_of_the_layers_that_it_alone_has(tmp_path, caplog):
    """A layer of the test phase only, as an auxiliary classifier that is watched."""
    extra = """
    layer { name: "own" type: "InnerProduct" bottom: "ip1" top: "own" include { phase: TEST }
      inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
    layer { name: "quiet" type: "Silence" bottom: "own" include { phase: TEST } }"""
    first = make("test_iter: 1 test_interval: 5", NET + extra)
    path = tmp_path / "w.caffemodel"
    first.test_nets[0].save(path)
    second = make(f'random_seed: 3 weights: "{path}" test_iter: 1 test_interval: 5', NET + extra)
    for mine, theirs in zip(
        second.test_nets[0].params["own"], first.test_nets[0].params["own"], strict=True
    ):
        np.testing.assert_array_equal(mine.data, theirs.data)


TWIN = (
    NET.replace("param { lr_mult: 1 }", 'param { lr_mult: 1 name: "w" }')
    + """
layer { name: "twin" type: "InnerProduct" bottom: "data" top: "twin" param { name: "w" }
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } }
  include { phase: TEST } }
"""
)


def test_a_layer_for_testing_alone_that_shares_a_trained_parameter_follows_it(tmp_path):
    """Through training, starting from weights in which the two differ, and through a resume."""
    path = tmp_path / "given.caffemodel"
    Net(TWIN.replace('name: "w"', ""), seed=2).save(path)
    options = f'weights: "{path}" test_iter: 1 test_interval: 5 snapshot_prefix: "{tmp_path}/s"'
    solver = make(options, TWIN)
    assert weights(solver)[0].tobytes() == caffemodel.read(path).layers[0].blobs[0].tobytes()
    solver.step(3)
    solver.snapshot()
    (test,) = solver.test_nets
    np.testing.assert_array_equal(test.params["twin"][0].data, solver.net.params["ip1"][0].data)
    resumed = make(options, TWIN)
    resumed.restore(tmp_path / "s_iter_3.solverstate")
    (test,) = resumed.test_nets
    np.testing.assert_array_equal(test.params["twin"][0].data, solver.net.params["ip1"][0].data)


def test_training_starts_from_given_weights(tmp_path):
    first = make(f'snapshot_prefix: "{tmp_path}/snap"')
    first.step(2)
    path, _ = first.snapshot()
    second = make(f'weights: "{path}" test_iter: 1 test_interval: 5')
    for net in second.nets:
        for name, params in net.params.items():
            for mine, theirs in zip(params, first.net.params[name], strict=True):
                np.testing.assert_array_equal(mine.data, theirs.data)
    with pytest.raises(SolverError, match="weights: there is no file 'b.caffemodel'"):
        make(f'weights: "{path},b.caffemodel"')


def test_a_name_that_no_system_accepts_is_no_file():
    for name in ("x" * 5000, "a\0b", "x/" * 3000):
        with pytest.raises(SolverError, match="net: there is no file '"):
            nets.find(name, schema.SolverParameter(), "net")
