"""InfogainLoss against its definition, its derivative, its matrix in a file, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError, MinidlError
from minidl.storage import arrays
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

IGNORED = 2
SCORES = 2 * np.random.default_rng(7).standard_normal((2, 4, 3))
LABELS = np.array([[0, 2, 1], [3, 3, 2]])
MATRIX = np.random.default_rng(8).uniform(-1, 2, (4, 4))  # not symmetric: rows are true classes
CASES = {
    "by default": ({}, 6),
    "some ignored": (dict(ignore_label=IGNORED), 4),
    "full": (dict(ignore_label=IGNORED, normalization="FULL"), 6),
    "batch size": (dict(normalization="BATCH_SIZE"), 2),
    "none": (dict(normalization="NONE"), 1),
}
cases = pytest.mark.parametrize("options, n", CASES.values(), ids=CASES.keys())


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "matrix.binaryproto"
    path.write_bytes(arrays.to_blob(MATRIX.reshape(1, 1, 4, 4)).SerializeToString())
    return str(path)


def by_definition(ignore_label=None, **_):
    total = 0
    for (n, place), label in np.ndenumerate(LABELS):
        if label == ignore_label:
            continue
        x = SCORES[n, :, place]
        p = np.exp(x) / np.exp(x).sum()
        total -= sum(MATRIX[label, c] * math.log(p[c]) for c in range(4))
    return total


@cases
def test_the_loss_weighs_the_surprise_of_every_class(options, n):
    layer = build("InfogainLoss", bottoms=3, **options)
    _, (loss,) = run(layer, SCORES, LABELS, MATRIX)
    assert float(loss.data) == pytest.approx(by_definition(**options) / n, rel=1e-12)


@cases
@pytest.mark.parametrize("tops", [1, 2])
def test_backward_is_the_derivative_of_forward(options, n, tops):
    check_backward(build("InfogainLoss", bottoms=3, tops=tops, **options), SCORES, LABELS, MATRIX)


def test_the_matrix_may_come_from_a_file(source):
    layer = build("InfogainLoss", source=source)
    _, (loss,) = run(layer, SCORES, LABELS)
    assert float(loss.data) == pytest.approx(by_definition() / 6, rel=1e-6)  # a file of floats


def test_the_third_bottom_goes_before_the_file(source):
    layer = build("InfogainLoss", bottoms=3, source=source)
    _, (loss,) = run(layer, SCORES, LABELS, 2 * MATRIX)
    assert float(loss.data) == pytest.approx(by_definition() / 3, rel=1e-12)


def test_the_identity_is_softmax_with_loss():
    _, (loss,) = run(build("InfogainLoss", bottoms=3), SCORES, LABELS, np.eye(4))
    _, (expected,) = run(build("SoftmaxWithLoss"), SCORES, LABELS)
    assert float(loss.data) == pytest.approx(float(expected.data), rel=1e-12)


def test_the_axis_of_the_classes_may_be_another():
    layer = build("InfogainLoss", bottoms=3, axis=-1)
    _, (loss,) = run(layer, SCORES.transpose(0, 2, 1), LABELS, MATRIX)
    assert float(loss.data) == pytest.approx(by_definition() / 6, rel=1e-12)


def test_a_hopeless_class_counts_as_1e_20():
    _, (loss,) = run(build("InfogainLoss", bottoms=3), [[2e3, 0.0]], [1], np.eye(2))
    assert float(loss.data) == pytest.approx(20 * math.log(10))


def test_no_matrix_is_refused():
    with pytest.raises(LayerConfigError, match=r"layer 'loss': has neither .*source nor a third"):
        build("InfogainLoss", name="loss")


def test_a_matrix_that_does_not_fit_the_classes_is_refused(source):
    found = r"matrix.binaryproto' has 16 elements, the bottom \(2, 5\) 5 classes"
    with pytest.raises(LayerConfigError, match=found):
        build("InfogainLoss", source=source).top_shapes((2, 5), (2,))


@pytest.mark.parametrize("content", [None, b"", b"\x2a\xff\xff\xff\xff\x0f", b"layer {}"])
def test_a_file_that_holds_no_matrix_is_refused_with_layer_and_file(tmp_path, content):
    path = tmp_path / "matrix.binaryproto"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MinidlError, match=r"InfogainLoss layer 'loss': .*matrix\.binaryproto"):
        build("InfogainLoss", name="loss", source=str(path)).top_shapes((2, 5), (2,))
