"""Layers that remember: the base of `RNN` and `LSTM`, and the `RNN` layer."""

from __future__ import annotations

import logging
import math
from typing import ClassVar

import numpy as np

from minidl.layers.base import Layer, carried, register, saved, scratch
from minidl.layers.folding import matrix

log = logging.getLogger("minidl")


class Recurrent(Layer):
    """A layer that goes through T time steps of N sequences at once, a hidden state in hand.

    Its bottoms are x, (T, N, ...); cont, (T, N), which multiplies the state of a sequence before it
    enters a step, so that 0 begins a new sequence and 1 goes on; perhaps x_static, (N, ...), which
    every step sees; and with expose_hidden each state to begin with, (1, N, H). Its tops are the
    output, (T, N, H), and with expose_hidden each state after the last step.

    Without expose_hidden a pass begins with the states that the pass before it left; gradients do
    not go back across that. The first pass begins with zeros, and so does one after `reset()` or
    after N changed.

    What a subclass states:

    states    names of the states, the first of which is "hidden"
    input_to  names of the weights (and of the bias) from x and from x_static to the sums that
              enter a step
    width     how many such sums there are for each of the H numbers of a state
    """

    family = "sequence"
    states: ClassVar[tuple[str, ...]]
    input_to: ClassVar[tuple[str, str, str]]
    width: ClassVar[int] = 1
    exposed = False
    parameters = ("recurrent_param",)
    no_gradient = (1,)

    def __init__(self, spec, ctx):
        p = getattr(spec, self.parameters[0])
        self.read_counts(p)
        super().__init__(spec, ctx)
        if p.num_output == 0:
            self.reject("num_output is 0 or missing", expected="the size of the hidden state")
        if spec.recurrent_param.debug_info:
            log.warning("%s: debug_info has no effect: there is no inner net", self.where)
        self.size = p.num_output
        states = len(self.states) if self.exposed else 0
        self.has_static = len(spec.bottom) == 3 + states
        self.weight_filler, self.bias_filler = p.weight_filler, p.bias_filler

    def read_counts(self, p):
        """Set `exposed`, and how many bottoms and tops there are with it."""
        self.exposed = p.expose_hidden
        states = len(self.states) if self.exposed else 0
        self.bottoms, self.tops = (2 + states, 3 + states), 1 + states

    # ------------------------------------------------------------------ declare

    def top_shapes(self, x, cont, *others):
        spec = self.spec
        if len(x) < 3:
            self.reject(
                f"expects steps of sequences of at least one number, but '{spec.bottom[0]}' is {x}",
                expected="a bottom of shape (T, N, ...)",
            )
        steps, count = x[:2]
        if cont != (steps, count):
            self.reject(
                f"'{spec.bottom[0]}' {x} has {steps} steps of {count} sequences, "
                f"but '{spec.bottom[1]}' is {cont}",
                expected=f"({steps}, {count}): 0 where a sequence begins, else 1",
            )
        static, first = self._split(others)
        if static is not None and (len(static) < 2 or static[0] != count):
            self.reject(
                f"'{spec.bottom[2]}' is {static}",
                expected=f"({count}, ...): numbers for each of the {count} sequences",
            )
        state = (1, count, self.size)
        names = spec.bottom[len(spec.bottom) - len(first) :]
        for name, shape in zip(names, first, strict=True):
            if shape != state:
                self.reject(f"the first state '{name}' is {shape}", expected=f"{state}")
        return ((steps, count, self.size), *(state for _ in first))

    def param_shapes(self, x, cont, *others):
        weight, bias, static_weight = self.input_to
        sums = self.width * self.size
        shapes = {weight: (sums, math.prod(x[2:])), bias: (sums,)}
        static, _ = self._split(others)
        if static is not None:
            shapes[static_weight] = (sums, math.prod(static[1:]))
        shapes.update(self.inner_shapes())
        self.fillers = {
            name: self.weight_filler if len(shape) == 2 else self.bias_filler
            for name, shape in shapes.items()
        }
        return shapes

    def inner_shapes(self):
        """Return the parameters after those of the inputs."""
        raise NotImplementedError

    def buffers(self, x, cont, *others):
        steps, count = cont
        sums = self.width * self.size
        # For the products in `add_product`, one parameter at a time.
        largest = max(map(math.prod, self.param_shapes(x, cont, *others).values()))
        buffers = {
            "sums": saved((steps, count, sums)),
            "dsums": scratch((steps, count, sums)),
            "hidden_before": saved((steps, count, self.size)),  # times cont
            "from_hidden": scratch((count, sums)),
            "dhidden": scratch((count, self.size)),
            "product": scratch((largest,)),
        }
        if self.has_static:
            buffers["static_sums"] = scratch((count, sums))
        if not self.exposed:
            for state in self.states:
                buffers[f"{state}_state"] = carried((count, self.size))
        return buffers

    def multiply_adds(self, x, cont, *others):
        steps, count = cont
        static, _ = self._split(others)
        once = count * self.width * self.size * math.prod(static[1:]) if static else 0
        shapes = [s for n, s in self.param_shapes(x, cont, *others).items() if len(s) == 2]
        if static:
            shapes.remove((self.width * self.size, math.prod(static[1:])))
        return once + steps * count * sum(map(math.prod, shapes))

    def sample_bottoms(self, shapes, rng):
        """Return sequences that begin in the first step, unless a state is given, and in some
        others."""
        x, *others = (rng.standard_normal(shape) for shape in shapes)
        cont = (rng.random(shapes[1]) < 0.7).astype(np.float64)
        cont[:1] = 1 if self.exposed else 0  # given states are carried on, others begin at 0
        return [x, cont, *others[1:]]

    def _split(self, others):
        """Return x_static, or None, and the first states, from the bottoms after cont."""
        return (others[0], others[1:]) if self.has_static else (None, others)

    # ------------------------------------------------------------------ act

    def reset(self):
        """Begin the next pass with states of zero."""
        with self.ctx.device.current():
            for state in self.states:
                if (array := self.bound_as(f"{state}_state")) is not None:
                    array.fill(0)

    def first_states(self, bottom):
        """Return the states that this pass begins with, each (N, H)."""
        if self.exposed:
            _, first = self._split(bottom[2:])
            return [blob.data[0] for blob in first]
        return [self.bound_as(f"{state}_state") for state in self.states]

    def leave_states(self, top, states):
        """Give the states after the last step to the tops, or to the next pass."""
        for i, (name, values) in enumerate(zip(self.states, states, strict=True)):
            room = top[1 + i].data[0] if self.exposed else self.bound_as(f"{name}_state")
            room[...] = values

    def sum_inputs(self, bottom):
        """Fill `sums`, (T, N, width * H), with what x and x_static add to every step."""
        xp, sums = self.xp, self.sums
        weight, bias, static_weight = map(self.bound_as, self.input_to)
        # All steps in one product, (T * N, inputs) by (inputs, width * H): only what needs the
        # hidden state goes step by step.
        xp.matmul(matrix(bottom[0].data, 2), weight.data.T, out=matrix(sums, 2))
        sums += bias.data
        if self.has_static:
            static = matrix(bottom[2].data, 1)
            xp.matmul(static, static_weight.data.T, out=self.static_sums)
            sums += self.static_sums  # (N, ...) broadcast over the steps

    def last_gradient(self, top, state, out):
        """Start `out` with the gradient of a state after the last step."""
        if self.exposed:
            out[...] = top[1 + self.states.index(state)].diff[0]
        else:
            out.fill(0)

    def leave_gradients(self, wanted, bottom, gradients):
        """Take `dsums` and the gradients of the first states to parameters and bottoms."""
        xp, dsums = self.xp, self.dsums
        weight, bias, static_weight = map(self.bound_as, self.input_to)
        rows = matrix(dsums, 2)  # (T * N, width * H)
        self.add_product(weight, rows, matrix(bottom[0].data, 2))
        self.add_sum(bias, rows)
        if wanted[0]:
            xp.matmul(rows, weight.data, out=matrix(bottom[0].diff, 2))
        if self.has_static:
            xp.sum(dsums, axis=0, out=self.static_sums)
            self.add_product(static_weight, self.static_sums, matrix(bottom[2].data, 1))
            if wanted[2]:
                xp.matmul(self.static_sums, static_weight.data, out=matrix(bottom[2].diff, 1))
        if self.exposed:
            _, first = self._split(bottom[2:])
            for blob, want, gradient in zip(first, wanted[-len(first) :], gradients, strict=True):
                if want:
                    blob.diff[0] = gradient

    def add_product(self, param, d, x):
        """Add the gradient of the weights that turned the rows of x into sums of gradient d."""
        if param.wanted:
            product = self.product[: param.count].reshape(param.shape)
            self.xp.matmul(d.T, x, out=product)
            param.diff += product

    def add_sum(self, param, d):
        """Add the gradient of a bias."""
        if param.wanted:
            total = self.product[: param.count]
            self.xp.sum(d, axis=0, out=total)
            param.diff += total


@register("RNN")
class RNN(Recurrent):
    r"""The plain recurrent layer: a hidden state that every step mixes with its input.

    For the steps t of every sequence,

        h[t] = tanh(W_xh x[t] + W_xh_static x_static + b_h + W_hh (cont[t] h[t-1]))
        o[t] = tanh(W_ho h[t] + b_o)

    and backward through time, with do[t] from above and the rest from step t + 1,

        ds[t]   = do[t] * (1 - o[t]**2)
        dh[t]   = W_ho' ds[t] + cont[t+1] W_hh' du[t+1]
        du[t]   = dh[t] * (1 - h[t]**2)
        dx[t]   = W_xh' du[t]

    bottom[0]   x: (T, N, ...), T steps of N sequences
    bottom[1]   cont: (T, N); 0 where a sequence begins, 1 where it goes on
    bottom[2]   optional: x_static, (N, ...), the same for all steps; with expose_hidden and
                without x_static the first state h_0, (1, N, num_output)
    bottom[3]   h_0, if there is x_static, too
    top[0]      o: (T, N, num_output)
    top[1]      with expose_hidden: h after the last step, (1, N, num_output)
    W_xh, b_h   (num_output, numbers in x[t, n]) and (num_output)
    W_xh_static if there is x_static: (num_output, numbers in x_static[n])
    W_hh        (num_output, num_output)
    W_ho, b_o   (num_output, num_output) and (num_output)

    recurrent_param
        num_output              the size of hidden state and output
        weight_filler, bias_filler   of all weights, of both biases
        expose_hidden (false)   the first state is a bottom, the last one a top; otherwise a pass
                                begins with the state that the one before it left, for the first
                                one 0. Snapshots keep it, unlike Caffe's.
        debug_info              does nothing: Caffe builds a net of T copies inside, here is none

    Where Caffe leaves a gradient out, at the exposed states, this layer gives it. T may change from
    pass to pass.

    Source: Elman 1990; backward through time: Werbos 1990; parameters and states as in Caffe.
    """

    bottoms = (2, 4)
    tops = (1, 2)
    keeps = ("bottom", "top")
    states = ("hidden",)
    input_to = ("W_xh", "b_h", "W_xh_static")

    def inner_shapes(self):
        square = (self.size, self.size)
        return {"W_hh": square, "W_ho": square, "b_o": (self.size,)}

    def buffers(self, x, cont, *others):
        outputs = (*cont, self.size)
        return {
            **super().buffers(x, cont, *others),
            "doutputs": scratch(outputs),
            "slope": scratch((cont[1], self.size)),
        }

    def forward(self, bottom, top):
        xp, cont, hidden, before = self.xp, bottom[1].data, self.sums, self.hidden_before
        weight = self.W_hh.data.T
        self.sum_inputs(bottom)
        (h,) = self.first_states(bottom)
        for t in range(len(hidden)):
            xp.multiply(h, cont[t][:, None], out=before[t])
            xp.matmul(before[t], weight, out=self.from_hidden)
            h = hidden[t]  # so far what the inputs add; from here on the state
            h += self.from_hidden
            xp.tanh(h, out=h)
        o = matrix(top[0].data, 2)
        xp.matmul(matrix(hidden, 2), self.W_ho.data.T, out=o)
        o += self.b_o.data
        xp.tanh(o, out=o)
        self.leave_states(top, [h])

    def backward(self, top, wanted, bottom):
        xp, hidden, du, dh, slope = self.xp, self.sums, self.dsums, self.dhidden, self.slope
        cont, ds, weight = bottom[1].data, self.doutputs, self.W_hh.data
        xp.square(top[0].data, out=ds)
        xp.subtract(1, ds, out=ds)
        ds *= top[0].diff  # the gradient of what tanh is taken of
        rows = matrix(ds, 2)
        self.add_product(self.W_ho, rows, matrix(hidden, 2))
        self.add_sum(self.b_o, rows)
        xp.matmul(rows, self.W_ho.data, out=matrix(du, 2))  # what comes from above
        self.last_gradient(top, "hidden", dh)
        for t in reversed(range(len(du))):
            du[t] += dh
            xp.square(hidden[t], out=slope)
            xp.subtract(1, slope, out=slope)
            du[t] *= slope
            xp.matmul(du[t], weight, out=dh)
            dh *= cont[t][:, None]  # nothing goes back beyond where a sequence begins
        self.add_product(self.W_hh, matrix(du, 2), matrix(self.hidden_before, 2))
        self.leave_gradients(wanted, bottom, [dh])
