"""A net that is quick to time, and speeds that are quick to measure."""

import pytest

from minidl.net import Net
from minidl.profile import floors, gpu_clock, gpu_floors
from tests.engines.cudnn.conftest import engine, fake  # noqa: F401  (fixtures: cuDNN in tests)

NET = """
name: "small"
layer { name: "in" type: "DummyData" top: "x" top: "label"
  dummy_data_param { shape { dim: 4 dim: 6 } shape { dim: 4 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "h"
  inner_product_param { num_output: 16 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "h" top: "h" }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "y"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""


@pytest.fixture
def quick(monkeypatch):
    """Speeds are measured with next to nothing."""
    monkeypatch.setattr(floors, "PRODUCT", 32)
    monkeypatch.setattr(floors, "SIZES", (1 << 10, 1 << 12))
    monkeypatch.setattr(gpu_floors, "PRODUCTS", (16,))
    monkeypatch.setattr(gpu_floors, "SIZES", (1 << 10, 1 << 12))
    monkeypatch.setattr(gpu_clock, "ENOUGH", 1e-6)


@pytest.fixture
def small():
    """Make NET to train, on the CPU or another device."""
    made = []

    def make(device="cpu", **options):
        made.append(Net(NET, "TRAIN", device=device, seed=1, share=True, **options))
        return made[-1]

    yield make
    for net in made:
        net.close()
