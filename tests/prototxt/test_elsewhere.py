"""Layer types of other Caffes are named with where they are known from."""

import pytest

from minidl import schema
from minidl.errors import PrototxtError, UnknownLayerTypeError
from minidl.layers.base import REGISTRY
from minidl.net import Net
from minidl.prototxt import read_net, upgrade_v1
from minidl.prototxt.elsewhere import FIELDS, TYPES, type_hint


def test_the_table_has_none_that_minidl_has():
    assert not set(TYPES) & {*REGISTRY, *upgrade_v1.TYPES}
    assert not set(FIELDS) & set(schema.LayerParameter.DESCRIPTOR.fields_by_name)
    assert set(FIELDS.values()) <= set(TYPES)


def test_a_type_that_nobody_knows_gets_the_nearest_name():
    assert type_hint("Convolutoin", REGISTRY) == "did you mean 'Convolution'?"
    assert type_hint("Zzz", REGISTRY).startswith("--import MODULE")


@pytest.mark.parametrize(
    "text, message",
    [
        ('layer { name: "c" type: "Correlation" top: "y" }', "flownet2 has it"),
        ('layer { name: "c" type: "LocallyConnected" top: "y" }', "it is Local here"),
    ],
)
def test_an_unknown_type_is_said_to_be_of_a_fork(text, message):
    with pytest.raises(UnknownLayerTypeError, match=f"layer 'c'(.|\n)*fix: .*{message}"):
        Net(text, schema.TEST)


@pytest.mark.parametrize(
    "text, message",
    [
        (
            'layer { name: "c" type: "Correlation" correlation_param { pad: 20 } }',
            "unknown type 'Correlation'\n  fix: .*flownet2 has it(.|\n)*correlation_param'\n"
            "  fix: it is a field of Correlation",
        ),
        (
            "layers { name: 'c' type: SPATIAL_PYRAMID_POOLING_DATA }",
            "type is SPATIAL_PYRAMID_POOLING_DATA(.|\n)*fix: .*pull request 560.*HDF5_DATA",
        ),
    ],
)
def test_its_field_and_its_old_name_say_so_too(text, message):
    with pytest.raises(PrototxtError, match=message):
        read_net(text + "\n")
