"""profile.training: whole iterations, and what of a request each device has."""

import pytest

from minidl import profile, prototxt, schema
from minidl.arrays.device import Device
from minidl.errors import DeviceError
from minidl.layers.context import Context
from minidl.net.blueprint import Blueprint
from minidl.profile import Engines, training_times
from minidl.profile.training_times import Cell
from minidl.solver import Solver
from tests.profile.conftest import NET


def on_paper(text=NET, **options):
    ctx = Context(Device("cpu"), phase=schema.TRAIN)
    return Blueprint(prototxt.read_net(text), ctx, **options)


def test_a_row_for_each_batch_and_a_cell_for_each_device(gpu):
    devices = [Device("cpu"), Device("cuda:0")]
    found = profile.training(on_paper(), devices, batches=(2, 3), iterations=2)
    assert [row.batch for row in found.rows] == [2, 3]
    assert all(row.cells[d.name].seconds > 0 for row in found.rows for d in devices)
    assert "Fake GPU" in found.devices["cuda:0"].name
    assert (found.net, found.iterations) == ("small", 2)


def test_an_iteration_is_forward_backward_and_update_on_data_that_is_there(monkeypatch):
    from minidl.layers.dummy_data import DummyData

    monkeypatch.setattr(DummyData, "forward", lambda *args: pytest.fail("a record was made"))
    steps, original = [], Solver.step
    monkeypatch.setattr(Solver, "step", lambda self, n: steps.append(n) or original(self, n))
    found = profile.training(on_paper(), [Device("cpu")], iterations=5)
    assert steps == [training_times.WARM["cpu"], 5]
    assert [row.batch for row in found.rows] == [4]


def test_images_are_random_and_labels_zero(monkeypatch):
    seen = []
    original = Solver.step

    def step(self, n):
        seen.append({name: self.net.blobs[name].data.copy() for name in ("x", "label")})
        original(self, n)

    monkeypatch.setattr(Solver, "step", step)
    profile.training(on_paper(), [Device("cpu")], batches=[50], iterations=1)
    assert seen[0]["x"].shape == (50, 6) and 0.8 < seen[0]["x"].std() < 1.2
    assert seen[0]["label"].shape == (50,) and not seen[0]["label"].any()


def test_the_layers_of_a_stage_are_trained(monkeypatch):
    """The solver itself knows of no stage."""
    made = []
    original = Solver.step
    monkeypatch.setattr(
        Solver, "step", lambda self, n: made.append(self.net.layer_names) or original(self, n)
    )
    text = NET.replace('name: "relu"', 'name: "relu" include { stage: "bent" }')
    profile.training(on_paper(text, stages=["bent"]), [Device("cpu")], iterations=1)
    assert "relu" in made[0]
    profile.training(on_paper(text), [Device("cpu")], iterations=1)
    assert "relu" not in made[-1]


def test_what_a_device_has_no_memory_for_is_an_error_of_its_cell(monkeypatch):
    def full(*args):
        raise DeviceError("cuda:0 has not 9 GiB left", fix="a smaller batch_size")

    monkeypatch.setattr(training_times, "seconds", full)
    (row,) = profile.training(on_paper(), [Device("cpu")]).rows
    assert row.cells == {"cpu": Cell(None, "cuda:0 has not 9 GiB left fix: a smaller batch_size")}


def test_each_device_computes_in_what_it_has(gpu):
    asked = Engines("cudnn", "tf32")
    cpu, cuda = (asked.on(Device(name)) for name in ("cpu", "cuda:0"))
    assert (cpu.engine, cpu.math) == (None, "float32")
    assert cuda == asked
    assert Engines("numpy", "bf16").on(Device("cpu")) == Engines("numpy", "bf16")
