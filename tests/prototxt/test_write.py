"""Writing text, and getting back what was written."""

import pytest
from google.protobuf import text_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.prototxt import clear_origins, read_message, to_text


def test_the_text_is_as_caffe_prints_it():
    net = schema.NetParameter(name="n")
    layer = net.layer.add(name="c", type="Convolution", bottom=["caf\u00e9"], top=["b"])
    layer.convolution_param.kernel_size.extend([3, 5])
    layer.convolution_param.weight_filler.std = 0.1
    layer.param.add(lr_mult=1e-8)
    layer.param.add(lr_mult=16777216)
    layer.pooling_param.pool = schema.PoolingParameter.AVE
    assert to_text(net) == (
        'name: "n"\nlayer {\n  name: "c"\n  type: "Convolution"\n'
        '  bottom: "caf\u00e9"\n  top: "b"\n'
        "  param {\n    lr_mult: 1e-08\n  }\n  param {\n    lr_mult: 16777216\n  }\n"
        "  convolution_param {\n    kernel_size: 3\n    kernel_size: 5\n"
        "    weight_filler {\n      std: 0.1\n    }\n  }\n"
        "  pooling_param {\n    pool: AVE\n  }\n}\n"
    )


@pytest.mark.parametrize(
    "text, cls",
    [
        ("name: 'n' layer { name: 'a' pooling_param { } }", schema.NetParameter),
        ("layers { layer { name: 'a' } }", schema.NetParameter),
        ("net_param { layer { name: 'a' } } test_net_param { }", schema.SolverParameter),
        ("train_net_param { layers { layer { } } }", schema.SolverParameter),
    ],
)
def test_origins_are_never_written(text, cls):
    message = read_message(text, cls)
    before = message.SerializeToString(deterministic=True)
    written = to_text(message)
    assert "minidl_origin" not in written and "<text>" not in written
    assert message.SerializeToString(deterministic=True) == before, "the message is left alone"
    clear_origins(message)
    assert b"<text>" not in message.SerializeToString()
    assert message == text_format.Parse(text, cls()) == text_format.Parse(written, cls())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.text(st.characters(exclude_categories=["Cs"])),
    weights=st.lists(st.floats(width=32, allow_nan=False)),
    dims=st.lists(st.integers(-(2**31), 2**31 - 1)),
    data=st.binary(),
)
def test_what_is_written_is_read_back(name, weights, dims, data):
    net = schema.NetParameter(name=name, input_dim=dims, input=[name])
    net.layer.add(loss_weight=weights, name=name)
    back = read_message(to_text(net), schema.NetParameter)
    clear_origins(back)
    assert back == net
    datum = schema.Datum(data=data)
    assert read_message(to_text(datum), schema.Datum) == datum
