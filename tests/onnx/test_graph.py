"""The plain form of an ONNX graph: names, constants, differences. No package is needed."""

import numpy as np

from minidl.onnx.graph import Graph, Step


def step(graph, name="a", values=None):
    class Layer:
        pass

    Layer.name = name
    return Step(graph, Layer, ["x"], [(2, 3)], [(2, 3)], values or {}, {"weight": "a/weight"})


def test_equal_constants_are_one_and_others_get_a_number():
    graph = Graph("net")
    names = [step(graph).ints("shape", dims) for dims in ([1, 2], [1, 2], [3], [3])]
    assert names == ["a/shape", "a/shape", "a/shape_2", "a/shape_2"]


def test_a_renamed_value_is_renamed_where_it_is_read():
    graph = Graph("net")
    one = step(graph)
    first = one.emit("Relu", "x")
    one.emit("Neg", first)
    graph.rename(first, "y", 0)
    assert graph.ops[0].outputs == ["y"]
    assert graph.ops[1].inputs == ["y"]
    assert graph.fresh("a/Relu") == "a/Relu"


def test_graphs_differ_at_the_first_layer_with_another_operator_attribute_or_constant():
    def graph(axis, dims, more=False):
        made = Graph("net")
        step(made, "a").emit("Softmax", "x", axis=axis)
        b = step(made, "b")
        b.emit("Reshape", "x", b.ints("shape", dims))
        if more:
            step(made, "c").emit("Relu", "x")
        return made

    same = graph(1, [2])
    assert same.difference(graph(1, [2])) == ""
    assert same.difference(graph(0, [2])) == "a"
    assert same.difference(graph(1, [3])) == "b"
    assert same.difference(graph(1, [2], more=True)) == "c"


def test_reshape_copies_what_stays_and_works_out_a_first_size_that_does_not():
    cases = [
        ((2, 3, 4), (2, 12), [0, 12]),
        ((2, 3, 4), (2, 3, 2, 2), [0, 0, 2, 2]),
        ((2, 3, 4), (6, 4), [-1, 4]),
        ((6, 4), (2, 3, 4), [-1, 3, 4]),
        ((2, 3), (), []),
    ]
    for before, after, expected in cases:
        graph = Graph("net")
        step(graph).reshape("x", before, after)
        assert graph.constants["a/shape"].tolist() == expected
    assert step(Graph("net")).reshape("x", (2, 3), (2, 3)) == "x"


def test_a_parameter_is_one_constant_in_float32_however_often_it_is_asked_for():
    graph, weight = Graph("net"), np.arange(6.0).reshape(2, 3)
    for _ in range(2):
        assert step(graph, values={"weight": lambda: weight}).param("weight") == "a/weight"
    assert graph.constants["a/weight"].dtype == np.float32
    assert step(graph, values={"weight": lambda: weight}).param("weight", (3, 2)) == "a/weight_2"
