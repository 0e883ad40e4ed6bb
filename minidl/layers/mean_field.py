"""A conditional random field on the pixels of an image: the `MultiStageMeanfield` layer."""

from __future__ import annotations

import math

import numpy as np

from minidl.layers.base import Layer, register, saved
from minidl.layers.permutohedral import Lattice
from minidl.layers.softmax import softmax, softmax_backward

TINY = 1e-20  # what the fork adds to a norm
THETAS = ("theta_alpha", "theta_beta", "theta_gamma")


@register("MultiStageMeanfield")
class MultiStageMeanfield(Layer):
    r"""Make scores of pixels agree with those of near pixels, and of near pixels of like colour.

    From Q = bottom[1], with U the unary scores and softmax along the channels, each iteration is

        P = softmax(Q)      S = F_s(P) / F_s(1)      B = F_b(P) / F_b(1)
        Q = U - compatibility (spatial S + bilateral B)

    where F_s filters each channel by a Gaussian of places over theta_gamma, and F_b by one of
    places over theta_alpha and colours over theta_beta, both on a permutohedral lattice. Backward
    goes through all iterations in reverse, with the transposes of the filters and of the matrices.

    bottom[0]       U: (N, C, H, W), scores before softmax
    bottom[1]       Q to begin with: the same shape, often U itself by a Split
    bottom[2]       the image: (N, 3, H, W), numbers as bytes have them; no gradient
    top[0]          the last Q: the shape of bottom[0], not normalised
    spatial         (1, 1, C, C), starts as spatial_filter_weight on the diagonal
    bilateral       (1, 1, C, C), starts as bilateral_filter_weight on the diagonal
    compatibility   (1, 1, C, C), starts as -1 on the diagonal
    multi_stage_meanfield_param
        num_iterations          at least 1
        theta_alpha, theta_beta, theta_gamma    above 0
        spatial_filter_weight, bilateral_filter_weight      see above
        compatibility_mode      POTTS, which is all there is
        threshold, force_cpu    accepted, and without effect

    The lattice is made and used on the host, once for each image.

    Source: torrvision/caffe-tvg (multi_stage_meanfield.cpp, meanfield_iteration.cpp); Zheng et al.
    2015 (CRF-RNN), section 4.
    """

    family = "norm"
    fork = "torrvision/caffe-tvg (CRF-RNN)"
    parameters = ("multi_stage_meanfield_param",)
    bottoms = 3
    no_gradient = (2,)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = self.p = spec.multi_stage_meanfield_param
        if p.num_iterations < 1:
            self.reject(
                "num_iterations is 0 or missing", fix="multi_stage_meanfield_param { ... 10 }"
            )
        for name in THETAS:
            if not 0 < getattr(p, name) < math.inf:
                self.reject_field(
                    f"multi_stage_meanfield_param.{name}", expected="a number above 0"
                )
        self._filters = []  # of each image: (lattice, norm) of places, and of places and colours

    def top_shapes(self, unary, start, image):
        if len(unary) != 4 or 0 in unary or start != unary:
            self.reject(
                f"the unary scores are {unary}, and what to begin with is {start}",
                expected="the same shape (N, C, H, W), not empty, for both",
            )
        if image != (unary[0], 3, *unary[2:]):
            self.reject(f"the image is {image}", expected=f"{(unary[0], 3, *unary[2:])}")
        return (unary,)

    def param_shapes(self, unary, start, image):
        shape = (1, 1, unary[1], unary[1])
        return dict.fromkeys(("spatial", "bilateral", "compatibility"), shape)

    def first_values(self, name, shape):
        weights = {
            "spatial": self.p.spatial_filter_weight,
            "bilateral": self.p.bilateral_filter_weight,
            "compatibility": -1,
        }
        return (weights[name] * np.eye(shape[-1])).reshape(shape)

    def buffers(self, unary, start, image):
        n, c, h, w = unary
        return {"probabilities": saved((self.p.num_iterations, n, c, h * w))}

    def multiply_adds(self, unary, start, image):
        return self.p.num_iterations * 3 * unary[1] * math.prod(unary)

    def sample_bottoms(self, shapes, rng):
        image = 3 * self.p.theta_beta * rng.standard_normal(shapes[2])
        return [*(rng.standard_normal(shape) for shape in shapes[:2]), image]

    def forward(self, bottom, top):
        host, (n, c) = self.ctx.device.to_host, top[0].shape[:2]
        unary, q, image = (host(blob.data) for blob in bottom)
        unary, q = unary.reshape(n, c, -1), np.array(q.reshape(n, c, -1))
        self._filters = [self._filters_of(pixels) for pixels in image]
        matrices, p, row = self._matrices(), np.empty_like(q), np.empty_like(q[:, :1])
        for t in range(self.p.num_iterations):
            softmax(np, q, p, row)
            self.ctx.device.write(self.probabilities[t], p)
            for i in range(n):
                _, pairwise = self._messages(i, p[i], matrices)
                np.subtract(unary[i], pairwise, out=q[i])
        self.ctx.device.write(top[0].data, q.reshape(top[0].shape))

    def backward(self, top, wanted, bottom):
        host, (n, c) = self.ctx.device.to_host, top[0].shape[:2]
        dq = np.array(host(top[0].diff).reshape(n, c, -1))
        du, matrices, row = np.zeros_like(dq), self._matrices(), np.empty_like(dq[:, :1])
        gradients = [np.zeros_like(matrix) for matrix in matrices]
        for t in reversed(range(self.p.num_iterations)):
            p = host(self.probabilities[t])
            du += dq  # unary scores enter in every iteration
            dp = np.stack([self._back(i, p[i], dq[i], matrices, gradients) for i in range(n)])
            softmax_backward(np, p, dp, dq, row, np.empty_like(dp))
        for param, gradient in zip(self._weights(), gradients, strict=True):
            if param.wanted:
                param.diff += self.xp.asarray(gradient.reshape(param.shape))
        for blob, want, gradient in zip(bottom[:2], wanted[:2], (du, dq), strict=True):
            if want:
                self.ctx.device.write(blob.diff, gradient.reshape(blob.shape))

    def _messages(self, i, p, matrices):
        """Return the filtered probabilities of image i, the message, and what is taken off its
        unary scores."""
        spatial, bilateral, compatibility = matrices
        filtered = [lattice.filter(p) * norm for lattice, norm in self._filters[i]]
        message = spatial @ filtered[0] + bilateral @ filtered[1]
        return (*filtered, message), compatibility @ message

    def _back(self, i, p, dq, matrices, gradients):
        """Return the gradient of image i's probabilities in an iteration; add to those of the
        matrices."""
        spatial, bilateral, compatibility = matrices
        (near, alike, message), _ = self._messages(i, p, matrices)
        dmessage = -compatibility.T @ dq
        gradients[0] += dmessage @ near.T
        gradients[1] += dmessage @ alike.T
        gradients[2] -= dq @ message.T  # minus: messages are taken off
        parts = zip(self._filters[i], (spatial, bilateral), strict=True)
        return sum(
            lattice.transposed((matrix.T @ dmessage) * norm) for (lattice, norm), matrix in parts
        )

    def _filters_of(self, image):
        p, (height, width) = self.p, image.shape[1:]
        rows, columns = np.mgrid[:height, :width].reshape(2, -1)
        places = np.stack([columns, rows], axis=1)
        colours = image.reshape(3, -1).T / p.theta_beta
        made = []
        for features in (places / p.theta_gamma, np.hstack([places / p.theta_alpha, colours])):
            try:
                lattice = Lattice(features)
            except OverflowError as error:
                self.reject(f"{error}", expected="a smaller image, or larger thetas")
            # For weights that sum to 1 at every pixel
            norm = lattice.filter(np.ones((1, height * width)))
            made.append((lattice, (1 / (norm + TINY)).astype(self.dtype)))
        return made

    def _weights(self):
        return self.spatial, self.bilateral, self.compatibility

    def _matrices(self):
        host = self.ctx.device.to_host
        return [host(param.data).reshape(param.shape[2:]) for param in self._weights()]
