"""Layers as users of pycaffe write them, for test_python_layer.py."""

import os

import caffe  # there while minidl imports and runs this module
import numpy as np


class Affine(caffe.Layer):
    """y = scale * x * x + offset: the scale is param_str, the offset a parameter, at first 2."""

    def setup(self, bottom, top):
        self.scale = float(self.param_str or 1)
        self.blobs.add_blob(bottom[0].channels)
        self.blobs[0].data[...] = 2

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.scale * bottom[0].data ** 2 + self.blobs[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += top[0].diff.sum(axis=0)
        if propagate_down[0]:
            bottom[0].diff[...] = 2 * self.scale * bottom[0].data * top[0].diff


class EuclideanLoss(caffe.Layer):
    """As in Caffe's examples: a loss with two bottoms and no parameters."""

    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise Exception("Need two inputs to compute distance.")

    def reshape(self, bottom, top):
        if bottom[0].count != bottom[1].count:
            raise Exception("Inputs must have the same dimension.")
        self.difference = np.zeros_like(bottom[0].data)
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.difference[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.difference**2) / bottom[0].num / 2.0

    def backward(self, top, propagate_down, bottom):
        for i in range(2):
            if propagate_down[i]:
                sign = 1 if i == 0 else -1
                bottom[i].diff[...] = top[0].diff * sign * self.difference / bottom[i].num


class Growing:
    """A data layer, no child of caffe.Layer, whose batches are of 1, 2, 3, ... items."""

    def setup(self, bottom, top):
        self.batch = 0

    def reshape(self, bottom, top):
        top[0].reshape(self.batch + 1, 3)

    def forward(self, bottom, top):
        self.batch += 1
        top[0].data[...] = self.batch


class Found(caffe.Layer):
    """A data layer that only forward tells how many items it has; a second top says so, too."""

    def setup(self, bottom, top):
        self.count, self.seen = 2, []
        top[0].reshape(1, 3)
        if len(top) > 1:
            top[1].reshape(1)

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        self.seen.append(top[0].shape)
        values = np.arange(3 * self.count).reshape(self.count, 3)
        if len(top) > 1:
            top[1].data[...] = self.count
        top[0].reshape(*values.shape)
        top[0].data[...] = values


class Like(caffe.Layer):
    """A target for its bottom: numbers from 0 to 1 in the bottom's shape, which forward finds."""

    def setup(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        top[0].reshape(*bottom[0].shape)
        top[0].data[...] = np.linspace(0, 1, top[0].count).reshape(top[0].shape)

    def backward(self, top, propagate_down, bottom):
        pass


class Fetching(caffe.Layer):
    """A data layer whose reshape fetches the next batch."""

    def setup(self, bottom, top):
        self.number = -1

    def reshape(self, bottom, top):
        self.number += 1
        self.batch = np.full((self.number % 3 + 1, 2), self.number)
        top[0].reshape(*self.batch.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.batch


class Named(caffe.Layer):
    """Overrides __init__, as Boost.Python let it."""

    def __init__(self, param, *args, **kwargs):
        super().__init__(param, *args, **kwargs)
        self.named = param.name

    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        pass


class Positive(caffe.Layer):
    """Those numbers of the bottom that are positive: how many there are, their values say."""

    def reshape(self, bottom, top):
        top[0].reshape(int((bottom[0].data > 0).sum()), 1)

    def forward(self, bottom, top):
        top[0].data[:, 0] = bottom[0].data[bottom[0].data > 0]


class Told(caffe.Layer):
    """Does what param_str says: {method: an expression}."""

    def _say(self, method, bottom, top):
        return eval(eval(self.param_str).get(method, "None"))  # noqa: S307

    def setup(self, bottom, top):
        self._say("setup", bottom, top)

    def reshape(self, bottom, top):
        top[0].reshape(1)
        self._say("reshape", bottom, top)

    def forward(self, bottom, top):
        top[0].data[...] = self.phase
        self._say("forward", bottom, top)

    def backward(self, top, propagate_down, bottom):
        self._say("backward", bottom, top)


class Forgetful:
    def setup(self, bottom, top):
        pass


class Unmakeable:
    def __init__(self):
        raise ValueError(f"not in {os.path.basename(__file__)}")
