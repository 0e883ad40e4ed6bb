"""Labels that name no class are refused wherever labels are read."""

import numpy as np
import pytest

from minidl.errors import LabelError, LayerConfigError
from minidl.testing.harness import build, run

BAD = {
    # label, how it is shown
    "one too many": (5, "5"),
    "negative": (-1, "-1"),
    "far out": (16777216, "16777216"),
    "between two classes": (2.5, "2.5"),
    "not a number": (np.nan, "nan"),
    "infinite": (np.inf, "inf"),
    "minus infinity": (-np.inf, "-inf"),
}
types = pytest.mark.parametrize("type", ["SoftmaxWithLoss", "Accuracy"])
options = pytest.mark.parametrize("options", [{}, {"ignore_label": 3}], ids=["all", "ignoring"])


def scores(*shape):
    return np.random.default_rng(7).standard_normal(shape)


@types
@options
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value, shown", BAD.values(), ids=BAD.keys())
def test_a_label_that_names_no_class_is_refused(type, options, dtype, value, shown):
    layer = build(type, name="top1", dtype=dtype, **options)
    with pytest.raises(LabelError) as caught:
        run(layer, scores(4, 5), [0, 4, value, value])
    error = caught.value
    assert str(error).startswith(f"{type} layer 'top1': label 2 of 'x1' is {shown}\n")
    assert "0 to 4: 'x0' has 5 classes" in error.expected and error.fix
    assert ("the ignore_label 3" in error.expected) == bool(options)
    assert error.item == 2
    assert error.value == value or np.isnan(error.value) and np.isnan(value)


@types
@options
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value, shown", BAD.values(), ids=BAD.keys())
def test_on_a_gpu_it_makes_the_result_not_a_number(type, options, dtype, value, shown, gpu):
    """Nobody waits to see the label; the net names it when it next shows the result."""
    layer = build(type, tops=2, dtype=dtype, device="cuda:0", **options)
    bottom, top = run(layer, scores(4, 5), [0, 4, value, 3])
    host = layer.ctx.device.to_host
    assert np.isnan(host(top[0].data))
    assert set(host(layer.place).reshape(-1) // 5) == {0, 1, 2, 3}, "nothing is read elsewhere"
    if layer.differentiable:
        layer.ctx.device.write(top[0].diff, 1)
        with layer.ctx.device.current():
            layer.backward(top, [True, False], bottom)
        assert np.isnan(host(bottom[0].diff)).all()
    layer.ctx.device.write(bottom[1].data, [0, 4, 3, 3])
    with layer.ctx.device.current():
        layer.forward(bottom, top)
    assert np.isfinite(host(top[0].data)), "and the next one is as ever"


@pytest.mark.parametrize("type", ["HingeLoss", "InfogainLoss", "MultinomialLogisticLoss"])
def test_so_it_does_in_losses_that_ignore_nothing(type, gpu):
    layer = build(type, bottoms=3 if type == "InfogainLoss" else 2, device="cuda:0")
    matrix = [np.eye(5)] if type == "InfogainLoss" else []
    bottom, (loss,) = run(layer, scores(4, 5), [0, 4, 5, 3], *matrix)
    host = layer.ctx.device.to_host
    layer.ctx.device.write(loss.diff, 1)
    with layer.ctx.device.current():
        layer.backward([loss], [True] + [False] * (len(bottom) - 1), bottom)
    assert np.isnan(host(loss.data)) and np.isnan(host(bottom[0].diff)).any(axis=1).all()


@types
def test_the_error_names_the_item_of_a_label_image(type):
    labels = np.zeros((3, 1, 2, 4))
    labels[1, 0, 1, 2] = 7
    with pytest.raises(LabelError, match=r"label \(1, 0, 1, 2\) of 'x1' is 7") as caught:
        run(build(type), scores(3, 5, 2, 4), labels)
    assert (caught.value.item, caught.value.value) == (1, 7)


@types
@pytest.mark.parametrize("ignored", [-1, 255, 0])
def test_the_ignored_label_need_not_name_a_class(type, ignored):
    run(build(type, ignore_label=ignored), scores(3, 5), [0, ignored, 4])


@types
def test_the_first_and_the_last_class_are_accepted(type):
    run(build(type), scores(2, 5), [0, 4])


@types
def test_the_labels_are_left_as_they_are(type):
    bottom, _ = run(build(type, ignore_label=3), scores(4, 5), [0, 3, 4, 1])
    np.testing.assert_array_equal(bottom[1].data, [0, 3, 4, 1])


@types
@options
def test_sampled_labels_are_accepted_and_sometimes_ignored(type, options):
    layer = build(type, **options)
    shapes = [(6, 5, 2, 3), (6, 1, 2, 3)]
    x, t = layer.sample_bottoms(shapes, np.random.default_rng(3))
    run(layer, x, t)
    assert (x.shape, t.shape) == tuple(shapes)
    assert len(np.unique(t)) == 5
    assert ((t == 3).mean() > 0.25) == bool(options)


@types
@pytest.mark.parametrize(
    "shapes, message",
    [
        (((4, 5, 2, 3), (4, 2)), r"\(4, 5, 2, 3\).*axis 1 need 24 labels.*'x1' \(4, 2\) holds 8"),
        (((4, 5), (4, 5)), r"need 4 labels.*\(4, 5\) holds 20"),
        (((4, 0), (4,)), r"\(4, 0\) has no class on axis 1"),
        (((4,), (4,)), r"axis is 1.*\(4,\) has 1 axes"),
    ],
)
def test_scores_and_labels_that_do_not_fit_are_refused(type, shapes, message):
    with pytest.raises(LayerConfigError, match=rf"{type} layer 'top1'.*{message}"):
        build(type, name="top1").top_shapes(*shapes)


@types
def test_the_refusal_says_which_shape_of_labels_fits(type):
    with pytest.raises(LayerConfigError, match=r"labels of shape \(4, 2, 3\)"):
        build(type).top_shapes((4, 5, 2, 3), (4, 2))
