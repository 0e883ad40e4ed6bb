"""Normalised activations with a learned scale and shift, as two forks have them: the `BN` layer."""

from __future__ import annotations

import math

from minidl.layers.base import Layer, register, saved, scratch
from minidl.layers.folding import fold, middle_dot, middle_sum, views

SEGNET = ("scale_filler", "shift_filler", "bn_mode")
PSPNET = ("slope_filler", "bias_filler", "momentum", "eps", "frozen")
SEGNET_EPS = 1e-9


@register("BN")
class BN(Layer):
    r"""Bring each channel to mean 0 and variance 1, then to a learned scale and shift.

    Over the m values that a channel has in the batch,

        mu = mean(x)        var = mean((x - mu)**2)         u = (x - mu) / sqrt(var + eps)
        y  = scale * u + shift

        dscale = sum(dy * u)        dshift = sum(dy)
        dx = scale * (dy - mean(dy) - u * mean(dy * u)) / sqrt(var + eps)

    Two forks have a layer of this name. Which one is meant is seen from the fields: any of
    slope_filler, bias_filler, momentum, eps and frozen is PSPNet's, any other SegNet's; where
    there are none of either, four blobs or four param entries are PSPNet's.

    SegNet's, with two parameters, takes mu and var from the batch in either phase, with eps 1e-9.
    With bn_mode INFERENCE they have been folded into scale and shift by a tool: u is x itself.

    PSPNet's, with four, takes them from the batch in training only, and each time updates

        mean = momentum * mean + (1 - momentum) * mu        variance likewise, by var

    In TEST, and with `frozen`, mu and var are these and dx = scale * dy / sqrt(var + eps). All
    four are learned neither by a solver nor by the layer where it is `frozen`.

    bottom[0]           (N, C, ...)
    top[0]              the same shape; may be bottom[0] itself
    top[1], top[2]      optional, SegNet's with bn_mode LEARN: mu and var, (1, C, 1, 1). Where
                        something above sends a gradient down, it is added to dx; the fork drops it
    scale, shift        (1, C, 1, 1); PSPNet calls them slope and bias
    mean, variance      (1, C, 1, 1), PSPNet's: set by the layer, never by a solver
    bn_param            SegNet's: scale_filler, shift_filler (both 0), bn_mode (LEARN)
                        PSPNet's: slope_filler, bias_filler (both 0), momentum (0.9), eps (1e-5),
                        frozen (false); engine, which is not read

    Source: Ioffe & Szegedy 2015, algorithm 1; Badrinarayanan et al. 2017 (SegNet) and Zhao et al.
    2017 (PSPNet), their forks of Caffe.
    """

    family = "norm"
    fork = "alexgkendall/caffe-segnet, and PSPNet"
    keeps_positions = True
    parameters = ("bn_param",)
    tops = (1, 3)
    in_place = True

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.bn_param
        self.keeps_statistics = self._is_pspnets()
        if self.keeps_statistics:
            self.fillers = {"scale": p.slope_filler, "shift": p.bias_filler}
            self.eps, self.momentum = p.eps, p.momentum
            self.moments = "stored" if p.frozen or not ctx.training else "batch"
            fixed = ("scale", "shift") if p.frozen else ()
            self.statistics = (*fixed, "mean", "variance")
            self._check_numbers()
        else:
            self.fillers = {"scale": p.scale_filler, "shift": p.shift_filler}
            self.eps, self.moments = SEGNET_EPS, "batch" if p.bn_mode == p.LEARN else "none"
        if len(spec.top) > 1 and (self.keeps_statistics or self.moments == "none"):
            fork = "PSPNet's" if self.keeps_statistics else "SegNet's with bn_mode INFERENCE"
            self.reject(
                f"has {len(spec.top)} tops, and is {fork}", expected="1 top: it finds no statistics"
            )
        self.saves = self.moments != "none" or self.is_in_place
        self.keeps = () if self.saves else ("bottom",)

    def _is_pspnets(self):
        p, spec = self.spec.bn_param, self.spec
        segnets = [name for name in SEGNET if p.HasField(name)]
        pspnets = [name for name in PSPNET if p.HasField(name)]
        if segnets and pspnets:
            self.reject(
                f"has {segnets[0]}, which is SegNet's, and {pspnets[0]}, which is PSPNet's",
                expected="the fields of one fork",
                field=f"bn_param.{pspnets[0]}",
            )
        # Where no field tells, four parameters do: PSPNet's layer has two statistics, too.
        return bool(pspnets) or not segnets and 4 in (len(spec.blobs), len(spec.param))

    def _check_numbers(self):
        if not 0 <= self.momentum <= 1:
            self.reject_field("bn_param.momentum", expected="0 to 1")
        if not (self.eps >= 0 and math.isfinite(self.eps)):
            self.reject_field("bn_param.eps", expected="a finite number >= 0")

    def top_shapes(self, bottom):
        if len(bottom) < 2 or 0 in bottom:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...), not empty")
        statistic = (1, bottom[1], 1, 1)
        return (bottom, statistic, statistic)[: len(self.spec.top)]

    def param_shapes(self, bottom):
        shape = (1, bottom[1], 1, 1)
        names = ["scale", "shift"] + ["mean", "variance"] * self.keeps_statistics
        return {name: shape for name in names}

    def buffers(self, bottom):
        channels = bottom[1]
        needed = {"by_channel": scratch((4, channels)), "part": scratch(fold(bottom, 1))}
        if self.moments != "none":
            needed["inv_std"] = saved((channels,))
        if self.saves:
            needed["normal"] = saved(fold(bottom, 1))  # u: a later layer may overwrite y in place
        return needed

    def multiply_adds(self, bottom):
        return math.prod(bottom) * (3 if self.moments == "batch" else 1)

    def forward(self, bottom, top):
        xp, three = self.xp, fold(bottom[0].shape, 1)
        x, y = views(lambda array: array.reshape(three), bottom[0].data, top[0].data)
        u = self.normal if self.saves else x  # (N, C, places), normalised
        if self.moments == "none":
            if self.saves:
                u[...] = x
        else:
            mu, var, _, _ = self.by_channel
            self._find_moments(x, mu, var)
            xp.subtract(x, mu[:, None], out=u)
            if self.moments == "batch":
                # Not mean(x**2) - mu**2, which loses all its digits where mu is large.
                middle_dot(xp, u, u, out=var, product=self.part)
                var /= three[0] * three[2]
                if self.keeps_statistics:
                    self._update(self.variance, var)
                for found, blob in zip((mu, var), top[1:], strict=False):
                    blob.data[...] = found.reshape(blob.shape)
            var += self.eps
            xp.sqrt(var, out=var)
            xp.divide(1, var, out=self.inv_std)
            u *= self.inv_std[:, None]
        xp.multiply(u, self.scale.data.reshape(-1, 1), out=y)
        y += self.shift.data.reshape(-1, 1)

    def backward(self, top, wanted, bottom):
        xp, three = self.xp, fold(bottom[0].shape, 1)
        dy, dx = views(lambda array: array.reshape(three), top[0].diff, bottom[0].diff)
        u = self.normal if self.saves else bottom[0].data.reshape(three)
        sum_dy, sum_dy_u, factor, _ = self.by_channel
        middle_sum(xp, dy, out=sum_dy)
        middle_dot(xp, dy, u, out=sum_dy_u, product=self.part)
        for param, total in ((self.shift, sum_dy), (self.scale, sum_dy_u)):
            if param.wanted:
                param.diff += total.reshape(param.shape)
        if not wanted[0]:
            return
        factor[...] = self.scale.data.reshape(-1)
        if self.moments != "none":
            factor *= self.inv_std
        if self.moments == "batch":
            m, part = three[0] * three[2], self.part
            # dx = scale / std * (dy - mean(dy) - u * mean(dy * u))
            sum_dy /= m
            sum_dy_u /= m
            xp.multiply(u, sum_dy_u[:, None], out=part)
            part += sum_dy[:, None]
            xp.subtract(dy, part, out=dx)
            dx *= factor[:, None]
            self._add_through_statistics(top[1:], u, dx)
        else:
            xp.multiply(dy, factor[:, None], out=dx)

    def _add_through_statistics(self, statistics, u, dx):
        """Add to dx what comes down through the tops that hold mu and var."""
        m, (share, _, _, _) = u.shape[0] * u.shape[2], self.by_channel
        if len(statistics) > 0:
            self.xp.divide(statistics[0].diff.reshape(-1), m, out=share)
            dx += share[:, None]
        if len(statistics) > 1:  # 2 (x - mu) / m, where x - mu is u / inv_std
            self.xp.divide(statistics[1].diff.reshape(-1), self.inv_std, out=share)
            share *= 2 / m
            self.xp.multiply(u, share[:, None], out=self.part)
            dx += self.part

    def _find_moments(self, x, mu, var):
        """The mean, and the variance if it is known already."""
        if self.moments == "stored":
            mu[...] = self.mean.data.reshape(-1)
            var[...] = self.variance.data.reshape(-1)
            return
        middle_sum(self.xp, x, out=mu)
        mu /= x.shape[0] * x.shape[2]
        if self.keeps_statistics:
            self._update(self.mean, mu)

    def _update(self, statistic, now):
        """statistic = momentum * statistic + (1 - momentum) * now"""
        share = self.by_channel[3]  # the other rows hold mu and var
        self.xp.multiply(now, 1 - self.momentum, out=share)
        statistic.data *= self.momentum
        values = statistic.data.reshape(-1)
        values += share
