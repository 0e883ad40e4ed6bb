"""A net as people use it: pycaffe's calls, sharing, reshaping, weights in and out."""

import gc
import weakref

import numpy as np
import pytest

import minidl
from minidl import prototxt, schema
from minidl.errors import LabelError, UsageError, WeightsError
from minidl.layers.base import REGISTRY
from minidl.net import Net, diagnosis
from tests.places import on

pytestmark = on("cpu", "cuda:0", "cuda:0/numpy")

TEXT = """
name: "toy"
force_backward: true
layer { name: "in" type: "Input" top: "x" top: "label"
  input_param { shape { dim: 4 dim: 2 dim: 6 dim: 5 } shape { dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" }
    bias_filler { type: "constant" value: 0.1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


def toy(phase=schema.TRAIN, **options):
    return Net(TEXT, phase=phase, **{"seed": 3} | options)


def fill(net, seed=0):
    rng = np.random.default_rng(seed)
    net.blobs["x"].data[...] = rng.standard_normal(net.blobs["x"].shape)
    net.blobs["label"].data[...] = rng.integers(0, 5, net.blobs["label"].shape)
    return net


def test_names_and_order_are_pycaffes():
    net = toy()
    assert net.inputs == ["x", "label"]
    assert net.outputs == ["accuracy", "loss"]
    assert list(net.params) == ["conv", "fc"]
    assert net.params["conv"][0].data.shape == (3, 2, 3, 3)
    assert net.layer_dict["relu"].type == "ReLU"
    assert net.blob_loss_weights["loss"] == 1
    assert net.bottom_names["loss"] == ["fc_fc_0_split_1", "label_in_1_split_1"]


def test_forward_returns_the_outputs_and_what_is_asked_for():
    net = fill(toy())
    out = net.forward(blobs=["conv"])
    assert set(out) == {"accuracy", "loss", "conv"}
    assert np.shares_memory(out["conv"], net.blobs["conv"].data)
    assert (out["conv"] >= 0).all()
    assert net.loss == pytest.approx(float(out["loss"]))


def test_forward_in_two_parts_is_forward():
    net = fill(toy())
    whole = net.forward()["loss"].copy()
    net.forward(end="conv")
    assert (net.blobs["conv"].data < 0).any()
    assert net.forward(start="relu")["loss"] == whole


def test_backward_gives_the_gradient_of_the_inputs():
    net = fill(toy(dtype=np.float64))
    net.forward()
    net.clear_param_diffs()
    gradient = net.backward(diffs=["fc"])
    loss, step = net.loss, 1e-6
    net.blobs["x"].data[1, 1, 2, 3] += step
    net.forward()
    assert gradient["x"][1, 1, 2, 3] == pytest.approx((net.loss - loss) / step, abs=1e-5)
    assert gradient["fc"].shape == (4, 5)


def test_parameter_gradients_add_up_until_cleared():
    net = fill(toy())
    net.clear_param_diffs()
    net.forward_pass()
    net.backward_pass()
    once = net.params["conv"][0].diff.copy()
    net.backward_pass()
    np.testing.assert_allclose(net.params["conv"][0].diff, 2 * once, rtol=1e-6)
    net.clear_param_diffs()
    assert not net.params["conv"][0].diff.any()


def test_a_batch_of_another_size_reshapes_the_net():
    net = toy()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 2, 6, 5)).astype(np.float32)
    net.forward(x=x, label=np.zeros(9))
    assert net.blobs["fc"].shape == (9, 5)
    alone = [net.forward(x=x[i : i + 1], label=[0], blobs=["fc"])["fc"][0].copy() for i in range(9)]
    net.forward(x=x, label=np.zeros(9))
    np.testing.assert_allclose(net.blobs["fc"].data, alone, rtol=1e-5, atol=1e-6)


def test_reshaping_the_input_blob_is_enough():
    net = toy()
    net.blobs["x"].reshape(2, 2, 6, 5)
    net.blobs["label"].reshape(2)
    net.forward()
    assert net.blobs["fc"].shape == (2, 5)


def test_an_impossible_shape_is_refused_and_the_net_goes_on():
    net = fill(toy())
    net.forward()
    with pytest.raises(Exception, match="'fc'"):
        net.forward(x=np.zeros((4, 2, 9, 9)))
    assert net.blobs["x"].shape == (4, 2, 6, 5)
    net.forward()


def test_wrong_names_are_refused_with_the_nearest():
    net = toy()
    with pytest.raises(UsageError, match="did you mean 'label'"):
        net.forward(labels=np.zeros(4))
    with pytest.raises(UsageError, match="no blob 'convv'.*\n.*did you mean 'conv'"):
        net.forward(blobs=["convv"])
    with pytest.raises(UsageError, match="no layer 'lossy'"):
        net.forward(end="lossy")


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    assert (toy().params["fc"][0].data == toy().params["fc"][0].data).all()
    assert (toy(seed=4).params["fc"][0].data != toy().params["fc"][0].data).any()
    assert (toy().params["conv"][1].data == np.float32(0.1)).all()


def test_weights_survive_saving_and_loading(tmp_path):
    net, other = toy(), toy(seed=9)
    net.save(tmp_path / "toy.caffemodel")
    other.copy_from(tmp_path / "toy.caffemodel")
    for name, params in net.params.items():
        for mine, theirs in zip(params, other.params[name], strict=True):
            assert (mine.data == theirs.data).all()


def test_a_misfit_is_refused_with_both_shapes_and_changes_nothing(tmp_path):
    toy().save(tmp_path / "toy.caffemodel")
    net = Net(TEXT.replace("num_output: 5", "num_output: 6"), seed=1)
    before = net.params["conv"][0].data.copy()
    with pytest.raises(WeightsError, match=r"blob 0 of layer 'fc' has the shape \(5, 36\)(.|\n)*6"):
        net.copy_from(tmp_path / "toy.caffemodel")
    assert (net.params["conv"][0].data == before).all()


def test_what_is_not_loaded_is_said(tmp_path, caplog):
    toy().save(tmp_path / "toy.caffemodel")
    net = Net(TEXT.replace('name: "fc"', 'name: "fc_new"'), seed=1)
    net.copy_from(tmp_path / "toy.caffemodel")
    assert "Ignoring source layer fc" in caplog.text
    assert "Layer fc_new keeps its initial values" in caplog.text


def test_a_file_of_another_net_is_refused(tmp_path):
    toy().save(tmp_path / "toy.caffemodel")
    net = Net(TEXT.replace('name: "fc"', 'name: "f"').replace('"conv" type', '"c" type'))
    with pytest.raises(WeightsError, match="none of its 2 layers with weights is in the net"):
        net.copy_from(tmp_path / "toy.caffemodel")


def test_a_test_net_sees_the_train_nets_weights_change():
    train, test = toy(), toy(schema.TEST, seed=8)
    test.share_with(train)
    train.params["fc"][1].data[...] = 7
    assert (test.params["fc"][1].data == 7).all()


def test_a_shared_parameter_is_one_array_and_gets_both_gradients():
    share = 'param { name: "w" } param { name: "b" }'
    text = f"""
    layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 3 dim: 4 }} }} }}
    layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "y" {share}
      inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
    layer {{ name: "b" type: "InnerProduct" bottom: "y" top: "z" {share}
      inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
    layer {{ name: "l" type: "Reduction" bottom: "z" top: "l" loss_weight: 1 }}"""
    net = Net(text, phase=schema.TRAIN, seed=1, dtype=np.float64)
    assert len(net.learnable) == 2
    assert net.params["a"][0].data is not None
    assert np.shares_memory(net.params["a"][0].data, net.params["b"][0].data)
    net.blobs["x"].data[...] = np.random.default_rng(1).standard_normal((3, 4))
    net.clear_param_diffs()
    loss = net.forward_pass()
    net.backward_pass()
    gradient, step = net.params["b"][0].diff[1, 2].copy(), 1e-6
    net.params["a"][0].data[1, 2] += step
    assert gradient == pytest.approx((net.forward_pass() - loss) / step, abs=1e-4)


def test_loss_weights_scale_the_loss_and_its_gradient():
    net, scaled = fill(toy()), fill(Net(TEXT.replace('top: "loss"', 'top: "loss" loss_weight: 3'),
                                        phase=schema.TRAIN, seed=3))  # fmt: skip
    for each in (net, scaled):
        each.clear_param_diffs()
        each.forward_pass()
        each.backward_pass()
    assert scaled.loss == pytest.approx(3 * net.loss)
    np.testing.assert_allclose(
        scaled.params["conv"][0].diff, 3 * net.params["conv"][0].diff, rtol=1e-5, atol=1e-7
    )


def test_a_frozen_parameter_gets_no_gradient():
    net = fill(Net(TEXT.replace('top: "fc"\n', 'top: "fc" param { lr_mult: 0 }\n').replace(
        "force_backward: true", ""), phase=schema.TRAIN, seed=3))  # fmt: skip
    net.clear_param_diffs()
    net.forward_pass()
    net.backward_pass()
    assert not net.params["fc"][0].diff.any()
    assert net.params["fc"][1].diff.any()


def run_with_a_bad_label(net):
    """The CPU refuses it at once. A GPU makes the loss NaN, and then it is looked for."""
    assert np.isnan(net.forward_pass())
    diagnosis.refuse_bad_label(net.state, [net.streams.passes])


def test_a_label_out_of_range_names_value_and_layer():
    net = fill(toy())
    net.blobs["label"].data[2] = 12
    with pytest.raises(LabelError, match="label 2 of 'label' is 12(.|\n)*from 0 to 4: 'fc' has"):
        run_with_a_bad_label(net)


def test_the_record_of_a_bad_label_is_that_of_the_layer_which_gave_the_label():
    class Named(REGISTRY["Input"]):
        def record(self, item, ago=0):
            return f"item {item} of {self.name}"

    text = TEXT.replace(
        'top: "x" top: "label"\n  input_param { shape { dim: 4 dim: 2 dim: 6 dim: 5 } shape',
        'top: "x" input_param { shape { dim: 4 dim: 2 dim: 6 dim: 5 } } }\n'
        'layer { name: "labels" type: "Input" top: "label" input_param { shape',
    )
    net = fill(Net(text, schema.TRAIN, seed=3))
    for layer in net.layers[:2]:
        layer.__class__ = Named
    net.blobs["label"].data[3] = -1
    with pytest.raises(LabelError, match="item 3 of labels"):
        run_with_a_bad_label(net)


def test_the_first_bad_blob_is_named():
    net = fill(toy())
    net.forward_pass()
    assert net.first_bad() is None
    net.params["fc"][0].data[0, 0] = np.nan
    net.forward_pass()
    assert net.first_bad() == ("fc", "fc/0", "data")
    net.blobs["x"].data[0, 0, 0, 0] = np.inf
    assert net.first_bad() == ("in", "x", "data")


def test_callbacks_see_every_layer_in_order():
    net, seen = fill(toy()), []
    net.after_forward.append(lambda i: seen.append(net.layer_names[i]))
    net.before_backward.append(lambda i: seen.append("-" + net.layer_names[i]))
    net.forward_pass()
    net.backward_pass()
    assert seen[: len(net.layers)] == net.layer_names
    assert seen[len(net.layers) :][0] == "-loss"


def test_a_net_and_its_text_are_the_same_model(tmp_path):
    (tmp_path / "net.prototxt").write_text(TEXT)
    by_path = Net(tmp_path / "net.prototxt", seed=3)
    by_message = Net(prototxt.read_net(TEXT), seed=3)
    x = np.random.default_rng(0).standard_normal((4, 2, 6, 5))
    for net in (by_path, by_message):
        net.forward(x=x, label=np.zeros(4))
    assert by_path.loss == by_message.loss


def test_a_net_starts_with_different_random_numbers_each_time_unless_seeded():
    assert Net(TEXT).streams.seed != Net(TEXT).streams.seed


def test_random_layers_draw_anew_in_every_forward():
    text = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 64 } } }
    layer { name: "drop" type: "Dropout" bottom: "x" top: "y" }"""
    net = Net(text, "TRAIN", seed=1)
    first = net.forward(x=np.ones(64))["y"].copy()
    assert (net.forward(x=np.ones(64))["y"] != first).any()


def test_an_image_in_the_wrong_order_of_axes_is_refused():
    net = toy()
    with pytest.raises(UsageError, match=r"'x' was given the shape \(6, 5, 2\)"):
        net.forward(x=np.zeros((6, 5, 2)))
    net.forward(x=np.zeros((1, 2, 6, 5)), label=[0])
    net.forward(x=np.zeros((2, 6, 5)), label=3)  # only sizes of 1 are missing


def test_pycaffes_older_order_of_arguments_is_understood(tmp_path):
    toy().save(tmp_path / "toy.caffemodel")
    net = Net(TEXT, str(tmp_path / "toy.caffemodel"), minidl.TEST)
    assert (net.params["fc"][0].data == toy().params["fc"][0].data).all()
    assert net.layer_dict["fc"].blobs is net.params["fc"]
    assert Net(TEXT, "TRAIN", weights=None, stages=None).phase == schema.TRAIN


WRONG = {
    "phase": (dict(phase="TRIAN"), "phase is 'TRIAN'"),
    "phase number": (dict(phase=7), "phase is 7"),
    "dtype": (dict(dtype=np.float16), "dtype is float16"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG.keys())
def test_arguments_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Net(TEXT, **options)


def test_what_is_no_model_is_refused():
    with pytest.raises(UsageError, match="5 is not a net"):
        Net(5)


def test_the_nets_own_state_selects_layers_too():
    text = """state { stage: "deploy" level: 2 }
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }
    layer { name: "a" type: "Power" bottom: "x" top: "a" include { stage: "deploy" } }
    layer { name: "b" type: "Power" bottom: "x" top: "b" include { stage: "deploy" stage: "c" } }
    layer { name: "c" type: "Power" bottom: "x" top: "c" include { min_level: 2 } }"""
    assert Net(text).outputs == ["a", "c"]
    assert Net(text, stages="c", level=0).outputs == ["a", "b"]


LOSS_IN_PLACE = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "h"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "tanh" type: "TanH" bottom: "h" top: "h" LOSS }
MORE"""


@pytest.mark.parametrize(
    ("loss", "more"),
    [
        ("loss_weight: 1", ""),
        ("", """layer { name: "f" type: "Flatten" bottom: "h" top: "f" loss_weight: 1 }"""),
    ],
    ids=["in place", "a view"],
)
def test_a_loss_that_shares_its_gradients_memory_is_seeded_each_time(loss, more):
    net = Net(LOSS_IN_PLACE.replace("LOSS", loss).replace("MORE", more), schema.TRAIN, seed=1)
    net.blobs["x"].data[...] = np.random.default_rng(0).standard_normal((2, 3))
    sums = []
    for _ in range(3):
        net.clear_param_diffs()
        net.forward_pass()
        net.backward_pass()
        sums.append(float(net.params["fc"][0].diff.sum()))
    assert sums[0] == sums[1] == sums[2] != 0


def test_a_loss_that_is_read_gets_its_own_gradient_and_its_readers():
    text = """force_backward: true
    layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "y" top: "l" }
    layer { name: "p" type: "Power" bottom: "l" top: "l2" power_param { scale: 2 } loss_weight: 1 }
    """
    net = Net(text, schema.TRAIN)
    net.forward(x=np.ones((2, 3)), y=np.zeros((2, 3)))
    assert net.loss == 1.5 * 3
    np.testing.assert_allclose(net.backward()["x"], 0.5 * 3)


def test_two_losses_without_tops_both_count_after_a_reshape():
    text = """layer { name: "in" type: "Input" top: "x" top: "y"
      input_param { shape { dim: 4 dim: 3 } } }
    layer { name: "a" type: "EuclideanLoss" bottom: "x" bottom: "y" }
    layer { name: "p" type: "Power" bottom: "x" top: "z" power_param { scale: 3 } }
    layer { name: "b" type: "EuclideanLoss" bottom: "z" bottom: "y" }"""
    net = Net(text, schema.TRAIN)
    for n in (4, 2):
        net.forward(x=np.ones((n, 3)), y=np.zeros((n, 3)))
        assert net.loss == 1.5 + 13.5


def test_assigning_to_data_copies_so_that_views_follow():
    text = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "f" type: "Flatten" bottom: "x" top: "f" }
    layer { name: "p" type: "Power" bottom: "f" top: "y" }"""
    net = Net(text)
    net.blobs["x"].data = np.full((2, 3), 5.0)
    assert (net.forward()["y"] == 5).all()
    with pytest.raises(UsageError, match=r"'x' was assigned an array of shape \(3, 2\)"):
        net.blobs["x"].data = np.zeros((3, 2))


def test_sharing_between_number_types_is_refused():
    with pytest.raises(WeightsError, match="is of float64"):
        toy(dtype=np.float64).share_with(toy())


def test_a_gradient_that_is_given_takes_the_place_of_the_loss_weight():
    net = Net(LOSS_IN_PLACE.replace("LOSS", "loss_weight: 1").replace("MORE", ""), "TRAIN", seed=1)
    net.forward(x=np.random.default_rng(0).standard_normal((2, 3)))

    def gradient(**given):
        net.clear_param_diffs()
        net.backward(**given)
        return net.params["fc"][0].diff.copy()

    np.testing.assert_allclose(gradient(h=np.full((2, 3), 3.0)), 3 * gradient(), rtol=1e-6)


def test_backward_in_two_parts_is_backward():
    net = Net(LOSS_IN_PLACE.replace("LOSS", "loss_weight: 1").replace("MORE", ""), "TRAIN", seed=1)
    net.forward(x=np.random.default_rng(0).standard_normal((2, 3)))
    net.clear_param_diffs()
    net.backward()
    whole = net.params["fc"][0].diff.copy()
    net.clear_param_diffs()
    net.backward(end="tanh")
    net.backward(start="fc")
    assert whole.any()
    assert (net.params["fc"][0].diff == whole).all()


@pytest.mark.parametrize("share", [False, True])
def test_a_net_that_nobody_holds_is_freed_at_once(share):
    """Its memory may be most of a GPU's: the garbage collector would be too late."""
    gc.collect()
    gc.disable()
    try:
        net = fill(toy(share=share))
        for _ in range(3):
            net.training_pass()
        gone = weakref.ref(net)
        del net
        assert gone() is None
    finally:
        gc.enable()


def test_a_net_without_a_layer_in_this_phase_is_empty_and_runs():
    """As pycaffe's nets whose stages select nothing."""
    text = 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" include { phase: TEST } }'
    net = Net(text, "TRAIN")
    assert not net.blobs and not net.layers
    assert net.forward() == net.backward() == {}
    assert net.forward_pass() == 0


@pytest.mark.parametrize(
    "phase, learns, shared", [("TEST", True, False), ("TRAIN", True, True), ("TEST", False, True)]
)
def test_share_none_takes_no_backward_away(phase, learns, shared):
    text = TEXT if learns else TEXT[: TEXT.index('layer { name: "acc')].replace("true", "false", 1)
    net = Net(text, phase, seed=3, share=None)
    assert net.share is shared
    if learns:
        net.forward_pass()
        net.backward_pass()


def test_an_input_of_another_shape_is_computed_in_that_shape():
    net = Net(
        """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "square" type: "Power" bottom: "x" top: "y" power_param { power: 2 } }"""
    )
    for shape in ((2, 3), (4, 3), (1, 5)):
        x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        np.testing.assert_array_equal(net.forward(x=x)["y"], x * x)
