"""Which layers take part in a phase, at a level, in stages."""

import pytest

from minidl import prototxt, schema
from minidl.prototxt import phases

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
    state = phases.net_state(**{"phase": TRAIN} | state)
    kept = phases.filter_layers(net(layer("l", "", "x", rule)), state)
    assert names(kept) == (["l"] if expected else [])
    assert kept.state == state
