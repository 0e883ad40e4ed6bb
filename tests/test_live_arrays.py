"""The law of live arrays: whatever a program reads, holds, writes or releases, at any moment, the
next pass computes what a net computes whose blobs are one array each, in array code.

A state machine does the same to both nets in random order and compares everything that can be seen
of them after each act. What it leaves out: data that a program overwrites between the forward and
the backward of a net with an LRN layer, and labels, of which each engine makes what it likes.
"""

import contextlib
import os
import random
import tempfile

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, reject, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from minidl.errors import DivergedError, GraphError
from tests.layers.examples import EXAMPLES
from tests.live import nets
from tests.live.pair import Pair
from tests.places import on

NUMBERS = st.integers(0, 1000)
KINDS = st.sampled_from(["data", "diff"])
HOW = st.sampled_from(["set", "scale", "part"])
CALLS = st.sampled_from(["before_forward", "after_forward", "before_backward", "after_backward"])


def can(what):
    return precondition(lambda self: self.pair is not None and what(self.pair))


class Program(RuleBasedStateMachine):
    """What a program may do with a net and a solver."""

    pair = None

    @initialize(data=st.data(), share=st.sampled_from([False, False, False, True]))
    def make(self, data, share):
        text = nets.text(lambda options: data.draw(st.sampled_from(list(options))))
        try:
            self.pair = Pair(text, share)
        except GraphError:  # of layers in place, where somebody still reads what they overwrite
            reject()

    @can(lambda pair: True)
    @rule()
    def feed(self):
        self.pair.feed()

    @can(lambda pair: True)
    @rule(given=st.booleans(), number=NUMBERS)
    def forward(self, given, number):
        self.pair.forward(given=given, hold=number if given and not self.pair.share else None)

    @can(lambda pair: pair.ran and not pair.share)
    @rule(ends=st.tuples(NUMBERS, NUMBERS))
    def forward_partly(self, ends):
        self.pair.forward(*self.pair.between(ends))

    @can(lambda pair: pair.whole)
    @rule()
    def backward(self):
        self.pair.backward()

    @can(lambda pair: pair.whole and not pair.share)
    @rule(number=NUMBERS)
    def backward_from_a_given_gradient(self, number):
        outputs = self.pair.oracle.outputs
        self.pair.backward(given=[outputs[number % len(outputs)]])

    @can(lambda pair: pair.whole and not pair.share)
    @rule(ends=st.tuples(NUMBERS, NUMBERS))
    def backward_partly(self, ends):
        last, first = self.pair.between(ends)
        self.pair.backward(first, last)

    @can(lambda pair: pair.whole and not pair.share)
    @rule(number=NUMBERS, by_array=st.booleans())
    def backward_from_a_layer(self, number, by_array):
        self.pair.backward_from(number, by_array)

    @can(lambda pair: True)
    @rule(number=NUMBERS, kind=KINDS)
    def take(self, number, kind):
        self.pair.take(number, kind)

    @can(lambda pair: True)
    @rule(number=NUMBERS, kind=KINDS, how=HOW)
    def write(self, number, kind, how):
        self.pair.write_once(number, kind, how)

    @can(lambda pair: pair.held)
    @rule(number=NUMBERS, how=HOW)
    def write_what_is_held(self, number, how):
        self.pair.write_held(number, how)

    @can(lambda pair: pair.held)
    @rule(number=NUMBERS)
    def release(self, number):
        self.pair.release(number)

    @can(lambda pair: "label" not in pair.oracle.blobs)
    @rule(batch=st.integers(1, 4))
    def reshape(self, batch):
        self.pair.reshape(batch)

    @can(lambda pair: True)
    @rule()
    def clear(self):
        self.pair.clear()

    @can(lambda pair: True)
    @rule()
    def step(self):
        with contextlib.suppress(DivergedError):
            self.pair.step()

    @can(lambda pair: True)
    @rule()
    def update(self):
        self.pair.update()

    @can(lambda pair: True)
    @rule(act=st.sampled_from(["load", "save"]))
    def file(self, act):
        with tempfile.TemporaryDirectory() as folder:
            getattr(self.pair, act)(os.path.join(folder, "weights.npz"))

    @can(lambda pair: True)
    @rule()
    def share_with_another_net(self):
        self.pair.share_with_others()

    @can(lambda pair: not pair.share)
    @rule(when=CALLS, layer=NUMBERS, number=NUMBERS, kind=KINDS, hold=st.booleans())
    def call_back(self, when, layer, number, kind, hold):
        self.pair.call_back(when, layer, number, kind, hold)

    @can(lambda pair: True)
    @invariant()
    def the_two_agree(self):
        self.pair.agree()


@on("cpu/onednn", "cuda:0", "cuda:0/cudnn")
def test_whatever_a_program_does_the_next_pass_computes_what_array_code_would(place):
    few = settings(
        max_examples=300 if place == "cpu/onednn" else 100,
        stateful_step_count=14,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],  # with Phase.shrink, too, one that fails takes minutes
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Program, settings=few)


# Types that have no place between two layers that pass gradients, or that examples alone feed.
def examples():
    for type, cases in EXAMPLES.items():
        for name, (shapes, keywords) in cases.items():
            if shapes and (text := nets.around(type, shapes, keywords)):
                yield pytest.param(text, type, shapes, keywords, id=f"{type} {name}".strip())


@on("cpu/onednn", "cuda:0")
@pytest.mark.parametrize("text, type, shapes, keywords", list(examples()))
def test_every_layer_type_keeps_the_law(text, type, shapes, keywords, place):
    """A short random program over each type, between layers that engines compute."""
    subject = Pair(text, feed=nets.samples(type, shapes, keywords))
    chance = random.Random(f"{type} {place}")
    for _ in range(3):
        subject.forward()
        for act in chance.sample(["take", "take", "take", "write", "release", "none"], 4):
            number, kind = chance.randrange(1000), chance.choice(["data", "diff"])
            if act == "take":
                subject.take(number, kind)
            elif act == "write":
                subject.write_once(number, "diff", "part")
            elif act == "release":
                subject.release(number)
        if not subject.oracle.layers[-1].no_gradient:
            subject.backward()
        subject.agree()
        subject.clear()
        subject.feed()
        subject.agree()


def test_the_law_has_teeth():
    """The pair notices an array that is not live."""
    found = Pair(nets.PLAIN)
    found.forward()
    found.take(1, "data")
    name, ours, theirs = found.held[0]
    found.held[0] = name, np.array(ours), theirs
    found.feed()
    found.forward()
    with pytest.raises(AssertionError, match=name):
        found.agree()
