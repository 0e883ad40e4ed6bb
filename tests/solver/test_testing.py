"""Tests in a run: their weights, their bad numbers."""

import numpy as np
import pytest

from minidl.errors import DivergedError
from minidl.solver import Hook
from tests.places import on
from tests.solver.support import NET, diary, make

pytestmark = on("cpu", "cuda:0", "cuda:0/numpy")


def test_test_initialization_can_be_left_out():
    solver, notes = diary("test_iter: 1 test_interval: 2 test_initialization: false max_iter: 4")
    solver.solve()
    assert [i for i, _, _ in notes.tests] == [2, 4]


def test_tests_see_the_weights_of_their_moment():
    solver, notes = diary("test_iter: 1 test_interval: 1 max_iter: 2 base_lr: 0.5")
    train = solver.net.params["ip1"][0]
    solver.step(1)
    solver.test_all()
    assert np.shares_memory(solver.test_nets[0].params["ip1"][0].data, train.data)


def test_a_test_that_diverges_ends_the_run_too(tmp_path):
    solver, notes = diary(
        f'base_lr: 1e30 lr_policy: "fixed" max_iter: 1 test_iter: 1 test_iter: 2 test_interval: 1 '
        f'snapshot_after_train: true snapshot_prefix: "{tmp_path}/s"'
    )
    with pytest.raises(DivergedError) as caught:
        solver.solve()
    assert str(caught.value).splitlines()[0] == (
        "net 'tiny', iteration 1: test net #0: the loss is inf; "
        "first in blob 'loss' of layer 'loss'"
    )
    assert f"start again; {tmp_path}/s_iter_1.solverstate leads here again" in caught.value.fix
    assert [name for name in notes.names() if name.startswith("test")] == [
        "test_start", "test", "test_start", "test", "test_start"
    ]  # fmt: skip
    assert notes.names()[-1] == "error"


class _Spoil(Hook):
    """Puts a NaN into an output of the second test net, in its second batch of three."""

    def on_test_start(self, solver, index):
        net, self.batches = solver.test_nets[1], 0
        net.after_forward[:] = [lambda layer: self.spoil(net, layer)]

    def spoil(self, net, layer):
        self.batches += net.layer_names[layer] == "spare"
        if self.batches == 2:
            net.blobs["spare"].data[0, 1] = np.nan


def test_an_output_that_is_no_number_in_one_batch_of_a_test_is_named():
    spare = 'layer { name: "spare" type: "TanH" bottom: "ip2" top: "spare" }'
    fields = "test_iter: 1 test_iter: 3 test_interval: 2"
    solver = make(fields, NET + spare, hooks=[_Spoil()])
    with pytest.raises(DivergedError) as caught:
        solver.test_all()
    assert "test net #1: the output 'spare' is not finite" in str(caught.value)
    assert "first in blob 'spare' of layer 'spare'" in str(caught.value)
    assert solver.hooks[-1].batches == 2
