"""NetSpec against the zoo's prototxt, pycaffe's naming rules, and its refusals."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import prototxt, schema
from minidl.errors import GraphError, Several, UsageError
from minidl.prototxt.assign import assign
from minidl.spec import NetSpec, to_proto
from minidl.spec import layers as L
from minidl.spec import params as P
from tests.support import ROOT

LEARN = [dict(lr_mult=1), dict(lr_mult=2)]
XAVIER = dict(type="xavier")


def data(phase, batch_size, **keywords):
    source = "train" if phase == minidl.TRAIN else "test"
    return L.Data(
        name="mnist",
        source=Path(f"data/mnist/{source}_lmdb"),
        backend="LMDB",
        batch_size=batch_size,
        transform_param=dict(scale=1 / 256),
        include=dict(phase=phase),
        **keywords,
    )


def lenet():
    n = NetSpec()
    n.data, n.label = data(minidl.TRAIN, 64, ntop=2)
    n.test = data(minidl.TEST, 100, ntop=0, top=["data", "label"])
    conv = dict(kernel_size=5, weight_filler=XAVIER, param=LEARN)
    n.conv1 = L.Convolution(n.data, num_output=20, **conv)
    n.pool1 = L.Pooling(n.conv1, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    n.conv2 = L.Convolution(n.pool1, num_output=50, **conv)
    n.pool2 = L.Pooling(n.conv2, pool="MAX", kernel_size=2, stride=2)
    n.ip1 = L.InnerProduct(n.pool2, num_output=500, weight_filler=XAVIER, param=LEARN)
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.ip2 = L.InnerProduct(n.relu1, num_output=10, weight_filler=XAVIER, param=LEARN)
    n.accuracy = L.Accuracy(n.ip2, n.label, include=dict(phase="TEST"))
    n.loss = L.SoftmaxWithLoss(n.ip2, n.label)
    return n


def layer(top_or_function):
    """The last layer of the net that computes a top."""
    return to_proto(top_or_function).layer[-1]


def tiny():
    return L.Input(shape=dict(dim=[2, 3]))


def test_lenet_equals_the_zoos_layer_by_layer():
    theirs = prototxt.read_net(ROOT / "zoo/lenet/lenet_train_test.prototxt")
    prototxt.clear_origins(theirs)
    ours = lenet().to_proto()
    assert [x.name for x in ours.layer] == [x.name for x in theirs.layer]
    for mine, zoos in zip(ours.layer, theirs.layer, strict=True):
        mine.ClearField("relu_param"), zoos.ClearField("relu_param")  # empty in one, absent in one
        assert prototxt.to_text(mine) == prototxt.to_text(zoos)


def test_the_text_of_a_spec_reads_back_as_the_same_net():
    net = lenet().to_proto()
    back = prototxt.read_net(prototxt.to_text(net))
    prototxt.clear_origins(back)
    assert back == net


def test_net_runs_a_spec():
    n = NetSpec()
    n.x = tiny()
    n.y = L.Power(n.x, scale=3, shift=-1)
    net = minidl.Net(n.to_proto())
    x = np.array([[1, -2, 3], [0.5, 0, -1]], np.float32)
    np.testing.assert_allclose(net.forward(x=x)["y"], 3 * x - 1)


def test_unnamed_layers_are_numbered_by_type_and_passed_over_names_that_are_taken():
    n = NetSpec()
    n.Power2 = tiny()
    n.out = L.Power(L.Power(L.Power(n.Power2)))
    assert [x.name for x in n.to_proto().layer] == ["Power2", "Power1", "Power3", "out"]
    assert [x.bottom[0] for x in n.to_proto().layer[1:]] == ["Power2", "Power1", "Power3"]


def test_to_proto_of_tops_names_everything_and_makes_shared_layers_once():
    x = tiny()
    a, b = L.ReLU(x), L.Sigmoid(x)
    assert [z.name for z in to_proto(b, a).layer] == ["Input1", "Sigmoid1", "ReLU1"]
    assert [z.name for z in a.to_proto().layer] == ["Input1", "ReLU1"]


def test_bottoms_are_made_from_left_to_right():
    x = tiny()
    net = to_proto(L.Concat(L.ReLU(x), L.Sigmoid(x)))
    assert [z.name for z in net.layer] == ["Input1", "ReLU1", "Sigmoid1", "Concat1"]
    assert list(net.layer[-1].bottom) == ["ReLU1", "Sigmoid1"]


def test_tops_without_a_name_count_on_and_the_first_names_the_layer():
    one, two = L.Slice(tiny(), ntop=2, slice_point=[1])
    assert list(layer(two).top) == ["Slice1", "Slice2"]
    assert layer(one).name == "Slice1"


def test_in_place_takes_the_bottoms_name_for_what_follows():
    n = NetSpec()
    n.x = tiny()
    n.y = L.Power(n.x)
    n.relu = L.ReLU(n.y, in_place=True)
    n.drop = L.Dropout(n.relu, in_place=True)
    n.z = L.Power(n.drop)
    relu, drop, z = n.to_proto().layer[2:]
    assert (relu.name, *relu.bottom, *relu.top) == ("relu", "y", "y")
    assert (drop.name, *drop.bottom, *drop.top) == ("drop", "y", "y")
    assert list(z.bottom) == ["y"]


def test_a_layer_without_tops_is_named_by_its_attribute_or_its_type():
    n = NetSpec()
    n.x = tiny()
    n.quiet = L.Silence(n.x, ntop=0)
    assert (n.to_proto().layer[1].name, list(n.to_proto().layer[1].top)) == ("quiet", [])
    assert layer(L.Silence(tiny(), ntop=0)).name == "Silence1"


def test_name_is_the_layers_and_not_the_blobs():
    n = NetSpec()
    n.x = L.Input(name="source", shape=[dict(dim=[2])])
    assert (n.to_proto().layer[0].name, n.to_proto().layer[0].top[0]) == ("source", "x")


def test_keywords_find_the_field_they_belong_to():
    n = L.Convolution(
        tiny(),
        num_output=np.int64(4),
        kernel_size=np.array([3, 5]),
        bias_term=False,
        engine="CAFFE",
        weight_filler=dict(type="xavier", variance_norm=P.Filler.FAN_OUT),
        loss_weight=0.5,
        propagate_down=[True],
        phase="TEST",
        param=[dict(lr_mult=0.5, share_mode="PERMISSIVE"), schema.ParamSpec(name="b")],
    )
    made, conv = layer(n), layer(n).convolution_param
    assert (conv.num_output, list(conv.kernel_size), conv.bias_term) == (4, [3, 5], False)
    assert (conv.engine, conv.weight_filler.variance_norm) == (conv.CAFFE, 1)
    assert (made.loss_weight[0], made.propagate_down[0], made.phase) == (0.5, True, minidl.TEST)
    assert made.param[0].share_mode == schema.ParamSpec.PERMISSIVE and made.param[1].name == "b"
    assert layer(L.Pooling(tiny(), pooling_param=dict(pool="AVE"))).pooling_param.pool == 1


def test_items_delete_update_and_contain():
    n = NetSpec()
    n["a/b"] = tiny()
    n.y = L.Power(n["a/b"], power=2, param=[dict(lr_mult=1)])
    n.update("y", dict(scale=3, param=[dict(lr_mult=7)]))
    made = n.to_proto().layer[1]
    assert (made.bottom[0], made.power_param.power, made.power_param.scale) == ("a/b", 2, 3)
    assert [p.lr_mult for p in made.param] == [7]
    assert n.keys() == ["a/b", "y"] and "y" in n
    del n.y
    assert "y" not in n and not hasattr(n, "y")
    assert copy.copy(n).keys() == ["a/b"]


def test_a_net_deeper_than_pythons_stack():
    top = tiny()
    for _ in range(2000):
        top = L.Power(top)
    assert to_proto(top).layer[-1].name == "Power2000"


def test_the_functions_carry_the_layers_manual_page():
    assert "local_size" in L.LRN.__doc__ and "LRN" in dir(L)


def spec(**tops):
    n = NetSpec()
    for name, top in tops.items():
        n[name] = top
    return n


def test_types_of_other_programs_are_taken_as_they_stand():
    n = NetSpec()
    n.data, n.label = L.TheirData(ntop=2, python_param=dict(module="m"), include=dict(phase="TEST"))
    n.out = L.Theirs(n.data, name="mine", loss_weight=2)
    data, mine = n.to_proto().layer
    assert (data.type, list(data.top), data.python_param.module) == (
        "TheirData", ["data", "label"], "m",
    )  # fmt: skip
    assert (mine.type, list(mine.bottom), list(mine.loss_weight)) == ("Theirs", ["data"], [2])
    with pytest.raises(GraphError, match="unknown type 'Theirs'"):
        minidl.Net(n.to_proto())


REFUSED = {
    "type": (
        lambda: L.Convolutoin(tiny(), num_output=3),
        r"no layer type 'Convolutoin', so no layer has its num_output(.|\n)*mean 'Convolution'",
    ),
    "field": (
        lambda: L.Convolution(tiny(), kernal_size=3),
        r"Convolution layer: has no field 'kernal_size'(.|\n)*did you mean 'kernel_size'",
    ),
    "message": (lambda: L.ReLU(tiny(), powr_param={}), "has no field 'powr_param'"),
    "inner field": (
        lambda: L.Convolution(tiny(), name="c", weight_filler=dict(tipe="xavier")),
        "layer 'c': weight_filler has no field 'tipe'\n  fix: did you mean 'type'",
    ),
    "enum": (lambda: L.Pooling(tiny(), pool="MAXX"), r"pool is 'MAXX'(.|\n)*AVE(.|\n)*'MAX'\?"),
    "enum number": (lambda: L.Pooling(tiny(), pool=9), "pool is 9"),
    "text for a number": (lambda: L.LRN(tiny(), alpha="big"), "alpha is 'big'\n.*a number"),
    "fraction": (lambda: L.InnerProduct(tiny(), num_output=1.5), "num_output is 1.5\n.*integer"),
    "negative": (lambda: L.InnerProduct(tiny(), num_output=-1), "num_output is -1\n.*from 0"),
    "none": (lambda: L.Dropout(tiny(), dropout_ratio=None), "dropout_ratio is None"),
    "list": (lambda: L.Power(tiny(), power=[1, 2]), r"power is \[1, 2\]\n.*one value"),
    "no dict": (lambda: L.Data(transform_param=3), "transform_param is 3\n.*dict"),
    "list item": (lambda: L.ReLU(tiny(), param=[dict(lr_mult="x")]), r"param\.lr_mult is 'x'"),
    "bottom text": (lambda: L.ReLU("data"), "bottom 0 is 'data'(.|\n)*bottom='data'"),
    "bottom tuple": (lambda: L.ReLU(L.Slice(tiny(), ntop=2)), "bottom 0 is a tuple of 2 tops"),
    "bottom function": (lambda: L.ReLU(L.Silence(tiny(), ntop=0)), "Silence layer without tops"),
    "ntop": (lambda: L.ReLU(tiny(), ntop=-1), "ntop is -1"),
    "in place, nothing": (lambda: L.Input(in_place=True), "in_place with 0 bottoms"),
    "type keyword": (lambda: L.ReLU(tiny(), type="TanH"), "type='TanH'"),
    "top": (lambda: L.ReLU(tiny(), top="y"), "top= names"),
    "bottom": (lambda: L.ReLU(tiny(), bottom="y"), "bottom= is given together"),
    "two tops, one name": (lambda: spec(x=L.Slice(tiny(), ntop=2)), "2 tops(.|\n)*n.x1, n.x2 ="),
    "no top": (lambda: spec(x=3), "n.x is given 3"),
    "absent top": (lambda: spec(conv1=tiny()).conv, "no top 'conv'\n.*'conv1'"),
    "own name": (lambda: setattr(NetSpec(), "to_proto", tiny()), r"n\[\"to_proto\"\]"),
    "constant": (lambda: P.Pooling.MAXIMUM, r"params.Pooling: .*'MAXIMUM'\n.*MAX, AVE"),
    "parameters": (lambda: P.Poolin, "did you mean 'Pooling'"),
    "to_proto": (lambda: to_proto(3), "to_proto is given 3"),
}


@pytest.mark.parametrize("make, message", REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_with(make, message):
    with pytest.raises(UsageError) as error:
        make()
    assert re.search(message, str(error.value))


def test_all_that_is_wrong_with_a_layer_is_said_at_once():
    with pytest.raises(UsageError) as error:
        L.Convolution(tiny(), pda=1, stride="x", bias_filler=dict(valu=1))
    assert isinstance(error.value, Several) and len(error.value.errors) == 3


def test_assign_takes_messages_scalars_for_lists_and_empty_dicts():
    made = schema.LayerParameter()
    assign(made, dict(relu_param={}, loss_weight=(1, 2), top="y", exclude=dict(stage="s")))
    assert made.HasField("relu_param") and list(made.loss_weight) == [1, 2]
    assert list(made.top) == ["y"] and made.exclude[0].stage[0] == "s"


def test_a_message_of_the_layer_is_not_looked_for_in_its_other_messages():
    """data_param once had a transform_param of its own, and still reads."""
    data = layer(L.Data(source="s", transform_param=dict(scale=0.5, mirror=True)))
    assert data.transform_param.mirror and not data.data_param.HasField("transform_param")


def test_the_data_layer_of_ssd_is_written_as_its_programs_write_it():
    resize = dict(
        prob=1,
        resize_mode=P.Resize.WARP,
        height=300,
        width=300,
        interp_mode=[P.Resize.LINEAR, P.Resize.LANCZOS4],
    )
    emit = dict(emit_type=schema.EmitConstraint.CENTER)
    sampler = dict(sampler=dict(min_scale=0.3), max_trials=50, max_sample=1)
    n = NetSpec()
    n.data, n.label = L.AnnotatedData(
        ntop=2,
        annotated_data_param=dict(label_map_file="map", batch_sampler=[{}, sampler]),
        data_param=dict(batch_size=32, backend=P.Data.LMDB, source="train_lmdb"),
        transform_param=dict(mirror=True, resize_param=resize, emit_constraint=emit),
    )
    n.eval = L.DetectionEvaluate(
        n.data, n.label, detection_evaluate_param=dict(num_classes=21, evaluate_difficult_gt=False)
    )
    text = prototxt.to_text(n.to_proto())
    for line in ("resize_mode: WARP", "interp_mode: LANCZOS4", "max_trials: 50", "num_classes: 21"):
        assert line in text
    again = prototxt.read_net(text).layer[0].annotated_data_param
    assert [one.max_trials for one in again.batch_sampler] == [100, 50]
    assert n.to_proto().layer[0].transform_param.emit_constraint.HasField("emit_type")
