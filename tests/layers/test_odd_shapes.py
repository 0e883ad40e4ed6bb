"""Bottoms of odd shapes: every layer computes something, or refuses them in words."""

import contextlib
import warnings

import pytest

from minidl import schema
from minidl.errors import MinidlError
from minidl.layers.base import REGISTRY
from minidl.net import Net
from minidl.testing.harness import make_spec
from tests.layers.examples import EXAMPLES

NOT_OF_A_SPEC = ("phase", "dtype", "seed", "device", "allow_python")
CASES = [
    pytest.param(type, shapes, keywords, id=f"{type} {label}".strip())
    for type, examples in EXAMPLES.items()
    for label, (shapes, keywords) in examples.items()
    if type in REGISTRY and shapes
]


def odd(shapes):
    """Shapes that the layer was not made for: empty, with axes too few or too many, of ones."""
    yield tuple((0, *shape[1:]) for shape in shapes)
    yield tuple((0,) * len(shape) for shape in shapes)
    yield tuple((1,) * 65 for _ in shapes)
    for i, shape in enumerate(shapes):
        before, after = shapes[:i], shapes[i + 1 :]
        changed = [(), shape[:1], shape[:-1], (*shape, 2), (1,) * 32, (1,) * 33]
        changed += [(*shape[:a], n, *shape[a + 1 :]) for a in range(len(shape)) for n in (0, 1)]
        yield from ((*before, other, *after) for other in changed)


def net(type, shapes, keywords):
    param = schema.NetParameter(name="n", force_backward=True)
    for i, shape in enumerate(shapes):
        layer = param.layer.add(name=f"in{i}", type="Input", top=[f"x{i}"])
        layer.input_param.shape.add().dim.extend(shape)
    spec = {k: v for k, v in keywords.items() if k not in NOT_OF_A_SPEC}
    param.layer.add().CopyFrom(make_spec(type, **spec))
    return Net(param, keywords.get("phase", schema.TRAIN))


@pytest.mark.parametrize("type, shapes, keywords", CASES)
def test_odd_bottoms_are_computed_or_refused(type, shapes, keywords):
    for changed in odd(shapes):
        with contextlib.suppress(MinidlError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # means of nothing are NaN
            try:
                with net(type, changed, keywords) as made:
                    made.forward()
                    made.backward()
            except MinidlError:
                raise
            except Exception as error:
                raise AssertionError(f"bottoms {changed}: {error!r}") from error


@pytest.mark.parametrize("axes", [33, 65, 100])
def test_more_axes_than_caffes_are_refused(axes):
    with pytest.raises(MinidlError, match=rf"'x0' would have {axes} axes\n  expected: at most 32"):
        net("ReLU", [(1,) * axes], {})
