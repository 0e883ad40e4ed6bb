"""A net with layers that run on the host in part: on a GPU it runs, and is no CUDA graph."""

import logging

import numpy as np

from minidl import schema
from minidl.net import Net

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 2 dim: 9 dim: 8 } } }
layer { name: "r" type: "Input" top: "r" input_param { shape { dim: 4 dim: 5 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 4 dim: 2 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "roi" type: "ROIPooling" bottom: "c" bottom: "r" top: "p"
  roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 } }
layer { name: "part" type: "PSROIPooling" bottom: "c" bottom: "r" top: "q"
  psroi_pooling_param { spatial_scale: 0.5 output_dim: 2 group_size: 2 } }
layer { name: "align" type: "ROIAlign" bottom: "c" bottom: "r" top: "a"
  roi_align_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.5 } }
layer { name: "all" type: "Concat" bottom: "p" bottom: "q" bottom: "a" top: "all" }
layer { name: "out" type: "InnerProduct" bottom: "all" top: "y"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "loss" type: "SmoothL1Loss" bottom: "y" bottom: "t" top: "loss" }
"""
REGIONS = [[0, 0, 0, 9, 9], [1, 2, 3, 11, 8], [-1, 0, 0, 0, 0], [1, 5, 5, 7, 13]]


def test_a_net_with_regions_learns_on_a_gpu_what_it_learns_on_the_cpu(gpu, caplog):
    rng = np.random.default_rng(2)
    inputs = {
        "x": rng.standard_normal((2, 2, 9, 8)),
        "r": REGIONS,
        "t": rng.standard_normal((4, 2)),
    }
    results = {}
    with caplog.at_level(logging.WARNING, "minidl"):
        for device in ("cpu", "cuda:0"):
            net = Net(NET, phase=schema.TRAIN, seed=3, device=device, engine="numpy")
            for name, numbers in inputs.items():
                net.blobs[name].data = np.array(numbers, float)
            for _ in range(3):  # as it is; to be recorded, which fails; as it is again
                net.clear_param_diffs()
                loss = net.training_pass()
            host = net.device.to_host
            results[device] = {p.name: np.array(host(p.diff)) for p in net.learnable}
            results[device]["loss"] = np.array(host(loss))
    assert "CUDA graphs are not used" in caplog.text
    assert float(results["cpu"]["loss"]) > 0
    for name, expected in results["cpu"].items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(results["cuda:0"][name], expected, 0, 1e-5 * scale, name)
