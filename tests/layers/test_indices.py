"""Numbers that name no row are refused wherever rows are picked by number."""

import numpy as np
import pytest

from minidl.errors import LabelError
from minidl.net import Net, diagnosis
from minidl.testing.harness import build, run

BAD = {
    # number, how it is shown
    "one too many": (5, "5"),
    "negative": (-1, "-1"),
    "far out": (16777216, "16777216"),
    "between two rows": (2.5, "2.5"),
    "not a number": (np.nan, "nan"),
    "infinite": (np.inf, "inf"),
    "minus infinity": (-np.inf, "-inf"),
}
bad = pytest.mark.parametrize("value, shown", BAD.values(), ids=BAD.keys())
ROWS = np.random.default_rng(7).standard_normal((5, 3))


def embed(**keywords):
    layer = build("Embed", name="pick", num_output=3, input_dim=5, **keywords)
    return layer, lambda numbers: (numbers,)


def reindex(**keywords):
    return build("BatchReindex", name="pick", **keywords), lambda numbers: (ROWS, numbers)


makes = pytest.mark.parametrize("make", [embed, reindex])


@makes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@bad
def test_a_number_that_names_no_row_is_refused(make, dtype, value, shown):
    layer, bottoms = make(dtype=dtype)
    with pytest.raises(LabelError) as caught:
        run(layer, *bottoms([0, 4, value, value]))
    error = caught.value
    name = layer.spec.bottom[-1]
    assert str(error).startswith(f"{layer.type} layer 'pick': element 2 of '{name}' is {shown}\n")
    assert "from 0 to 4" in error.expected
    assert error.item == 2
    assert error.value == value or np.isnan(error.value) and np.isnan(value)


@makes
@bad
def test_on_a_gpu_it_makes_the_top_not_a_number(make, value, shown, gpu):
    """Nobody waits to see the number; the net names it when it next shows a result."""
    layer, bottoms = make(device="cuda:0")
    bottom, top = run(layer, *bottoms([0, 4, value, 3]))
    host = layer.ctx.device.to_host
    assert np.isnan(host(top[0].data)).all()
    assert set(host(layer.row)) <= {0, 1, 2, 3, 4}, "nothing is read elsewhere"
    layer.ctx.device.write(bottom[-1].data, [0, 4, 1, 3])
    with layer.ctx.device.current():
        layer.forward(bottom, top)
    assert np.isfinite(host(top[0].data)).all(), "and the next one is as ever"


@makes
def test_the_first_and_the_last_row_are_accepted_and_the_numbers_left_alone(make):
    layer, bottoms = make()
    bottom, _ = run(layer, *bottoms([4, 0, 4, 2]))
    np.testing.assert_array_equal(bottom[-1].data, [4, 0, 4, 2])
    assert layer.row.tolist() == [4, 0, 4, 2]


@makes
def test_a_batch_that_was_over_can_be_looked_at_again(make):
    layer, bottoms = make()
    shape = np.shape(bottoms(np.zeros(4))[0])
    layer.check_labels(np.array([4.0, 0, 1, 2]), shape)
    with pytest.raises(LabelError, match=r"element 1 of 'x\d' is 5"):
        layer.check_labels(np.array([4.0, 5, 1, 2]), shape)


def test_the_error_names_the_place_in_a_sentence_and_what_would_make_room():
    layer, _ = embed()
    with pytest.raises(LabelError, match=r"element \(1, 2\) of 'x0' is 7") as caught:
        run(layer, [[0, 1, 2], [3, 4, 7]])
    assert (caught.value.item, caught.value.value) == (1, 7)
    assert "input_dim to at least 7 + 1" in caught.value.fix


NET = """
layer { name: "in" type: "Input" top: "words" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "rows" type: "Embed" bottom: "words" top: "a"
  embed_param { num_output: 2 input_dim: 4 } }
layer { name: "more" type: "Embed" bottom: "words" top: "b"
  embed_param { num_output: 2 input_dim: 9 } }
"""


def test_a_net_names_the_blob_as_its_prototxt_does():
    words = [[0, 1, 2], [3, 4, 0]]
    with pytest.raises(LabelError, match=r"Embed layer 'rows'.*element \(1, 1\) of 'words' is 4"):
        Net(NET).forward(words=words)


def test_on_a_gpu_the_net_names_it_afterwards(gpu):
    net = Net(NET, device="cuda:0")
    net.forward(words=[[0, 1, 2], [3, 3, 0]])
    diagnosis.refuse_bad_label(net, [net.streams.passes])
    net.forward(words=[[0, 1, 2], [3, 4, 0]])
    assert net.first_bad() == ("rows", "a", "data")
    with pytest.raises(LabelError, match=r"Embed layer 'rows'.*element \(1, 1\) of 'words' is 4"):
        diagnosis.refuse_bad_label(net, [net.streams.passes])
