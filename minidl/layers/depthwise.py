"""One filter for each channel: the `DepthwiseConvolution` and `ConvolutionDepthwise` layers."""

from __future__ import annotations

from dataclasses import replace

from minidl.layers.base import register
from minidl.layers.convolution import Convolution


class Depthwise(Convolution):
    """A Convolution with as many groups as the bottom has channels.

    Its description to the engines is that of the grouped convolution, so their depthwise kernels
    run where they have some.
    """

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        group = self._groups(spec.convolution_param)
        self.op = replace(self.op, group=group)  # `group` itself may be left out of the message

    def _groups(self, p):
        """Return the number of channels that the parameters speak of."""
        raise NotImplementedError

    def top_shapes(self, *bottom):
        axis = self.axis(self.spec.convolution_param.axis, bottom[0], "convolution_param.axis")
        if bottom[0][axis] != self.op.group:  # a Convolution would take any divisor of the channels
            self.reject(
                f"has {self.op.group} groups for the {bottom[0][axis]} channels of {bottom[0]}",
                expected="a group for each channel",
            )
        return super().top_shapes(*bottom)


@register("DepthwiseConvolution")
class DepthwiseConvolution(Depthwise):
    r"""Filter every channel by itself: a Convolution with a group for each channel.

    With M filters for C channels, the first M / C of them for the first channel, and so on,

        y[n, m, o] = b[m] + sum(w[m, 0, t] * x[n, m // (M / C), o * s - p + t * d]  over taps t)

    and backward as for Convolution.

    bottom[i]           (N, C, *size)
    top[i]              (N, num_output, *out), the sizes as for Convolution
    weight              (num_output, 1, *kernel)
    bias                (num_output), unless bias_term is false
    convolution_param   as for Convolution; group is num_output if it is left out

    Source: Howard et al. 2017 (MobileNets), section 3.1; the fork of yonghenglh6.
    """

    fork = "yonghenglh6/DepthwiseConvolution"

    def _groups(self, p):
        return p.group if p.HasField("group") else p.num_output


@register("ConvolutionDepthwise")
class ConvolutionDepthwise(Depthwise):
    r"""Filter every channel by itself, by one filter: num_output is the number of channels.

        y[n, c, o] = b[c] + sum(w[c, 0, t] * x[n, c, o * s - p + t * d]  over taps t)

    and backward as for Convolution.

    bottom[i]           (N, C, *size)
    top[i]              (N, C, *out), the sizes as for Convolution
    weight              (C, 1, *kernel)
    bias                (C), unless bias_term is false
    convolution_param   as for Convolution; num_output must be C, and group is not read

    Source: Howard et al. 2017 (MobileNets), section 3.1; the fork of farmingyard (ShuffleNet).
    """

    fork = "farmingyard/ShuffleNet"

    def _groups(self, p):
        return p.num_output
