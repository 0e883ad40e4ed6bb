"""Long short-term memory for sequences in the first axis: the `Lstm` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import register, scratch
from minidl.layers.lstm import LSTM


@register("Lstm")
class Lstm(LSTM):
    r"""The LSTM of caffe-lstm: that of Caffe, but with sequences that need no second bottom.

    The equations are those of LSTM, the sums in the order i, f, o, g. Without bottom[1] all
    sequences begin in the first step; with it, a pass begins with the states that the one before it
    left. With clipping_threshold c > 0, backward clips dz[t] to -c ... c in every step.

    bottom[0]    x: (T, N, ...), T steps of N sequences
    bottom[1]    optional: (T, N), 0 where a sequence begins, 1 where it goes on; no gradient
    top[0]       h: (T, N, num_output)
    W_xc         (4 num_output, numbers in x[t, n])
    W_hc         (4 num_output, num_output)
    b_c          (4 num_output)
    lstm_param   num_output; weight_filler and bias_filler, of both weights and of the bias;
                 clipping_threshold (0: none); batch_size, of the first form of this layer, is not
                 read

    The fork's gradient of W_hc at a state left by the pass before takes that of one sequence for
    all; here it is the derivative. W_hc has it only where a sequence goes on.

    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000;
    junhyukoh/caffe-lstm as tianzhi0549/CTPN has it; clipping, Graves 2013, section 2.1.
    """

    fork = "tianzhi0549/CTPN, after junhyukoh/caffe-lstm"
    parameters = ("lstm_param",)
    bottoms = (1, 2)
    tops = 1

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.limit = spec.lstm_param.clipping_threshold
        if not (0 <= self.limit < math.inf):
            self.reject_field(
                "lstm_param.clipping_threshold", expected="a number above 0, or 0 for none"
            )

    def read_counts(self, p):
        """Neither x_static nor exposed states."""

    def top_shapes(self, x, cont=None):
        if cont is not None and math.prod(cont) == math.prod(x[:2]):
            cont = x[:2]  # whatever its axes
        return super().top_shapes(x, x[:2] if cont is None else cont)

    def param_shapes(self, x, cont=None):
        shapes = super().param_shapes(x, x[:2])
        return {name: shapes[name] for name in ("W_xc", "W_hc", "b_c")}

    def buffers(self, x, cont=None):
        buffers = super().buffers(x, x[:2])
        if cont is None:  # no state goes from pass to pass
            state = (x[1], self.size)
            buffers |= {f"{name}_state": scratch(state) for name in self.states}
        return buffers

    def multiply_adds(self, x, cont=None):
        return super().multiply_adds(x, x[:2])

    def sample_bottoms(self, shapes, rng):
        return super().sample_bottoms([*shapes, shapes[0][:2]][:2], rng)[: len(shapes)]

    def going_on(self, bottom):
        steps, count = bottom[0].shape[:2]
        if len(bottom) > 1:
            return bottom[1].data.reshape(steps, count)
        return self.table(_begin_together, steps, count, self.dtype)

    def first_states(self, bottom):
        states = super().first_states(bottom)
        if len(bottom) == 1:
            for state in states:
                state.fill(0)
        return states

    def bound(self, dz):
        if self.limit > 0:
            self.xp.clip(dz, -self.limit, self.limit, out=dz)


def _begin_together(steps, count, dtype):
    return np.repeat(np.arange(steps) > 0, count).reshape(steps, count).astype(dtype)
