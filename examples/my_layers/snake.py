"""A wave on a line, of a frequency that is learned: the `Snake` layer, and its message."""

from __future__ import annotations

from minidl import schema
from minidl.layers.base import Layer, register, scratch
from minidl.onnx.table import exports

schema.extend(
    "snake_param",
    30001,
    {
        "alpha_filler": ("FillerParameter", None, "What the frequencies start with; 1 if unset."),
        "channel_shared": (bool, False, "One frequency for all channels."),
    },
    "Snake: a wave on a line, so that a net can go on with what repeats.",
)


@register("Snake")
class Snake(Layer):
    """Add a wave to every number: a function that repeats, and still rises.

        y  = x + sin(a x)**2 / a
        dx = dy (1 + sin(2 a x))
        da = sum(dy (x sin(2 a x) - sin(a x)**2 / a) / a)   over all axes but the channels

    bottom[0]     (N, C, ...)
    top[0]        the same shape
    alpha         the learned a, never 0: (C), or (1) with channel_shared
    snake_param   alpha_filler (constant 1), channel_shared (false)

    Source: Liu, Hartwig & Ueda 2020, "Neural networks fail to learn periodic functions and how to
    fix it".
    """

    family = "activation"
    keeps_positions = True
    parameters = ("snake_param",)
    keeps = ("bottom",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.snake_param
        self.shared = p.channel_shared
        one = schema.FillerParameter(type="constant", value=1)
        self.fillers["alpha"] = p.alpha_filler if p.HasField("alpha_filler") else one

    def top_shapes(self, bottom):
        if len(bottom) < 2:
            self.reject(f"the bottom has the shape {bottom}", expected="(N, C, ...)")
        return (bottom,)

    def param_shapes(self, bottom):
        return {"alpha": (1 if self.shared else bottom[1],)}

    def buffers(self, bottom):
        return {"angle": scratch(bottom), "wave": scratch(bottom)}

    def forward(self, bottom, top):
        x, y, a = bottom[0].data, top[0].data, self._frequency()
        self.xp.multiply(x, a, out=y)
        self._squared_sine(y)
        y /= a
        y += x

    def backward(self, top, wanted, bottom):
        xp, x, dy, a = self.xp, bottom[0].data, top[0].diff, self._frequency()
        xp.multiply(x, a, out=self.angle)
        self.wave[...] = self.angle
        self.angle *= 2
        xp.sin(self.angle, out=self.angle)  # sin(2 a x)
        if wanted[0]:
            xp.add(self.angle, 1, out=bottom[0].diff)
            bottom[0].diff *= dy
        if self.alpha.wanted:
            self._squared_sine(self.wave)
            self.wave /= a
            self.angle *= x
            self.angle -= self.wave
            self.angle /= a
            self.angle *= dy
            others = tuple(axis for axis in range(x.ndim) if axis != 1 or self.shared)
            self.alpha.diff += self.angle.sum(axis=others)

    def _frequency(self):
        """alpha, to be broadcast over (N, C, ...)."""
        return self.alpha.data.reshape(-1, *[1] * (len(self.angle.shape) - 2))

    def _squared_sine(self, angle):
        self.xp.sin(angle, out=angle)
        self.xp.square(angle, out=angle)


@exports("Snake", "Mul by alpha, Sin, Mul, Div by alpha, Add")
def to_onnx(step):
    """What `minidl export` writes for such a layer."""
    axes = len(step.bottom_shapes[0])
    alpha = step.param("alpha", (step.read("alpha").size, *[1] * (axes - 2)))
    sine = step.emit("Sin", step.emit("Mul", step.x, alpha))
    wave = step.emit("Div", step.emit("Mul", sine, sine), alpha)
    return [step.emit("Add", step.x, wave)]
