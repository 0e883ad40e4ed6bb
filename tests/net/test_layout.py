"""The walk over a net: who reads which array in which layout, and how long it has to live.

The oracle is an interpreter: it runs the placed calls on a toy memory, where an array holds the
value last written to it and its layout, and checks at every read that the reader finds the value
that a net without layouts would give it.
"""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.net.layout import Walk
from minidl.net.node import Node

SHAPE = (2, 3)
LAYOUTS = (None, "a", "b")


def call(name, bottoms=(), tops=(), layout=None, **given):
    """A node with one layout for everything; keywords replace fields of Node."""
    return Node(
        name,
        tuple(bottoms),
        tuple(tops),
        bottom_shapes=(SHAPE,) * len(bottoms),
        top_shapes=(SHAPE,) * len(tops),
        **{
            "bottom_layouts": (layout,) * len(bottoms),
            "top_layouts": (layout,) * len(tops),
            "bottom_diff_layouts": (layout,) * len(bottoms),
            "top_diff_layouts": (layout,) * len(tops),
            "needs_backward": bool(bottoms),
            "wanted": (True,) * len(bottoms),
            **given,
        },
    )


def walk(*calls, pinned=()):
    result = Walk(len(calls), pinned)
    for c in calls:
        result.forward(c)
    result.backward()
    return result


def names(w, copies):
    return [(w.arrays[c.source].name, w.arrays[c.target].name) for c in copies]


def test_neighbours_with_one_layout_share_an_array():
    w = walk(call("in", (), "x"), call("f", "x", "y", "a"), call("g", "y", "z", "a"))
    assert names(w, w.places[1].before_forward) == [("x data", "x data as a")]
    assert not w.places[2].before_forward
    assert w.places[1].top_arrays == w.places[2].bottom_arrays
    assert w.layout("y") == "a"


def test_a_copy_serves_all_readers():
    w = walk(
        call("in", (), "x"),
        call("f", "x", "y", "a"),
        call("g", "x", "z", "a"),
        call("h", "x", "u", "b"),
    )
    assert w.places[1].bottom_arrays == w.places[2].bottom_arrays
    assert not w.places[2].before_forward
    assert names(w, w.places[3].before_forward) == [("x data", "x data as b")]


def test_a_copy_is_made_anew_after_a_layer_worked_in_place():
    w = walk(
        call("in", (), "x"),
        call("f", "x", "y", "a"),
        call("g", "x", "x"),
        call("h", "x", "z", "a"),
    )
    assert names(w, w.places[3].before_forward) == [("x data", "x data as a")]
    assert w.places[1].bottom_arrays != w.places[3].bottom_arrays


def test_gradients_are_copied_where_the_layouts_of_two_layers_differ():
    w = walk(call("in", (), "x"), call("f", "x", "y", "a"), call("g", "y", "z"))
    assert names(w, w.places[1].before_backward) == [("y diff", "y diff as a")]


def test_in_place_data_and_gradient_are_one_array_each():
    w = walk(call("in", (), "x"), call("f", "x", "y", "a"), call("g", "y", "y", "a"))
    g = w.places[2]
    assert g.bottom_arrays == g.top_arrays
    assert g.bottom_diff_arrays == g.top_diff_arrays


def test_views_are_the_same_memory_in_another_shape():
    flat = dataclasses.replace(call("flat", "x", "y"), top_shapes=((6,),), views={0: 0})
    w = walk(call("in", (), "x"), flat, call("g", "y", "z"))
    data, diff = w.arrays[w.homes["y", "data"]], w.arrays[w.homes["x", "diff"]]
    assert (data.base, data.shape) == (w.homes["x", "data"], (6,))
    assert (diff.base, diff.shape) == (w.homes["y", "diff"], SHAPE)


def test_pinned_blobs_are_published_as_plain_arrays():
    calls = call("in", (), "x"), call("f", "x", "y", "a"), call("g", "y", "z", "a")
    w = walk(*calls, pinned=[("y", "data"), ("y", "diff")])
    assert names(w, w.places[1].after_forward) == [("y data", "y data")]
    assert names(w, w.places[2].before_forward) == [("y data", "y data as a")]
    for kind in ("data", "diff"):
        home = w.arrays[w.homes["y", kind]]
        assert home.pinned
        assert home.layout is None


def test_a_gradient_that_nobody_sends_is_pinned_and_zero_stays_zero():
    w = walk(call("in", (), "x"), call("f", "x", "yz"))
    assert all(w.arrays[n].pinned for n in w.places[1].top_diff_arrays)


def test_data_live_until_the_backward_that_reads_them():
    w = walk(
        call("in", (), "x"),
        call("f", "x", "y", keeps=("bottom",)),
        call("g", "y", "z", keeps=("top",)),
    )
    x, y, z = (w.arrays[w.homes[name, "data"]] for name in "xyz")
    assert (x.first, x.last) == (0, 4)
    assert (y.first, y.last) == (1, 2)
    assert (z.first, z.last) == (2, 3)


# ---------------------------------------------------------------------- any net


@st.composite
def nets(draw):
    """Chains and branches: every call reads blobs that are there, in any layouts."""
    calls = [call("in", (), "x")]
    blobs, free = ["x"], {"x"}  # free: nobody has read it, so it may be overwritten in place
    for i in range(draw(st.integers(1, 7))):
        bottom = draw(st.sampled_from(blobs))
        layout, keeps = draw(st.sampled_from(LAYOUTS)), draw(st.sets(st.sampled_from(KEEPS)))
        kind = draw(st.sampled_from(["new", "new", "in place", "view"]))
        if kind == "in place" and bottom in free:
            calls.append(call(f"c{i}", [bottom], [bottom], layout))
            continue
        free.discard(bottom)
        top = f"y{i}"
        given = {"views": {0: 0}} if kind == "view" else {"keeps": tuple(keeps)}
        calls.append(call(f"c{i}", [bottom], [top], None if kind == "view" else layout, **given))
        blobs.append(top)
        free.add(top)
        if kind == "view":  # what is in place on a view would change the bottom
            free.discard(top)
        elif draw(st.booleans()):
            blobs.remove(bottom)
    keys = st.tuples(st.sampled_from(blobs), st.sampled_from(["data", "diff"]))
    return calls, draw(st.sets(keys, max_size=3))


KEEPS = ["bottom", "top"]


@given(nets())
@settings(max_examples=150, deadline=None)
def test_every_reader_finds_what_was_written_last(net):
    calls, pinned = net
    w = Walk(len(calls), pinned)
    for c in calls:
        w.forward(c)
    held, truth = {}, {}

    def base(number):
        found = w.arrays[number].base
        return number if found is None else found

    def copy(copies):
        for source, target in copies:
            assert w.arrays[source].layout != w.arrays[target].layout
            held[base(target)] = held[base(source)]

    for c, p in zip(calls, w.places, strict=True):
        copy(p.before_forward)
        for name, number, layout in zip(c.bottoms, p.bottom_arrays, c.bottom_layouts, strict=True):
            assert w.arrays[number].layout == layout
            assert held[base(number)] == truth[name]
        for j, (name, number) in enumerate(zip(c.tops, p.top_arrays, strict=True)):
            truth[name] = truth[c.bottoms[0]] if j in c.views else f"{c.name}:{name}"
            held[base(number)] = truth[name]
        copy(p.after_forward)
    for name, value in truth.items():
        assert held[base(w.homes[name, "data"])] == value
        if (name, "data") in pinned:
            assert w.arrays[w.homes[name, "data"]].layout is None


@given(nets())
@settings(max_examples=100, deadline=None)
def test_arrays_live_from_their_first_to_their_last_use(net):
    calls, pinned = net
    w = walk(*calls, pinned=pinned)
    steps = 2 * len(calls)
    for i, (c, p) in enumerate(zip(calls, w.places, strict=True)):
        used = [(n, i) for n in (*p.bottom_arrays, *p.top_arrays)]
        used += [
            (n, i) for copies in (p.before_forward, p.after_forward) for k in copies for n in k
        ]
        back = [*p.bottom_diff_arrays, *p.top_diff_arrays]
        back += [n for copies in (p.before_backward, p.after_backward) for k in copies for n in k]
        if c.needs_backward:
            back += p.bottom_arrays if "bottom" in c.keeps else ()
            back += p.top_arrays if "top" in c.keeps else ()
        used += [(n, steps - 1 - i) for n in back if n is not None]
        for number, step in used:
            array = w.arrays[number]
            array = array if array.base is None else w.arrays[array.base]
            assert array.first <= step <= array.last
