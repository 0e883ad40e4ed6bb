"""What is refused before any layer is built."""

import pytest

from minidl import schema
from minidl.errors import PrototxtError
from minidl.prototxt import read_message, read_net, validate_net, where

REFUSED = {
    "name: 'a'": "net.prototxt:2: layer 'a': the layer has no type",
    "type: 'R' include { } exclude { }": "has both include and exclude",
    "type: 'R' bottom: 'x' bottom: ''": "bottom 1 has an empty name",
    "type: 'R' top: ''": "top 0 has an empty name",
    "type: 'R' top: 'a' top: 'b' loss_weight: 1": "the layer has 1 loss_weight for 2 tops",
    "type: 'R' top: 'a' loss_weight: [1, 2]": "the layer has 2 loss_weight for 1 top",
    "type: 'R' loss_weight: [1, 2]": "the layer has 2 loss_weight for 1 top",
    "type: 'R' bottom: 'a' bottom: 'b' propagate_down: true": "1 propagate_down for 2 bottoms",
    "type: 'R' propagate_down: true": "1 propagate_down for 0 bottoms",
    "type: 'R' transform_param { mean_file: 'm' mean_value: 3 }": "both mean_file and mean_value",
    "type: 'R' top: 'a' loss_weight: nan": "loss_weight is nan\n  expected: a finite number",
    "type: 'R' param { } param { lr_mult: -inf }": "param[1].lr_mult is -inf",
    "type: 'R' lrn_param { alpha: 1e39 }": "lrn_param.alpha is inf",
    "type: 'R' transform_param { mean_value: [1, nan] }": "transform_param.mean_value[1] is nan",
    "type: 'R' scale_param { filler { value: inf } }": "scale_param.filler.value is inf",
    "type: 'R' clip_param { min: nan max: inf }": "clip_param.min is nan",
    "type: 'R' transform_param { force_color: true force_gray: true }": "color and force_gray",
}


def net(text):
    return read_message(text, schema.NetParameter, "net.prototxt")


@pytest.mark.parametrize("inside, found", REFUSED.items(), ids=REFUSED.keys())
def test_a_layer_that_makes_no_sense_is_refused(inside, found):
    with pytest.raises(PrototxtError) as caught:
        validate_net(net(f"name: 'n'\nlayer {{\n {inside} }}\nlayer {{ type: 'Fine' }}"))
    assert found in str(caught.value) and "Fine" not in str(caught.value)
    assert str(caught.value).startswith("net.prototxt:")


def test_all_layers_are_checked_at_once():
    with pytest.raises(PrototxtError) as caught:
        validate_net(net("layer { name: 'a' }\nlayer {\n type: 'R' name: 'b'\n top: ''\n}"))
    assert str(caught.value).splitlines() == [
        "net.prototxt:1: layer 'a': the layer has no type",
        '  expected: type: "Convolution" or another',
        "net.prototxt:4: R layer 'b': top 0 has an empty name",
    ]


def test_what_makes_sense_passes():
    validate_net(
        net(
            """layer { type: 'A' top: 'x' top: 'y' loss_weight: 0 loss_weight: 2
                       include { phase: TRAIN } include { stage: 's' } }
            layer { type: 'B' bottom: 'x' bottom: 'y' propagate_down: [true, false] loss_weight: 1 }
            layer { type: 'C' exclude { } transform_param { mean_value: 1 force_gray: true } }"""
        )
    )


def test_an_empty_net_and_an_old_one_are_refused():
    with pytest.raises(PrototxtError, match=r"^net.prototxt(.|\n)*no layers"):
        validate_net(net("name: 'n'"))
    for text in ("layers { type: RELU }", "input: 'a'"):
        with pytest.raises(PrototxtError, match=r"old form(.|\n)*upgrade_net"):
            validate_net(net(text))
    validate_net(read_net("layers { type: RELU }"))


def test_a_required_field_missing_in_a_binary_file_is_refused():
    message = schema.NetParameter()
    message.layer.add(name="c", type="Clip").clip_param.min = 0
    with pytest.raises(PrototxtError, match=r"Clip layer 'c': clip_param\.max is missing"):
        validate_net(message)


def test_where_is_as_much_as_is_known():
    layer = net("name: 'n'\nlayer { name: 'a'\n type: 'R'\n top: 'x' }").layer[0]
    assert where(layer) == "net.prototxt:2: R layer 'a'"
    assert where(layer, "top") == "net.prototxt:4: R layer 'a'"
    assert where(layer, "bottom") == "net.prototxt:2: R layer 'a'"
    assert where(schema.LayerParameter(name="a")) == "layer 'a'"
    assert where(schema.LayerParameter(type="R")) == "R layer"
    assert where(schema.NetParameter()) == "" == where(schema.LayerParameter())
    assert where(net("\nname: 'n'"), "name") == "net.prototxt:2"


def test_every_float_of_every_layer_has_to_be_a_number():
    for holder in schema.LayerParameter.DESCRIPTOR.fields:
        if holder.message_type is None or holder.name in ("blobs", "minidl_origin"):
            continue
        for field in holder.message_type.fields:
            if field.cpp_type not in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
                continue
            layer = schema.LayerParameter(name="a", type="R", top=["a"])
            inner = getattr(layer, holder.name)
            inner = inner.add() if hasattr(inner, "add") else inner
            values = getattr(inner, field.name)
            if hasattr(values, "append"):
                values.append(float("nan"))
            else:
                setattr(inner, field.name, float("nan"))
            with pytest.raises(PrototxtError, match=rf"{holder.name}\.{field.name} is nan"):
                validate_net(schema.NetParameter(layer=[layer]))


def test_a_limit_may_be_infinite_and_weights_are_not_looked_at():
    clip = net("layer { type: 'Clip' clip_param { min: -inf max: inf } }")
    clip.layer[0].blobs.add().data.append(float("nan"))
    validate_net(clip)
