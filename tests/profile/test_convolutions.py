"""profile.algorithms, where there is not cuDNN and where nothing convolves."""

import pytest

from minidl import profile
from minidl.arrays.device import Device
from minidl.engines import cudnn
from minidl.engines.request import Declined
from minidl.errors import EngineError, UsageError
from tests.profile.test_training_times import on_paper

CONV = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 4 kernel_size: 3 } }
"""


def test_the_cpu_has_none():
    with pytest.raises(EngineError, match="cuDNN is not available: .* not on 'cpu'"):
        profile.algorithms(on_paper(CONV), Device("cpu"))


def test_without_the_library_it_says_why(gpu, monkeypatch):
    monkeypatch.setattr(cudnn.Cudnn, "load", lambda device: Declined("there is no libcudnn.so.9"))
    with pytest.raises(EngineError, match=r"not available: there is no libcudnn\.so\.9"):
        profile.algorithms(on_paper(CONV), Device("cuda:0"))


def test_a_net_that_does_not_convolve_is_refused():
    with pytest.raises(UsageError, match="has no convolution"):
        profile.algorithms(on_paper(), Device("cpu"))


def test_layers_that_are_alike_are_run_once_and_the_star_is_the_choice_of_a_net(engine):
    text = CONV + CONV[CONV.index('layer { name: "conv"') :].replace('"conv"', '"twin"')
    text = text.replace(
        'name: "twin" type: "Convolution" bottom: "x" top: "y"',
        'name: "twin" type: "Convolution" bottom: "x" top: "z"',
    )
    found = profile.algorithms(on_paper(text), engine.device, batch=5, iterations=1)
    (both,) = found.convolutions
    assert both.layers == ("conv", "twin") and both.bottom == (5, 3, 9, 9)
    for name, results in both.passes.items():
        assert both.taken[name] in {r.algorithm.name for r in results if r.ms is not None}
