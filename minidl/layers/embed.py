"""A vector for each word of a vocabulary: the `Embed` layer."""

from __future__ import annotations

import math

from minidl.layers.base import register, scratch
from minidl.layers.indices import Indexed


@register("Embed")
class Embed(Indexed):
    r"""Look up a learned row for every number: an InnerProduct of one-hot vectors, without those.

        y[i]  = weight[x[i]] + bias
        dweight[r] = sum(dy[i] where x[i] = r)        dbias = sum(dy[i])

    bottom[0]     any shape: whole numbers from 0 to input_dim - 1, stored as floats
    top[0]        (*bottom, num_output)
    weight        (input_dim, num_output)
    bias          (num_output), unless bias_term is false

    embed_param
        num_output, input_dim   length of a row, and how many of them there are
        bias_term (true), weight_filler, bias_filler

    The numbers get no gradient. One that names no row is refused, where Caffe reads and writes
    memory that is not the layer's. On a GPU it makes the top NaN.

    Source: Bengio, Ducharme, Vincent & Jauvin 2003, section 2: the matrix C.
    """

    family = "weights"
    parameters = ("embed_param",)
    no_gradient = (0,)
    labels_bottom = 0

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.embed_param
        for field, what in (
            ("num_output", "the length of a row"),
            ("input_dim", "the number of rows: one more than the largest number in the bottom"),
        ):
            if getattr(p, field) == 0:
                self.reject(f"{field} is 0 or missing", expected=what, field=f"embed_param.{field}")
        self.input_dim, self.num_output = p.input_dim, p.num_output
        self.bias_term = p.bias_term
        self.fillers = {"weight": p.weight_filler}
        if p.bias_term:
            self.fillers["bias"] = p.bias_filler

    def rows(self, shape):
        return self.input_dim

    def top_shapes(self, bottom):
        return ((*bottom, self.num_output),)

    def param_shapes(self, bottom):
        shapes = {"weight": (self.input_dim, self.num_output), "bias": (self.num_output,)}
        return {name: shapes[name] for name in self.fillers}

    def buffers(self, bottom):
        buffers = self.index_buffers(bottom, self.num_output)
        if self.bias_term:
            buffers["sums"] = scratch((self.num_output,))
        return buffers

    def multiply_adds(self, bottom):
        return math.prod(bottom) * self.num_output if self.bias_term else 0

    def sample_bottoms(self, shapes, rng):
        return [rng.integers(self.input_dim, size=shape).astype(float) for shape in shapes]

    def forward(self, bottom, top):
        self.read_indices(bottom[0].data, self.input_dim)
        y = top[0].data.reshape(-1, self.num_output)
        # Rows of W: W' times one-hot vectors
        self.xp.take(self.weight.data, self.row, axis=0, out=y)
        if self.bias_term:
            y += self.bias.data
        self.spoil(y)

    def backward(self, top, wanted, bottom):
        dy = top[0].diff.reshape(-1, self.num_output)
        if self.weight.wanted:
            self.add_rows(self.weight.diff, dy)  # a number that occurs twice adds both gradients
        if self.bias_term and self.bias.wanted:
            self.xp.sum(dy, axis=0, out=self.sums)
            self.bias.diff += self.sums

    def too_large(self, shown):
        return f"rows are counted from 0; or set input_dim to at least {shown} + 1"
