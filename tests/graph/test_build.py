"""Which layers take part, and the splits between them."""

import pytest

from minidl import prototxt, schema
from minidl.errors import GraphError
from minidl.graph import build

TRAIN, TEST = schema.TRAIN, schema.TEST


def net(text):
    return prototxt.read_net('name: "n"\n' + text)


def layer(name, bottoms="", tops="", more="", type="Power"):
    parts = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return f'layer {{ name: "{name}" type: "{type}" {" ".join(parts)} {more} }}\n'


def names(net):
    return [spec.name for spec in net.layer]


RULES = {
    "no rule": ("", {}, True),
    "include, same phase": ("include { phase: TRAIN }", dict(phase=TRAIN), True),
    "include, other phase": ("include { phase: TEST }", dict(phase=TRAIN), False),
    "exclude, same phase": ("exclude { phase: TRAIN }", dict(phase=TRAIN), False),
    "exclude, other phase": ("exclude { phase: TEST }", dict(phase=TRAIN), True),
    "any include will do": (
        "include { phase: TEST } include { phase: TRAIN }",
        dict(phase=TRAIN),
        True,
    ),
    "level below the least": ("include { min_level: 3 }", dict(level=2), False),
    "level at the least": ("include { min_level: 3 }", dict(level=3), True),
    "level above the most": ("include { max_level: 3 }", dict(level=4), False),
    "all stages of a rule": ('include { stage: "a" stage: "b" }', dict(stages=["a"]), False),
    "all stages given": ('include { stage: "a" stage: "b" }', dict(stages=["b", "a", "c"]), True),
    "not_stage given": ('include { not_stage: "a" }', dict(stages=["a"]), False),
    "all conditions of a rule": (
        'include { phase: TRAIN stage: "a" }',
        dict(phase=TEST, stages=["a"]),
        False,
    ),
}


@pytest.mark.parametrize(("rule", "state", "expected"), RULES.values(), ids=RULES.keys())
def test_a_layer_takes_part_if_its_rules_say_so(rule, state, expected):
    state = build.net_state(**{"phase": TRAIN} | state)
    kept = build.filter_layers(net(layer("l", "", "x", rule)), state)
    assert names(kept) == (["l"] if expected else [])
    assert kept.state == state


def test_a_top_used_twice_is_split_under_caffes_names():
    split = build.insert_splits(
        net(layer("data", "", "x") + layer("a", "x", "ya") + layer("b", "x ya", "yb"))
    )
    assert names(split) == ["data", "x_data_0_split", "a", "b"]
    assert list(split.layer[1].top) == ["x_data_0_split_0", "x_data_0_split_1"]
    assert list(split.layer[2].bottom) == ["x_data_0_split_0"]
    assert list(split.layer[3].bottom) == ["x_data_0_split_1", "ya"]


def test_an_in_place_top_is_split_after_its_last_writer():
    split = build.insert_splits(
        net(
            layer("data", "", "x")
            + layer("relu", "x", "x")
            + layer("a", "x", "ya")
            + layer("b", "x", "yb")
        )
    )
    assert names(split) == ["data", "relu", "x_relu_0_split", "a", "b"]
    assert list(split.layer[1].bottom) == list(split.layer[1].top) == ["x"]


def test_an_in_place_layer_beside_another_reader_is_refused():
    """Caffe too: behind a split, the top is a second blob of the same name."""
    text = layer("data", "", "x") + layer("a", "x", "y") + layer("relu", "x", "x")
    with pytest.raises(GraphError, match="'relu': works in place on 'x', which layer 'a' reads"):
        build.insert_splits(net(text))


def test_an_in_place_layer_on_a_loss_is_refused():
    text = layer("data", "", "x") + layer("l", "x", "l", "loss_weight: 1")
    with pytest.raises(GraphError, match="'relu': works in place on 'l', which a loss weight uses"):
        build.insert_splits(net(text + layer("relu", "l", "l")))


def test_a_used_loss_is_split_and_its_weight_moves_to_the_first_part():
    split = build.insert_splits(
        net(
            layer("data", "", "x")
            + layer("loss", "x", "l", "loss_weight: 3")
            + layer("user", "l", "y")
        )
    )
    assert names(split) == ["data", "loss", "l_loss_0_split", "user"]
    assert list(split.layer[1].loss_weight) == [0]
    assert list(split.layer[2].loss_weight) == [3, 0]
    assert list(split.layer[3].bottom) == ["l_loss_0_split_1"]


def test_an_unused_loss_is_not_split():
    text = layer("data", "", "x") + layer("loss", "x", "l", "loss_weight: 3")
    assert names(build.insert_splits(net(text))) == ["data", "loss"]


def test_all_unknown_bottoms_are_named_with_the_nearest_blob():
    text = layer("data", "", "image") + layer("a", "imgae", "y") + layer("b", "later", "z")
    text += layer("c", "image", "later")
    with pytest.raises(GraphError) as error:
        build.insert_splits(net(text))
    message = str(error.value)
    assert "layer 'a': bottom[0] 'imgae' is unknown" in message
    assert "did you mean 'image'?" in message
    assert "layer 'c' makes it, but comes later" in message


def test_one_top_from_two_layers_is_refused():
    with pytest.raises(GraphError, match="'b': makes top 'x', which layer 'a' already makes"):
        build.insert_splits(net(layer("a", "", "x") + layer("b", "", "x")))
