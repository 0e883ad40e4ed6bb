"""Input: its shapes, and that it leaves alone what is there."""

import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import bind, build


def test_input_takes_one_shape_for_all_tops_or_one_for_each():
    one = build("Input", tops=2, shape=[dict(dim=[2, 3])])
    assert one.top_shapes() == ((2, 3), (2, 3))
    each = build("Input", tops=2, shape=[dict(dim=[2, 3]), dict(dim=[])])
    assert each.top_shapes() == ((2, 3), ())


def test_input_leaves_what_is_there():
    layer = build("Input", shape=[dict(dim=[4])])
    _, top = bind(layer)
    top[0].data[...] = [3, 1, 4, 1]
    layer.forward([], top)
    assert top[0].data.tolist() == [3, 1, 4, 1]


WRONG_INPUTS = {
    "no shape": (dict(), "shape is missing"),
    "two shapes for three tops": (
        dict(tops=3, shape=[dict(dim=[1]), dict(dim=[2])]),
        "2 shape entries for 3 tops",
    ),
    "a negative size": (dict(shape=[dict(dim=[2, -3])]), r"\(2, -3\) has a negative size"),
    "a bottom": (dict(bottoms=1, shape=[dict(dim=[1])]), "has 1 bottom"),
}


@pytest.mark.parametrize("keywords, message", WRONG_INPUTS.values(), ids=WRONG_INPUTS.keys())
def test_input_refuses(keywords, message):
    with pytest.raises(LayerConfigError, match=f"Input layer 'in': .*{message}"):
        build("Input", name="in", **keywords)
