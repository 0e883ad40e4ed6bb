"""Activations brought to a common mean and variance: the `BatchNorm` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl import ops
from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.folding import fold, middle_dot, middle_sum, views


@register("BatchNorm")
class BatchNorm(Layer):
    r"""Bring each channel to mean 0 and variance 1, by the batch or by what was seen in training.

    Over the m values that a channel has in the batch (N and all axes after C),

        mu = mean(x)        var = mean((x - mu)**2)
        y  = (x - mu) / sqrt(var + eps)

    and backward, since mu and var depend on every x,

        dx = (dy - mean(dy) - y * mean(dy * y)) / sqrt(var + eps)

    Each such pass also updates three statistics, with f = moving_average_fraction:

        scale_factor = f * scale_factor + 1
        mean         = f * mean + mu
        variance     = f * variance + var * m / (m - 1)

    With `use_global_stats`, mu = mean / scale_factor and var = variance / scale_factor instead
    (both 0 while scale_factor is 0), nothing is updated, and dx = dy / sqrt(var + eps).

    bottom[0]          (N, C, ...) float
    top[0]             the same shape; may be bottom[0] itself
    mean, variance     (C), scale_factor (1): set by the layer, never by a solver
    batch_norm_param   use_global_stats (by default: in TEST, not in TRAIN),
                       moving_average_fraction, eps; engine (CAFFE: this code; MKLDNN: oneDNN;
                       CUDNN: cuDNN, on a GPU)

    There is no learned scale and shift here: add a Scale layer with `bias_term: true`. That is what
    becomes of NVIDIA's scale_bias, scale_filler and bias_filler when a net is read.

    Source: Ioffe & Szegedy 2015, algorithm 1 and section 3.1. They keep a moving average; Caffe,
    followed here, keeps decaying sums and their weight, so that early averages are not biased.
    """

    family = "norm"
    keeps_positions = True
    computes = (ops.BatchNorm,)
    parameters = ("batch_norm_param",)
    in_place = True
    statistics = ("mean", "variance", "scale_factor")

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.batch_norm_param
        has_choice = p.HasField("use_global_stats")
        self.use_global_stats = p.use_global_stats if has_choice else not ctx.training
        self.fraction, self.eps = p.moving_average_fraction, p.eps
        if not 0 <= self.fraction <= 1:
            self.reject_field(
                "batch_norm_param.moving_average_fraction",
                expected="0 (only the last batch counts) to 1 (all batches count the same)",
            )
        if not (self.eps >= 0 and math.isfinite(self.eps)):
            self.reject_field("batch_norm_param.eps", expected="a finite number >= 0")
        self.check_engine(p)
        self.op = ops.BatchNorm(self.eps, self.fraction, self.use_global_stats)
        for i, param in enumerate(spec.param):
            if param.HasField("lr_mult") and param.lr_mult != 0:
                self.reject(
                    f"param {i} has lr_mult {param.lr_mult:g}, but no solver can learn statistics",
                    expected="lr_mult: 0",
                    fix="delete the layer's param entries; a Scale layer with bias_term: true "
                    "after it has the learned scale and shift",
                )

    def top_shapes(self, bottom):
        if len(bottom) < 2 or 0 in bottom:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...), not empty")
        return (bottom,)

    def param_shapes(self, bottom):
        channels = (bottom[1],)
        return {"mean": channels, "variance": channels, "scale_factor": (1,)}

    def buffers(self, bottom):
        channels = bottom[1]
        small = {"inv_std": saved((channels,)), "by_channel": scratch((3, channels))}
        if self.use_global_stats:
            return {**small, "unset": scratch((1,), np.bool_), "weight": scratch((1,))}
        # x - mu rather than y: a later layer may overwrite y in place.
        return {"centred": saved(bottom), "part": scratch(bottom), **small}

    def multiply_adds(self, bottom):
        return math.prod(bottom) * (1 if self.use_global_stats else 3)

    def forward(self, bottom, top):
        xp, three = self.xp, fold(bottom[0].shape, 1)
        x, y = views(lambda array: array.reshape(three), bottom[0].data, top[0].data)
        mu, var, unbiased = self.by_channel  # each (C,)
        if self.use_global_stats:
            centred = y
            self._read_statistics(mu, var)
            xp.subtract(x, mu[:, None], out=centred)
        else:
            centred, m = self.centred.reshape(three), three[0] * three[2]
            middle_sum(xp, x, out=mu)
            mu /= m
            xp.subtract(x, mu[:, None], out=centred)
            # Not mean(x**2) - mu**2, which loses all its digits where mu is large.
            middle_dot(xp, centred, centred, out=var, product=self.part)
            var /= m
            xp.multiply(var, m / (m - 1) if m > 1 else 1, out=unbiased)  # which Caffe stores
            self._update_statistics(mu, unbiased)
        var += self.eps
        xp.sqrt(var, out=var)
        xp.divide(1, var, out=self.inv_std)
        xp.multiply(centred, self.inv_std[:, None], out=y)

    def backward(self, top, wanted, bottom):
        xp, three = self.xp, fold(bottom[0].shape, 1)
        dy, dx = views(lambda array: array.reshape(three), top[0].diff, bottom[0].diff)
        inv_std = self.inv_std[:, None]
        if self.use_global_stats:
            xp.multiply(dy, inv_std, out=dx)
            return
        centred, part = self.centred.reshape(three), self.part.reshape(three)
        mean_dy, slope, squared = self.by_channel
        m = three[0] * three[2]
        middle_sum(xp, dy, out=mean_dy)
        mean_dy /= m
        middle_dot(xp, dy, centred, out=slope, product=part)
        slope /= m
        xp.square(self.inv_std, out=squared)
        slope *= squared
        xp.multiply(centred, slope[:, None], out=part)  # y * mean(dy * y)
        xp.subtract(dy, part, out=part)
        part -= mean_dy[:, None]
        xp.multiply(part, inv_std, out=dx)

    def _read_statistics(self, mu, var):
        xp, factor, weight = self.xp, self.scale_factor.data, self.weight
        xp.equal(factor, 0, out=self.unset)
        xp.add(factor, self.unset, out=weight)
        xp.divide(1, weight, out=weight)
        xp.copyto(weight, 0, where=self.unset)  # 1 / factor, or 0 before anything was seen
        xp.multiply(self.mean.data, weight, out=mu)
        xp.multiply(self.variance.data, weight, out=var)

    def _update_statistics(self, mu, unbiased):
        for statistic, now in (
            (self.scale_factor.data, 1),
            (self.mean.data, mu),
            (self.variance.data, unbiased),
        ):
            statistic *= self.fraction
            statistic += now
