"""Nine trained models of others: their outputs are those that two other engines give."""

import json

import numpy as np
import pytest

from minidl.net import Net
from tests.places import on
from tests.support import SHARED, relative_error, shared

INDEX = SHARED / "models" / "index.json"
MODELS = sorted(json.loads(INDEX.read_text())) if INDEX.exists() else []
OTHERS = ("opencv", "torch64")  # who made the references; torch in float64
SLOW = {"squeezenet_v1.0", "vdsr"}  # on the fake cuDNN, which convolves by array code
ON_GPU = [pytest.param(m, marks=pytest.mark.slow) if m in SLOW else m for m in MODELS]
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@pytest.mark.skipif(not MODELS, reason="reference material not found: models/index.json")
def test_there_are_nine():
    assert len(MODELS) == 9


@on("cpu/numpy", "cpu/onednn")
@TYPES
@pytest.mark.parametrize("model", MODELS)
def test_real_weights_give_the_outputs_of_two_other_engines(model, dtype):
    compare(model, dtype)


@on("cuda:0", "cuda:0/numpy", "cuda:0/cudnn")
@TYPES
@pytest.mark.parametrize("model", ON_GPU)
def test_on_a_gpu_they_do_so_too(model, dtype):
    compare(model, dtype)


def compare(model, dtype):
    folder = shared("models") / model
    reference = np.load(folder / "reference.npz")
    text = (folder / "deploy.prototxt").read_text()
    net = Net(text, weights=folder / "weights.caffemodel", dtype=dtype)
    parts = [(*key.split("/", 1), reference[key]) for key in reference.files]
    net.forward(**{name: values for kind, name, values in parts if kind == "input"})
    expected = [(kind, name, values) for kind, name, values in parts if kind in OTHERS]
    assert {kind for kind, _, _ in expected} == set(OTHERS)
    for kind, name, values in expected:
        assert relative_error(net.blobs[name].data, values) < 1e-5, f"{name}, {kind}"
