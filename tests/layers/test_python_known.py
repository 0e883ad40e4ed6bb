"""Well-known Python layers whose module is not there: the type that stands in, and what is said."""

import logging
import sys

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.layers.base import REGISTRY
from minidl.layers.python_known import KNOWN, is_there, read_settings
from minidl.net import Net

TEXT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 dim: 3 dim: 3 } } }
layer { name: "d" type: "Python" bottom: "x" top: "d"
  python_param { module: "MODULE" layer: "CLASS" param_str: "PARAM" } }
"""
DROPOUT = ("spatial_dropout", "SpatialDropoutLayer", "{'phase': 'TEST', 'p': '0.2'}")
PROPOSAL = """
layer { name: "i" type: "Input" top: "s" top: "o" top: "i" input_param {
  shape { dim: 1 dim: 12 dim: 2 dim: 2 } shape { dim: 1 dim: 24 dim: 2 dim: 2 }
  shape { dim: 1 dim: 3 } } }
layer { name: "p" type: "Python" bottom: "s" bottom: "o" bottom: "i" top: "rois"
  python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
    param_str: "'feat_stride': 8 \\n'scales': !!python/tuple [4, 8]" } }
"""


def text(module, name, param):
    return TEXT.replace("MODULE", module).replace("CLASS", name).replace("PARAM", param)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("spatial_dropout", None)


@pytest.mark.parametrize("allowed", [False, True])
def test_what_computes_the_same_stands_in_and_one_line_says_so(caplog, allowed):
    caplog.set_level(logging.INFO, "minidl")
    net = Net(text(*DROPOUT), phase=schema.TRAIN, allow_python=allowed)
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(net.forward(x=x)["d"], x * 1.25, rtol=1e-6)
    (said,) = (r.getMessage() for r in caplog.records if "No module" in r.getMessage())
    assert said == (
        "No module found for spatial_dropout.SpatialDropoutLayer of TimoSaemann/caffe-enet, "
        "python (<text>:3: Python layer 'd'): SpatialDropout in its place"
    )


@pytest.mark.parametrize("phase, looked_at, kept", [(schema.TRAIN, 12000, 2000), (1, 6000, 300)])
def test_proposals_have_the_settings_of_py_faster_rcnn(phase, looked_at, kept):
    spec = Net(PROPOSAL, phase=phase).layer_dict["p"].spec
    p = spec.proposal_param
    assert (spec.type, p.feat_stride, list(p.scale)) == ("Proposal", 8, [4, 8])
    assert (p.pre_nms_topn, p.post_nms_topn) == (looked_at, kept)
    assert Net(PROPOSAL, phase=phase).blobs["rois"].shape == (kept, 5)


def test_a_module_that_is_there_is_the_owners_own(elsewhere):
    (elsewhere / "spatial_dropout.py").write_text(
        "import caffe\nclass SpatialDropoutLayer(caffe.Layer):\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)\n"
        "    def forward(self, bottom, top): top[0].data[...] = 7\n"
    )
    with pytest.raises(LayerConfigError, match="would run code"):
        Net(text(*DROPOUT))
    net = Net(text(*DROPOUT), allow_python=True)
    assert (net.forward(x=np.zeros((2, 4, 3, 3)))["d"] == 7).all()


def test_what_nothing_here_computes_is_refused_with_the_place_where_it_is_known_from():
    with pytest.raises(
        LayerConfigError, match=r"no module 'voc_layers'(.|\n)*known from shelhamer"
    ):
        Net(text("voc_layers", "VOCSegDataLayer", ""), allow_python=True)


def test_settings_that_the_class_would_miss_are_refused():
    with pytest.raises(LayerConfigError, match=r"<text>:4.*param_str is '\{\}': KeyError: 'p'"):
        Net(text(*DROPOUT[:2], "{}"))


def test_every_type_that_stands_in_is_one():
    assert {known.type for known in KNOWN.values()} - {""} <= set(REGISTRY)


@pytest.mark.parametrize(
    "written, settings",
    [
        ("{'phase': 'TRAIN', 'p': '0.01'}", {"phase": "TRAIN", "p": "0.01"}),
        (
            "'feat_stride': 16 \n'scales': !!python/tuple [4, 8]",
            dict(feat_stride=16, scales=[4, 8]),
        ),
        ("{'mean': (104.5, 3), 'split': 'train'}", dict(mean=(104.5, 3), split="train")),
        ("feat_stride: 16", dict(feat_stride=16)),
        ("", {}),
    ],
)
def test_settings_are_read_as_python_and_as_yaml(written, settings):
    assert read_settings(written) == settings


def test_looking_for_a_module_runs_no_code(elsewhere):
    (elsewhere / "pack").mkdir()
    (elsewhere / "pack" / "__init__.py").write_text("raise RuntimeError('was run')")
    (elsewhere / "pack" / "inner.py").write_text("")
    assert is_there("pack.inner", allowed=False) and not is_there("pack.other", allowed=False)
    assert not is_there("pack.other", allowed=True)
