"""Weights as files of every format should give them back."""

import numpy as np

from minidl.storage.content import LayerWeights, Weights


def layer(name, type_, *shapes, dtype=np.float32):
    rng = np.random.default_rng(len(name))
    blobs = [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]
    return LayerWeights(name, type_, blobs, [False] * len(blobs))


def weights():
    """A net with a slash and a dot in its names, a scalar, an empty blob and 64-bit numbers."""
    layers = [
        layer("z/conv.1x1", "Convolution", (4, 3, 2, 1), (4,)),
        layer("a", "BatchNorm", (4,), (4,), (1,)),
        layer("z/conv", "PReLU", (), dtype=np.float64),
        layer("nothing", "Parameter", (2, 0)),
    ]
    layers[0].blobs[1][:] = [0.0, -0.0, np.inf, np.nan]
    return Weights("tiny", layers, [])


def check_same(got, expected):
    """Names, order, types, shapes, bytes."""
    assert [(la.name, la.type, la.legacy) for la in got.layers] == [
        (la.name, la.type, la.legacy) for la in expected.layers
    ]
    assert (got.name, got.owners_only) == (expected.name, expected.owners_only)
    for mine, theirs in zip(got.layers, expected.layers, strict=True):
        for a, b in zip(mine.blobs, theirs.blobs, strict=True):
            assert (a is None) == (b is None)
            if b is not None:
                assert (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes())


def damage(draw, strategies, data):
    """`data` with bytes changed, cut out or put in, perhaps cut short."""
    data = bytearray(data)
    for _ in range(draw(strategies.integers(1, 5))):
        at = draw(strategies.integers(0, max(len(data) - 1, 0)))
        cut = draw(strategies.sampled_from([0, 1, 1, 1, 4, 8]))
        data[at : at + cut] = draw(strategies.binary(min_size=cut, max_size=cut))
    if draw(strategies.integers(0, 3)) == 0:
        del data[draw(strategies.integers(0, len(data))) :]
    return bytes(data)
