"""MultiStageMeanfield against its definition, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.layers.permutohedral import Lattice
from minidl.net import Net
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(8)
SHAPE = (2, 3, 4, 5)
UNARY, START = RNG.standard_normal((2, *SHAPE))
IMAGE = RNG.uniform(0, 255, SHAPE)
MATRICES = [RNG.standard_normal((1, 1, 3, 3)) for _ in range(3)]
THETAS = dict(theta_alpha=3, theta_beta=90, theta_gamma=1.5)


def filtered(features, channels):
    """Each channel through the filter, divided by what a map of ones becomes."""
    lattice = Lattice(np.array(features))
    return lattice.filter(channels) / lattice.filter(np.ones((1, len(features))))


def by_definition(unary, start, image, iterations):
    (spatial, bilateral, compatibility), labels = (m[0, 0] for m in MATRICES), range(3)
    result = np.empty_like(unary)
    for n in range(len(unary)):
        pixels = [(i, j) for i in range(4) for j in range(5)]
        near = [[j / 1.5, i / 1.5] for i, j in pixels]
        alike = [[j / 3, i / 3, *(image[n, c, i, j] / 90 for c in range(3))] for i, j in pixels]
        q = start[n].reshape(3, -1).copy()
        for _ in range(iterations):
            p = np.empty_like(q)
            for k in range(20):
                scores = [math.exp(q[c, k]) for c in labels]
                p[:, k] = [score / sum(scores) for score in scores]
            s, b, new = filtered(near, p), filtered(alike, p), unary[n].reshape(3, -1).copy()
            for k in range(20):
                message = [
                    sum(spatial[c, e] * s[e, k] + bilateral[c, e] * b[e, k] for e in labels)
                    for c in labels
                ]
                for c in labels:
                    new[c, k] -= sum(compatibility[c, e] * message[e] for e in labels)
            q = new
        result[n] = q.reshape(3, 4, 5)
    return result


@pytest.mark.parametrize("iterations", [1, 4])
def test_forward_follows_the_definition(iterations):
    layer = build("MultiStageMeanfield", num_iterations=iterations, **THETAS)
    _, (y,) = run(layer, UNARY, START, IMAGE, params=MATRICES)
    expected = by_definition(UNARY, START, IMAGE, iterations)
    np.testing.assert_allclose(y.data, expected, rtol=1e-9, atol=1e-10)


def test_backward_goes_through_all_iterations():
    layer = build("MultiStageMeanfield", num_iterations=3, **THETAS)
    check_backward(layer, UNARY, START, IMAGE, limit=15)


def test_noise_gives_way_to_what_the_pixels_around_say():
    """A left and a right half of two colours, each with one pixel that has the other's score."""
    right = np.tile(np.arange(8) >= 4, (6, 1))
    scores = np.where(right, 1.0, -1.0)
    scores[2, 1], scores[3, 6] = 1, -1
    unary = np.stack([-scores, scores])[None]
    image = np.where(right, 200.0, 40.0) * np.ones((1, 3, 1, 1))
    sizes = " ".join(f"shape {{ dim: 1 dim: {c} dim: 6 dim: 8 }}" for c in (2, 2, 3))
    net = Net(
        f"""layer {{ name: "in" type: "Input" top: "u" top: "q" top: "x"
          input_param {{ {sizes} }} }}
        layer {{ name: "crf" type: "MultiStageMeanfield"
          bottom: "u" bottom: "q" bottom: "x" top: "y"
          multi_stage_meanfield_param {{ num_iterations: 5 theta_alpha: 20 theta_beta: 10
            theta_gamma: 3 spatial_filter_weight: 1 bilateral_filter_weight: 4 }} }}""",
        1,
    )
    found = net.forward(u=unary, q=unary, x=image)["y"]
    np.testing.assert_array_equal(found[0].argmax(axis=0), right)
    np.testing.assert_array_equal(net.params["crf"][1].data[0, 0], 4 * np.eye(2))
    np.testing.assert_array_equal(net.params["crf"][2].data[0, 0], -np.eye(2))


@pytest.mark.parametrize(
    "keywords, shapes, message",
    [
        (THETAS, (SHAPE,) * 3, "num_iterations is 0"),
        (dict(num_iterations=3, theta_alpha=1), (SHAPE,) * 3, "theta_beta is missing"),
        (
            dict(num_iterations=3, **THETAS),
            (SHAPE, (2, 3, 4, 4), SHAPE),
            "what to begin with is .2, 3, 4, 4.",
        ),
        (
            dict(num_iterations=3, **THETAS),
            (SHAPE, SHAPE, (2, 1, 4, 5)),
            r"image is .2, 1, 4, 5.(.|\n)*2, 3, 4, 5",
        ),
    ],
)
def test_refusals_name_the_layer_and_what_was_found(keywords, shapes, message):
    with pytest.raises(LayerConfigError, match=f"MultiStageMeanfield layer 'crf'.*{message}"):
        build("MultiStageMeanfield", name="crf", **keywords).top_shapes(*shapes)


def test_colours_too_far_apart_are_refused():
    layer = build("MultiStageMeanfield", num_iterations=1, **{**THETAS, "theta_beta": 1e-6})
    with pytest.raises(LayerConfigError, match="points large(.|\n)*larger thetas"):
        run(layer, UNARY, START, IMAGE)
