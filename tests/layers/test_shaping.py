"""Concat, Slice, Split, Flatten, Reshape, Silence: where every element goes; what is refused."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run


def numbers(*shape):
    """0, 1, 2, ...: every element can be told from every other."""
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


# ----------------------------------------------------------------------------------- Concat

CONCATS = {
    "batch": (dict(axis=0), [(2, 3, 4), (1, 3, 4)], 0),
    "channels by default": (dict(), [(2, 3, 4), (2, 1, 4), (2, 2, 4)], 1),
    "last axis, counted back": (dict(axis=-1), [(2, 3, 4), (2, 3, 1)], 2),
    "old name": (dict(concat_dim=2), [(2, 3, 4), (2, 3, 1)], 2),
}


@pytest.fixture(params=CONCATS.values(), ids=CONCATS.keys())
def concat(request):
    params, shapes, axis = request.param
    xs = [numbers(*shape) + 100 * i for i, shape in enumerate(shapes)]
    return build("Concat", bottoms=len(xs), **params), xs, axis


def joined_by_index(xs, axis):
    """Fill the joined array element by element."""
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    y, offset = np.empty(shape), 0
    for x in xs:
        for index in np.ndindex(x.shape):
            place = list(index)
            place[axis] += offset
            y[tuple(place)] = x[index]
        offset += x.shape[axis]
    return y


def test_concat_puts_blobs_behind_one_another(concat):
    layer, xs, axis = concat
    _, (y,) = run(layer, *xs)
    np.testing.assert_array_equal(y.data, joined_by_index(xs, axis))


def test_concat_hands_every_bottom_its_part_of_the_gradient(concat):
    layer, xs, axis = concat
    bottom, top = run(layer, *xs)
    top[0].diff[...] = joined_by_index([-x for x in xs], axis)
    layer.backward(top, [True] * len(xs), bottom)
    for blob, x in zip(bottom, xs, strict=True):
        np.testing.assert_array_equal(blob.diff, -x)


def test_concat_leaves_out_what_is_not_wanted_but_counts_it():
    layer = build("Concat", bottoms=3)
    bottom, top = run(layer, numbers(2, 3), numbers(2, 1), numbers(2, 2))
    for blob in bottom:
        blob.diff.fill(-1)
    top[0].diff[...] = numbers(2, 6)
    layer.backward(top, [False, False, True], bottom)
    assert (bottom[0].diff == -1).all() and (bottom[1].diff == -1).all()
    assert bottom[2].diff.tolist() == [[4, 5], [10, 11]]


def test_a_single_bottom_or_top_is_a_view():
    for layer in (build("Concat"), build("Slice", tops=1)):
        (x,), (y,) = run(layer, numbers(2, 3))
        assert layer.views == {0: 0} and layer.view_diffs
        y.diff[...] = numbers(2, 3) + 7
        layer.backward([y], [True], [x])
        np.testing.assert_array_equal(y.data, numbers(2, 3))
        np.testing.assert_array_equal(x.diff, numbers(2, 3) + 7)
    assert not build("Concat", bottoms=2).views


def test_concat_refuses_shapes_that_differ_elsewhere():
    layer = build("Concat", name="cat", bottoms=3)
    with pytest.raises(
        LayerConfigError, match=r"'cat'.*'x2' has shape \(2, 1, 5\).*'x0' has \(2, 3, 4\)"
    ):
        layer.top_shapes((2, 3, 4), (2, 1, 4), (2, 1, 5))
    with pytest.raises(LayerConfigError, match=r"'x1' has shape \(2, 3\)(.|\n)*on axis 1 only"):
        build("Concat", bottoms=2).top_shapes((2, 3, 4), (2, 3))


@pytest.mark.parametrize("type, old", [("Concat", "concat_dim"), ("Slice", "slice_dim")])
def test_axis_and_its_old_name_exclude_each_other(type, old):
    with pytest.raises(LayerConfigError, match=rf"{type} layer 'c'.*axis \(2\) and {old} \(1\)"):
        build(type, name="c", axis=2, **{old: 1})


@pytest.mark.parametrize(
    "type, params, found",
    [
        ("Concat", dict(axis=2), "axis is 2"),
        ("Concat", dict(axis=-3), "axis is -3"),
        ("Concat", dict(concat_dim=2), "concat_dim is 2"),
        ("Slice", dict(slice_dim=5), "slice_dim is 5"),
        ("Flatten", dict(axis=2), "axis is 2"),
        ("Flatten", dict(end_axis=-3), "end_axis is -3"),
    ],
)
def test_an_axis_outside_the_bottom_is_refused(type, params, found):
    layer = build(type, name="c", bottoms=1, **params)
    with pytest.raises(LayerConfigError, match=rf"'c'.*{found}, but the bottom \(6, 4\) has 2"):
        layer.top_shapes((6, 4))


# ------------------------------------------------------------------------------------ Slice

SLICES = {
    "equal parts": (3, dict(), 1, [0, 2, 4, 6]),
    "points": (3, dict(slice_point=[1, 4]), 1, [0, 1, 4, 6]),
    "one point, batch": (2, dict(axis=0, slice_point=[1]), 0, [0, 1, 2]),
    "last axis, counted back": (2, dict(axis=-1), 2, [0, 2, 4]),
    "old name": (2, dict(slice_dim=2, slice_point=[3]), 2, [0, 3, 4]),
}


@pytest.mark.parametrize("tops, params, axis, edges", SLICES.values(), ids=SLICES.keys())
def test_slice_cuts_and_its_backward_joins(tops, params, axis, edges):
    x = numbers(2, 6, 4)
    layer = build("Slice", tops=tops, **params)
    (bottom,), top = run(layer, x)
    bottom.diff.fill(np.nan)
    for blob, start, end in zip(top, edges[:-1], edges[1:], strict=True):
        part = np.take(x, range(start, end), axis)
        assert blob.shape == part.shape
        np.testing.assert_array_equal(blob.data, part)
        blob.diff[...] = part + 0.5
    layer.backward(top, [True], [bottom])
    np.testing.assert_array_equal(bottom.diff, x + 0.5)


@pytest.mark.parametrize(
    "tops, points", [(2, [1, 4]), (3, [1]), (1, [3])], ids=["many", "few", "single top"]
)
def test_slice_points_are_one_fewer_than_tops(tops, points):
    with pytest.raises(
        LayerConfigError, match=rf"Slice layer 's'.*{len(points)} slice_point for {tops} tops"
    ):
        build("Slice", name="s", tops=tops, slice_point=points)


@pytest.mark.parametrize("points", [[0, 3], [3, 3], [4, 2], [2, 6], [2, 9]])
def test_a_slice_without_elements_is_refused(points):
    layer = build("Slice", name="s", tops=3, slice_point=points)
    with pytest.raises(LayerConfigError) as refusal:
        layer.top_shapes((2, 6, 4))
    assert f"slice_point is {points} for axis 1 of (2, 6, 4)" in str(refusal.value)
    assert "from 1 to 5" in str(refusal.value)


def test_equal_parts_need_a_size_that_can_be_divided():
    layer = build("Slice", name="s", tops=4)
    with pytest.raises(LayerConfigError, match=r"'s'.*axis 1 of \(2, 6\) into 4(.|\n)*slice_point"):
        layer.top_shapes((2, 6))


# ------------------------------------------------------------------------------------ Split


@pytest.mark.parametrize("tops", [1, 2, 3])
def test_split_shares_data_and_adds_up_gradients(tops):
    layer = build("Split", tops=tops)
    (x,), top = run(layer, numbers(2, 3))
    assert layer.views == {i: 0 for i in range(tops)} and not layer.view_diffs
    x.diff.fill(np.nan)
    for i, blob in enumerate(top):
        assert np.shares_memory(blob.data, x.data)
        blob.diff[...] = numbers(2, 3) * 10**i
    layer.backward(top, [True], [x])
    np.testing.assert_array_equal(x.diff, numbers(2, 3) * [0, 1, 11, 111][tops])


# ---------------------------------------------------------------------------------- Flatten


@pytest.mark.parametrize(
    "params, top",
    [
        (dict(), (2, 90)),
        (dict(axis=2), (2, 3, 30)),
        (dict(end_axis=-2), (2, 18, 5)),
        (dict(axis=0, end_axis=-2), (36, 5)),
        (dict(axis=-2), (2, 3, 30)),
        (dict(axis=2, end_axis=2), (2, 3, 6, 5)),
        (dict(axis=0), (180,)),
    ],
)
def test_flatten_merges_axes(params, top):
    layer = build("Flatten", **params)
    assert layer.top_shapes((2, 3, 6, 5)) == (top,)
    _, (y,) = run(layer, numbers(2, 3, 6, 5))
    np.testing.assert_array_equal(y.data.reshape(-1), range(180))


def test_flatten_needs_its_end_behind_its_start():
    layer = build("Flatten", name="f", axis=3, end_axis=1)
    with pytest.raises(
        LayerConfigError, match=r"'f'.*axis is 3 and end_axis 1.*\(2, 3, 6, 5\)(.|\n)*at or behind"
    ):
        layer.top_shapes((2, 3, 6, 5))


# ---------------------------------------------------------------------------------- Reshape


def shape(*dims):
    return dict(shape=dict(dim=list(dims)))


@pytest.mark.parametrize(
    "params, top",
    [
        (shape(4, 3, 5, 3), (4, 3, 5, 3)),
        (shape(0, 3, 10, -1), (2, 3, 10, 3)),
        (shape(0, 0, -1), (2, 3, 30)),
        (shape(0, 0, 0, 0), (2, 3, 6, 5)),
        (shape(-1), (180,)),
        (shape(2, -1, 0), (2, 15, 6)),
        (dict(axis=1, **shape(-1)), (2, 90)),
        (dict(axis=1, num_axes=2, **shape(9, -1)), (2, 9, 2, 5)),
        (dict(axis=1, num_axes=2, **shape(0, 2, -1)), (2, 3, 2, 3, 5)),
        (dict(axis=-2, num_axes=1, **shape(1, -1)), (2, 3, 6, 1, 5)),
        (dict(axis=1, num_axes=0, **shape(1, 1)), (2, 1, 1, 3, 6, 5)),
        (dict(axis=4, num_axes=0, **shape(1)), (2, 3, 6, 5, 1)),
        (dict(axis=-1, **shape(1)), (2, 3, 6, 5, 1)),
        (dict(axis=-5, num_axes=0, **shape(-1)), (1, 2, 3, 6, 5)),
    ],
)
def test_reshape_replaces_axes(params, top):
    layer = build("Reshape", **params)
    assert layer.top_shapes((2, 3, 6, 5)) == (top,)
    _, (y,) = run(layer, numbers(2, 3, 6, 5))
    np.testing.assert_array_equal(y.data.reshape(-1), range(180))


def test_reshape_can_make_and_unmake_a_scalar():
    assert build("Reshape").top_shapes((1, 1)) == ((),)
    assert build("Reshape", **shape(1, 1)).top_shapes(()) == ((1, 1),)


REFUSED = {
    "two to work out": (shape(-1, 0, -1), r"shape is \[-1, 0, -1\](.|\n)*at most one -1"),
    "a negative size": (shape(2, -3), r"shape is \[2, -3\]"),
    "num_axes below -1": (dict(num_axes=-2, **shape(2)), "num_axes is -2"),
    "too few elements": (
        shape(2, 3, 6),
        r"\[2, 3, 6\] makes \(2, 3, 6\) of.*\(2, 3, 6, 5\): 36 elements of 180(.|\n)*-1",
    ),
    "no whole number left": (
        shape(0, 7, -1),
        r"-1 in shape \[0, 7, -1\].*\(2, 3, 6, 5\) has 180.*hold 14",
    ),
    "a copy of no axis": (shape(0, 0, 0, 0, 0), r"copies axis 4 of the bottom \(2, 3, 6, 5\)"),
    "axis too far": (dict(axis=5, **shape(1)), r"axis is 5(.|\n)*-5 to 4"),
    "axis too far back": (dict(axis=-6, **shape(1)), r"axis is -6(.|\n)*-5 to 4"),
    "more axes than there are": (
        dict(axis=2, num_axes=3, **shape(1)),
        r"axis is 2 and num_axes 3(.|\n)*at most 2",
    ),
}


@pytest.mark.parametrize("params, message", REFUSED.values(), ids=REFUSED.keys())
def test_a_reshape_that_cannot_be_is_refused(params, message):
    with pytest.raises(LayerConfigError, match=rf"Reshape layer 'r'.*{message}"):
        build("Reshape", name="r", **params).top_shapes((2, 3, 6, 5))


# ---------------------------------------------------------------------------------- Silence


def test_silence_sends_back_zeros_where_wanted():
    layer = build("Silence", bottoms=3)
    bottom, top = run(layer, numbers(2, 3), numbers(4), numbers())
    assert top == []
    for blob in bottom:
        blob.diff.fill(np.nan)
    layer.backward([], [True, False, True], bottom)
    assert (bottom[0].diff == 0).all() and np.isnan(bottom[1].diff).all() and bottom[2].diff == 0


@pytest.mark.parametrize("type", ["Concat", "Slice", "Split", "Flatten", "Reshape"])
def test_none_of_them_works_in_place(type):
    with pytest.raises(LayerConfigError, match=rf"{type} layer 'v'.*in place.*'x0'(.|\n)*own"):
        build(type, name="v", in_place=True)


def test_moving_data_is_linear():
    check_backward(build("Concat", bottoms=2, axis=-1), numbers(2, 3), numbers(2, 2))
    check_backward(build("Slice", tops=2, slice_point=1), numbers(2, 3))
    check_backward(build("Split", tops=3), numbers(2, 3))
