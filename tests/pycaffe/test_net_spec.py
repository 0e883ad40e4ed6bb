"""caffe.net_spec's helpers."""

from minidl import schema
from minidl.pycaffe.net_spec import Layers, Parameters, assign_proto, param_name_dict


def test_names_of_parameter_messages_lead_to_fields():
    names = param_name_dict()
    assert names["Convolution"] == "convolution" and names["InnerProduct"] == "inner_product"
    for message, field in names.items():
        found = schema.LayerParameter.DESCRIPTOR.fields_by_name[f"{field}_param"]
        assert found.message_type.name in (message, f"{message}Parameter")


def test_plain_values_become_fields():
    layer = schema.LayerParameter()
    assign_proto(layer, "param", [dict(lr_mult=1), dict(lr_mult=2)])
    assign_proto(layer, "top", "one")
    assign_proto(layer, "pooling_param", dict(kernel_size=3))
    assert [param.lr_mult for param in layer.param] == [1, 2]
    assert (list(layer.top), layer.pooling_param.kernel_size) == (["one"], 3)


def test_further_pseudo_modules_may_be_made():
    assert Parameters().Pooling.AVE == 1
    assert Layers().ReLU(Layers().Input()).fn.type_name == "ReLU"
