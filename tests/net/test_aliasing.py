"""Nothing that is still needed may be overwritten: by example, and against a simulation."""

import time

from hypothesis import given
from hypothesis import strategies as st

from minidl.net import aliasing
from minidl.net.aliasing import Conflict
from minidl.net.node import Node


def use(name, bottoms, tops, **more):
    return Node(
        name, tuple(bottoms.split()), tuple(tops.split()), **{"needs_backward": True} | more
    )


def find_conflicts(layers):
    return list(aliasing.find_conflicts(layers))


DATA = use("data", "", "x", needs_backward=False)


def test_finding_out_that_nothing_is_overwritten_takes_linear_time():
    chain = [use(f"relu{i}", "y", "y", keeps=("top sign",), keeps_sign=True) for i in range(20_000)]
    began = time.process_time()
    assert not find_conflicts([DATA, use("conv", "x", "y", keeps=("bottom",)), *chain])
    assert time.process_time() - began < 5  # 0.1 s; were it quadratic, a minute


def test_of_very_many_conflicts_the_first_are_had_at_once():
    chain = [use(f"sigmoid{i}", "y", "y", keeps=("bottom",)) for i in range(20_000)]
    conflicts = aliasing.find_conflicts([DATA, use("conv", "x", "y"), *chain])
    assert next(conflicts) == Conflict("sigmoid0", "y", "sigmoid0", "bottom")


def test_relu_on_a_layer_that_keeps_nothing_is_fine():
    assert not find_conflicts(
        [DATA, use("conv", "x", "y", keeps=("bottom",)), use("relu", "y", "y", keeps=("top sign",))]
    )


def test_overwriting_a_kept_top_is_a_conflict():
    layers = [DATA, use("lrn", "x", "y", keeps=("bottom", "top")), use("relu", "y", "y")]
    assert find_conflicts(layers) == [Conflict("relu", "y", "lrn", "top")]


def test_it_is_none_if_the_keeper_never_runs_backward():
    layers = [use("lrn", "x", "y", keeps=("top",), needs_backward=False), use("relu", "y", "y")]
    assert not find_conflicts([DATA, *layers])


def test_dropout_after_relu_leaves_the_sign_that_relu_keeps():
    layers = [DATA, use("ip", "x", "y"), use("relu", "y", "y", keeps=("top sign",))]
    assert not find_conflicts([*layers, use("drop", "y", "y", keeps_sign=True)])
    assert find_conflicts([*layers, use("scale", "y", "y")]) == [
        Conflict("scale", "y", "relu", "top sign")
    ]


def test_dropout_after_sigmoid_is_a_conflict_which_caffe_overlooks():
    layers = [DATA, use("ip", "x", "y"), use("sigmoid", "y", "y", keeps=("top",))]
    assert find_conflicts([*layers, use("drop", "y", "y", keeps_sign=True)]) == [
        Conflict("drop", "y", "sigmoid", "top")
    ]


def test_a_layer_may_not_overwrite_the_bottom_it_keeps():
    assert find_conflicts([DATA, use("power", "x", "x", keeps=("bottom",))]) == [
        Conflict("power", "x", "power", "bottom")
    ]


def test_writing_through_a_view_counts():
    layers = [DATA, use("lrn", "x", "y", keeps=("top",)), use("flat", "y", "z", views={0: 0})]
    assert find_conflicts([*layers, use("relu", "z", "z")]) == [Conflict("relu", "z", "lrn", "top")]


def test_a_second_reader_of_a_split_must_not_see_the_first_ones_writes():
    layers = [
        DATA,
        use("split", "x", "a b", views={0: 0, 1: 0}),
        use("relu", "a", "a"),
        use("reader", "b", "y"),
    ]
    assert Conflict("relu", "a", "reader", "input") in find_conflicts(layers)


def test_keeping_what_an_earlier_in_place_layer_wrote_is_fine():
    layers = [DATA, use("relu", "x", "x"), use("conv", "x", "y", keeps=("bottom",))]
    assert not find_conflicts(layers)


@st.composite
def chains(draw):
    """A random net over few blobs: in-place layers, views, keepers."""
    layers, blobs = [use("data", "", "b0", needs_backward=False)], ["b0"]
    for i in range(draw(st.integers(1, 8))):
        bottom = draw(st.sampled_from(blobs))
        kind = draw(st.sampled_from(["in place", "view", "new"]))
        keeps = tuple(draw(st.sets(st.sampled_from(["bottom", "top"]))))
        top = bottom if kind == "in place" else f"b{len(blobs)}"
        if top not in blobs:
            blobs.append(top)
        views = {0: 0} if kind == "view" else {}
        layers.append(use(f"l{i}", bottom, top, keeps=keeps, views=views))
    return layers


@given(chains())
def test_conflicts_are_found_exactly_where_a_simulation_sees_changed_values(layers):
    """Simulate: each storage holds the number of the layer that wrote it last."""
    storage, value, expected, kept = {}, [], set(), []
    made = {}  # what a blob held when its name was last made or written
    for step, layer in enumerate(layers):
        for name in layer.bottoms:
            if value[storage[name]] != made[name]:
                expected.add((layer.name, "input"))
            if "bottom" in layer.keeps:
                kept.append((layer.name, "bottom", storage[name], made[name]))
        for name in layer.tops:
            if layer.views:
                storage[name] = storage[layer.bottoms[0]]
                made[name] = made[layer.bottoms[0]]
            else:
                if name not in layer.bottoms:
                    storage[name] = len(value)
                    value.append(None)
                value[storage[name]] = made[name] = step
            if "top" in layer.keeps:
                kept.append((layer.name, "top", storage[name], made[name]))
    expected |= {(who, what) for who, what, place, held in kept if value[place] != held}
    assert {(c.reader, c.what) for c in find_conflicts(layers)} == expected


def test_tops_of_sources_are_overwritten_directly_and_through_views():
    sources = [use("a", "", "a"), use("b", "", "b"), use("c", "", "c d")]
    above = [
        use("double", "a", "a"),
        use("flat", "b", "flat", views={0: 0}),
        use("halve", "flat", "flat"),
        use("copy", "c", "e"),
        use("relu", "e", "e"),
    ]
    assert aliasing.overwritten([*sources, *above]) == {"a", "b"}
