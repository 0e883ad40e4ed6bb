"""Single elements by definition, against the layers' array code."""

import numpy as np
from hypothesis import assume, given, settings

from minidl.engines.cudnn.convolution import plain_problem
from minidl.engines.request import Declined
from minidl.profile import samples
from tests.engines.cudnn.test_convolution import convolutions
from tests.engines.onednn.parity import truth


@given(convolutions())
@settings(max_examples=40)
def test_every_element_is_the_layers(drawn):
    """Of a transposed convolution, too, whose image is its top."""
    kind, fields, shape = drawn
    made = truth(kind, shape, **{**fields, "bias_term": False})
    problem = plain_problem(made.op, made.request())
    assume(not isinstance(problem, Declined))
    if made.op.transposed:
        of = {"x": made.dy, "w": made.params["weight"], "y": made.x}
        results = {"x": made.y, "w": made.gradients["weight"], "y": made.dx}
    else:
        of = {"x": made.x, "w": made.params["weight"], "y": made.dy}
        results = {"x": made.dx, "w": made.gradients["weight"], "y": made.y}
    of = {name: array.reshape(getattr(problem, name)) for name, array in of.items()}
    for name, array in results.items():
        expected = array.reshape(getattr(problem, name))
        for place in samples.places(expected.shape, 5, np.random.default_rng(0)):
            found = samples.element(problem, of, name, place)
            np.testing.assert_allclose(found, expected[place], rtol=1e-9, atol=1e-9)


def test_places_are_in_the_array_and_hold_both_ends():
    drawn = samples.places((2, 3, 4), 50, np.random.default_rng(0))
    assert {(0, 0, 0), (1, 2, 3)} < set(drawn)
    assert len(set(drawn)) == len(drawn) > 10
    assert all(np.ravel_multi_index(place, (2, 3, 4)) >= 0 for place in drawn)
