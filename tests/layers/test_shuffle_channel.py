"""ShuffleChannel: channel after channel by the formula; what is refused."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run


@pytest.mark.parametrize("group", [1, 2, 3, 6])
def test_channels_of_all_groups_take_turns(group):
    x = np.arange(2.0 * 6 * 2).reshape(2, 6, 2)
    layer = build("ShuffleChannel", group=group)
    bottom, (y,) = run(layer, x)
    for i in range(group):
        for j in range(6 // group):
            np.testing.assert_array_equal(y.data[:, j * group + i], x[:, i * (6 // group) + j])
    y.diff[...] = y.data
    layer.backward([y], [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, x)


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(LayerConfigError, match=r"'s'.*group is 4, but the bottom \(2, 6\)"):
        build("ShuffleChannel", name="s", group=4).top_shapes((2, 6))
    with pytest.raises(LayerConfigError, match=r"'s'.*group is 0"):
        build("ShuffleChannel", name="s", group=0)
    with pytest.raises(LayerConfigError, match=r"'s'.*\(6,\)"):
        build("ShuffleChannel", name="s").top_shapes((6,))
