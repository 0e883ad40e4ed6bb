"""What a part of a pass has to find current, and what it leaves.

The oracle of the law is an interpreter on a toy memory, as in test_layout.py: every array holds the
number of the write that its values come from.
"""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.net.access import Left, accesses, part
from tests.net.test_layout import call, nets, walk


def owner_of(w):
    """Blobs that are views of others have the values of those, here as in Split: not the diffs."""
    of = {c.tops[t]: c.bottoms[b] for c in w.nodes for t, b in c.views.items()}

    def owner(number):
        blob, kind = w.arrays[number].blob, w.arrays[number].kind
        while blob in of and kind == "data":
            blob = of[blob]
        return blob, kind

    return owner


def by_name(w, pairs):
    return [w.arrays[number].name for _, number in pairs]


def test_a_whole_forward_needs_nothing():
    w = walk(call("in", (), "x"), call("f", "x", "y", "a"), call("g", "y", "z", "b"))
    needs, left = part(accesses(w)[:3], owner_of(w))
    assert needs == []
    assert left["z", "data"] == Left(True, frozenset(w.places[2].top_arrays))


def test_copies_that_an_earlier_layer_made_are_needed_by_a_later_one():
    w = walk(call("in", (), "x"), call("f", "x", "y", "a"), call("g", "x", "z", "a"))
    needs, _ = part(accesses(w)[2:3], owner_of(w))
    assert by_name(w, needs) == ["x data as a"]


def test_a_copy_leaves_the_old_values_current_too():
    w = walk(call("in", (), "x"), call("f", "x", "y", "a"))
    needs, left = part(accesses(w)[1:2], owner_of(w))
    assert by_name(w, needs) == ["x data"]
    assert left["x", "data"] == Left(False, frozenset(w.places[1].bottom_arrays))


def test_a_backward_needs_what_its_layers_keep_and_the_gradients_given():
    kept = {"keeps": ("bottom",)}
    w = walk(call("in", (), "x"), call("f", "x", "y", "a", **kept))
    needs, left = part(accesses(w)[2:], owner_of(w))
    assert by_name(w, needs) == ["y diff", "x data as a"]
    assert ("x", "diff") in left and left["x", "diff"].written


def test_what_only_the_plan_reads_again_stays_as_its_forward_left_it():
    """Array code of a batch normalisation keeps normalised values, oneDNN's plan reads x again."""
    w = walk(call("in", (), "x"), call("f", "x", "y", "a", keeps=("bottom",), private=("bottom",)))
    needs, _ = part(accesses(w)[2:], owner_of(w))
    assert by_name(w, needs) == ["y diff"]
    assert accesses(w)[2].private == w.places[1].bottom_arrays


def test_a_gradient_given_to_an_in_place_layer_is_looked_for_where_it_was_given():
    w = walk(call("in", (), "x"), call("f", "x", "h", "a"), call("g", ["h"], ["h"], "b"))
    needs, left = part(accesses(w)[3:], owner_of(w))
    assert by_name(w, needs) == ["h diff"]
    given = needs[0][1]
    assert given not in left["h", "diff"].current  # what is there now is the gradient below it


def test_an_idle_layer_writes_nothing():
    w = walk(call("in", (), "x"), call("v", "x", "v", views={0: 0}, idle=True))
    assert accesses(w)[1].writes == ()


@given(nets(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_part_of_a_pass_reads_current_values_where_its_needs_are_met(net, data):
    """Whatever ran before and left the arrays in whatever state."""
    calls, pinned = net
    overwritten = {c.tops[0] for c in calls if c.in_place}  # a net lets nobody keep those
    keeps = [() if overwritten & {*c.bottoms, *c.tops} else c.keeps for c in calls]
    changes = [{"view_diffs": False, "keeps": kept} for kept in keeps]
    replaced = [dataclasses.replace(c, **change) for c, change in zip(calls, changes, strict=True)]
    w = walk(*replaced, pinned=pinned)
    steps, owner = accesses(w), owner_of(w)
    first = data.draw(st.integers(0, len(steps) - 1))
    last = data.draw(st.integers(first, len(steps) - 1))
    needs, left = part(steps[first : last + 1], owner)
    written = 0
    value = {}  # owner -> which write is its value
    holds = {}  # array -> which write it holds; absent: nobody knows

    def is_current(number):
        whose = owner(number)
        return holds.get(number) == value.get(whose, 0) and number in holds

    for whose, number in needs:
        holds[number] = value.setdefault(whose, 0)

    def copy(copies):
        for c in copies:
            assert is_current(c.source), w.arrays[c.source].name
            holds[c.target] = holds[c.source]

    for step in steps[first : last + 1]:
        copy(step.before)
        for number in step.reads:
            assert is_current(number), w.arrays[number].name
        for number in step.writes:
            written += 1
            value[owner(number)] = holds[number] = written
        copy(step.after)
    for whose, what in left.items():
        assert what.written == (value.get(whose, 0) != 0)
        assert all(holds[number] == value.get(whose, 0) for number in what.current)
