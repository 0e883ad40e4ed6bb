"""Where boxes and arrows of a picture go: laws that hold for every graph."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.draw.placing import _Board, _ranks, place
from minidl.errors import UsageError


@st.composite
def graphs(draw):
    """Sizes of boxes, and arrows from earlier to later ones."""
    count = draw(st.integers(1, 9))
    size = st.tuples(st.integers(10, 60), st.integers(10, 90))
    sizes = draw(st.lists(size, min_size=count, max_size=count))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=14)) if pairs else []
    return sizes, edges


def span(middle, size):
    return middle - size / 2, middle + size / 2


@given(graphs())
@settings(max_examples=60)
def test_no_two_boxes_overlap_and_all_are_on_the_page(graph):
    sizes, edges = graph
    placed = place(sizes, edges)
    boxes = [
        [span(c, s) for c, s in zip(centre, size, strict=True)]
        for centre, size in zip(placed.centres, sizes, strict=True)
    ]
    for i, first in enumerate(boxes):
        for (low, high), whole in zip(first, placed.size, strict=True):
            assert -1e-6 <= low and high <= whole + 1e-6
        for second in boxes[:i]:
            apart = [
                a[1] <= b[0] + 1e-6 or b[1] <= a[0] + 1e-6
                for a, b in zip(first, second, strict=True)
            ]
            assert any(apart)


@given(graphs())
@settings(max_examples=60)
def test_arrows_go_forward_and_through_no_box(graph):
    sizes, edges = graph
    placed = place(sizes, edges)
    for (first, last), way in zip(edges, placed.ways, strict=True):
        assert way[0] == (placed.centres[first][0] + sizes[first][0] / 2, placed.centres[first][1])
        assert way[-1] == (placed.centres[last][0] - sizes[last][0] / 2, placed.centres[last][1])
        assert all(a[0] < b[0] for a, b in zip(way[:-1], way[1:], strict=True))
        for (start, across), (end, _) in zip(way[1:-1:2], way[2:-1:2], strict=True):
            for (along, middle), (depth, width) in zip(placed.centres, sizes, strict=True):
                beside = abs(across - middle) >= width / 2
                assert beside or along + depth / 2 <= start or along - depth / 2 >= end


def test_a_chain_is_a_straight_line():
    placed = place([(10, 30), (10, 50), (10, 20)], [(0, 1), (1, 2)], gap=5)
    assert [along for along, _ in placed.centres] == [5, 20, 35]
    assert len({across for _, across in placed.centres}) == 1
    assert placed.size == (40, 50)


def test_a_short_cut_goes_around_the_long_way_in_a_straight_line():
    placed = place([(10, 20)] * 5, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)])
    assert len({round(across, 6) for _, across in placed.centres}) == 1
    passed = {across for _, across in placed.ways[-1][1:-1]}
    assert len(passed) == 1
    assert passed != {placed.centres[0][1]}


def test_a_source_stands_right_before_what_it_feeds():
    assert _ranks(5, [(0, 1), (1, 2), (3, 4), (2, 4)]) == [0, 1, 2, 2, 3]


def test_orders_are_sorted_until_nothing_crosses_that_need_not():
    board = _Board([(1, 1)] * 6, [0, 0, 0, 1, 1, 1])
    for a, b in [(0, 5), (1, 4), (2, 3)]:
        board.chain(a, b)
    assert board.crossings() == 3
    board.order()
    assert board.crossings() == 0


def test_arrows_to_one_box_do_not_cross():
    board = _Board([(1, 1)] * 3, [0, 0, 1])
    for a in (0, 1):
        board.chain(a, 2)
    assert board.crossings() == 0


def test_nothing_at_all_has_no_size():
    assert place([], []).size == (0, 0)


def test_what_would_take_minutes_to_draw_is_refused():
    chain = [(i, i + 1) for i in range(999)]
    assert place([(10, 10)] * 1000, chain).size[1] == 10
    with pytest.raises(UsageError, match=r"1,000 boxes and arrows that pass 498,501 others"):
        place([(10, 10)] * 1000, chain + [(i, 999) for i in range(998)])
