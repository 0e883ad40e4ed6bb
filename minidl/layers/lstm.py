"""Long short-term memory: the `LSTM` layer, and one step of it, `LSTMUnit`."""

from __future__ import annotations

from minidl.layers.base import Count, Layer, register, saved, scratch
from minidl.layers.folding import matrix
from minidl.layers.recurrent import Recurrent


@register("LSTM")
class LSTM(Recurrent):
    r"""A recurrent layer whose cells keep what their gates let them.

    For the steps t of every sequence, with s(z) = 1 / (1 + exp(-z)) and the sums z cut into four
    parts in the order i, f, o, g,

        z[t] = W_xc x[t] + W_xc_static x_static + b_c + W_hc (cont[t] h[t-1])
        i, f, o = s(z_i), s(z_f), s(z_o);   g = tanh(z_g)
        c[t] = f * (cont[t] c[t-1]) + i * g
        h[t] = o * tanh(c[t])

    and backward through time, with dh[t] from above and from step t + 1, dc[t] from step t + 1,

        dc[t]  += dh[t] * o * (1 - tanh(c[t])**2)
        dz_i    = dc[t] * g * i * (1 - i)          dz_f = dc[t] * cont[t] c[t-1] * f * (1 - f)
        dz_o    = dh[t] * tanh(c[t]) * o * (1 - o) dz_g = dc[t] * i * (1 - g**2)
        dc[t-1] = cont[t] * f * dc[t]
        dh[t-1] = cont[t] * W_hc' dz[t]            dx[t] = W_xc' dz[t]

    bottom[0]   x: (T, N, ...), T steps of N sequences
    bottom[1]   cont: (T, N); 0 where a sequence begins, 1 where it goes on
    bottom[2]   optional: x_static, (N, ...), the same for all steps
    bottom[3], bottom[4]   with expose_hidden: the first states h_0 and c_0, (1, N, num_output);
                without x_static they are bottom[2] and bottom[3]
    top[0]      h: (T, N, num_output)
    top[1], top[2]   with expose_hidden: h and c after the last step, (1, N, num_output)
    W_xc, b_c   (4 num_output, numbers in x[t, n]) and (4 num_output)
    W_xc_static if there is x_static: (4 num_output, numbers in x_static[n])
    W_hc        (4 num_output, num_output)

    recurrent_param as for RNN

    Where Caffe leaves a gradient out, at the exposed states, this layer gives it. T may change from
    pass to pass.

    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000;
    parameters and states as in Caffe.
    """

    bottoms: Count = (2, 5)
    tops: Count = (1, 3)
    keeps = ("bottom",)
    states = ("hidden", "cell")
    input_to = ("W_xc", "b_c", "W_xc_static")
    width = 4

    def inner_shapes(self):
        return {"W_hc": (4 * self.size, self.size)}

    def buffers(self, x, cont, *others):
        state, every = (cont[1], self.size), (*cont, self.size)
        return {
            **super().buffers(x, cont, *others),
            "cell_before": saved(every),  # times cont
            "tanh_cell": saved(every),
            "cell": scratch(state),
            "dcell": scratch(state),
            "room": scratch(state),
        }

    def forward(self, bottom, top):
        xp, y, weight = self.xp, top[0].data, self.W_hc.data.T
        cont = self.going_on(bottom)
        self.sum_inputs(bottom)
        h, c = self.first_states(bottom)
        for t in range(len(y)):
            gates, going_on = self.sums[t], cont[t][:, None]  # (N, 4 H), (N, 1)
            xp.multiply(h, going_on, out=self.hidden_before[t])
            xp.multiply(c, going_on, out=self.cell_before[t])
            xp.matmul(self.hidden_before[t], weight, out=self.from_hidden)
            gates += self.from_hidden
            h, c = y[t], self.cell
            step(xp, gates, self.cell_before[t], c, self.tanh_cell[t], h)
        self.leave_states(top, [h, c])

    def backward(self, top, wanted, bottom):
        xp, dy, dz = self.xp, top[0].diff, self.dsums
        cont = self.going_on(bottom)
        dh, dc, weight = self.dhidden, self.dcell, self.W_hc.data
        slopes(xp, self.sums, out=dz)
        self.last_gradient(top, "hidden", dh)
        self.last_gradient(top, "cell", dc)
        for t in reversed(range(len(dz))):
            going_on = cont[t][:, None]
            dh += dy[t]  # from the top, beside what the next step sends back
            gates, before = self.sums[t], self.cell_before[t]
            step_backward(xp, gates, before, self.tanh_cell[t], dh, dc, dz[t], self.room)
            self.bound(dz[t])
            dc *= going_on  # nothing goes back beyond where a sequence begins
            xp.matmul(dz[t], weight, out=dh)
            dh *= going_on
        # One product over all steps, (4 H, T * N) times (T * N, H).
        self.add_product(self.W_hc, matrix(dz, 2), matrix(self.hidden_before, 2))
        self.leave_gradients(wanted, bottom, [dh, dc])

    def going_on(self, bottom):
        """cont, (T, N)."""
        return bottom[1].data

    def bound(self, dz):
        """Change the gradient of a step's sums, for layers that limit it."""


@register("LSTMUnit")
class LSTMUnit(Layer):
    r"""One step of an LSTM, given the sums that enter its gates.

    With s(z) = 1 / (1 + exp(-z)), and z cut into four parts in the order i, f, o, g,

        c = s(z_f) * cont * c_before + s(z_i) * tanh(z_g)
        h = s(z_o) * tanh(c)

    and backward as in LSTM.

    bottom[0]   c_before: the cells after the step before, (1, N, H)
    bottom[1]   z: (1, N, 4 H)
    bottom[2]   cont: (1, N); 0 where a sequence begins, 1 where it goes on; no gradient
    top[0]      c: (1, N, H)
    top[1]      h: (1, N, H)

    Between 0 and 1, cont has the exact derivative here; Caffe's is meant for 0 and 1.

    Source: Gers, Schmidhuber & Cummins 2000; Caffe.
    """

    family = "sequence"
    bottoms = 3
    tops = 2
    no_gradient = (2,)

    def top_shapes(self, before, sums, cont):
        names = self.spec.bottom
        if len(before) != 3 or before[0] != 1:
            self.reject(f"'{names[0]}' is {before}", expected="cells of one step: (1, N, H)")
        _, count, size = before
        for name, shape, expected in (
            (names[1], sums, (1, count, 4 * size)),
            (names[2], cont, (1, count)),
        ):
            if shape != expected:
                self.reject(
                    f"'{name}' is {shape} beside '{names[0]}' {before}", expected=f"{expected}"
                )
        return before, before

    def buffers(self, before, sums, cont):
        state = before[1:]
        return {
            "gates": saved(sums[1:]),
            "dgates": scratch(sums[1:]),
            "going_on": saved((before[1], 1)),
            "cell_before": saved(state),  # times cont
            "tanh_cell": saved(state),
            "dcell": scratch(state),
            "room": scratch(state),
        }

    def multiply_adds(self, before, sums, cont):
        return 3 * before[1] * before[2]

    def sample_bottoms(self, shapes, rng):
        before, sums, cont = (rng.standard_normal(shape) for shape in shapes)
        return [before, sums, (cont > -0.5).astype(cont.dtype)]

    def forward(self, bottom, top):
        xp, before = self.xp, self.cell_before
        self.going_on[...] = bottom[2].data.reshape(-1, 1)
        self.gates[...] = bottom[1].data[0]
        xp.multiply(bottom[0].data[0], self.going_on, out=before)
        step(xp, self.gates, before, top[0].data[0], self.tanh_cell, top[1].data[0])

    def backward(self, top, wanted, bottom):
        xp, gates, dc = self.xp, self.gates, self.dcell
        dc[...] = top[0].diff[0]
        dz = bottom[1].diff[0] if wanted[1] else self.dgates
        slopes(xp, gates, out=dz)
        dh = top[1].diff[0]
        step_backward(xp, gates, self.cell_before, self.tanh_cell, dh, dc, dz, self.room)
        if wanted[0]:
            xp.multiply(dc, self.going_on, out=bottom[0].diff[0])


def step(xp, gates, before, c, tanh_c, h):
    """Take N sequences one step forward.

    gates    (N, 4 H): the sums, overwritten by i, f, o and g
    before   (N, H): the cells before it, times cont
    c, tanh_c, h   (N, H): filled
    """
    i, f, o, g = _parts(gates)
    sigmoids = gates[:, : -g.shape[1]]
    sigmoids *= 0.5  # s(z) = (1 + tanh(z / 2)) / 2, which cannot overflow
    xp.tanh(gates, out=gates)
    sigmoids += 1
    sigmoids *= 0.5
    xp.multiply(i, g, out=c)
    xp.multiply(f, before, out=h)
    c += h
    xp.tanh(c, out=tanh_c)
    xp.multiply(o, tanh_c, out=h)


def slopes(xp, gates, out):
    """Fill `out` with the derivatives of i, f, o and g by their sums, for any number of steps."""
    cut = 3 * (gates.shape[-1] // 4)
    sigmoids, tanhs = out[..., :cut], out[..., cut:]
    # s - s**2 for the three sigmoids, 1 - g**2 for the tanh.
    xp.square(gates, out=out)
    xp.subtract(gates[..., :cut], sigmoids, out=sigmoids)
    xp.subtract(1, tanhs, out=tanhs)


def step_backward(xp, gates, before, tanh_c, dh, dc, dz, room):
    """Take the gradient back through one step.

    dh       (N, H): of h
    dc       (N, H): of c, but for what comes through h; turned into that of `before`
    dz       (N, 4 H): holds the slopes, turned into the gradient of the sums
    room     (N, H): overwritten
    """
    i, f, o, g = _parts(gates)
    dz_i, dz_f, dz_o, dz_g = _parts(dz)
    xp.multiply(dh, tanh_c, out=room)
    dz_o *= room  # do = dh * tanh(c)
    room *= tanh_c
    xp.subtract(dh, room, out=room)  # dh * (1 - tanh(c)**2)
    room *= o
    dc += room  # what reaches c through h
    for part, factor in ((dz_i, g), (dz_f, before), (dz_g, i)):
        xp.multiply(dc, factor, out=room)
        part *= room
    dc *= f  # what reaches the cells before


def _parts(gates):
    """Return the four views (N, H) of an array (N, 4 H)."""
    size = gates.shape[1] // 4
    return [gates[:, k * size : (k + 1) * size] for k in range(4)]
