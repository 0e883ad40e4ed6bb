"""Products on matrices in C order against NumPy's, in all of their turns and types."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.engines.cupy_kernels.blas import Matrix, product
from minidl.engines.math import FLOAT32, MATHS

DTYPES = {"float32": np.float32, "tf32": np.float32, "fp16": np.float16, "bf16": np.uint16}


class Operands:
    """Small integers, exact in every type, on a device; NaN where the result is to be."""

    def __init__(self, device, math, left, right, result):
        self.device, rng = device, np.random.default_rng(0)
        self.left, self.right = (rng.integers(-4, 5, shape) for shape in (left, right))
        self.there = rng.integers(-9, 9, result)
        arrays = [self._stored(math, a) for a in (self.left, self.right)]
        arrays.append(self.there.astype(np.float32))
        self.arrays = []
        for values in arrays:
            self.arrays.append(device.zeros(values.shape, values.dtype))
            device.write(self.arrays[-1], values)
        self.addresses = [device.address(array) for array in self.arrays]

    @staticmethod
    def _stored(math, values):
        values = values.astype(np.float32)
        if math == "bf16":
            return (values.view(np.uint32) >> 16).astype(np.uint16)
        return values.astype(DTYPES[math])

    @property
    def result(self):
        return self.device.to_host(self.arrays[2])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    transposed=st.tuples(st.booleans(), st.booleans()),
    batch=st.lists(st.integers(1, 3), max_size=2),
    math=st.sampled_from(sorted(DTYPES)),
    add=st.booleans(),
)
def test_a_product_is_what_numpy_says(engine, shape, transposed, batch, math, add):
    m, n, k = shape
    left = (*batch, k, m) if transposed[0] else (*batch, m, k)
    right = (*batch, n, k) if transposed[1] else (*batch, k, n)
    made = Operands(engine.device, math, left, right, (*batch, m, n))
    matrices = [
        Matrix(address, array.shape[-1], tuple(s // array.itemsize for s in array.strides[:-2]))
        for address, array in zip(made.addresses, made.arrays, strict=True)
    ]
    with engine.device.current():
        options = dict(transposed=transposed, batch=batch, add=add)
        product(engine.device, MATHS[math], shape, *matrices, **options)()
    turned = [
        a.swapaxes(-1, -2) if turn else a
        for a, turn in zip((made.left, made.right), transposed, strict=True)
    ]
    expected = turned[0] @ turned[1] + (made.there if add else 0)
    np.testing.assert_array_equal(made.result, expected)


def test_what_it_overwrites_may_be_anything(engine):
    made = Operands(engine.device, "float32", (2, 3), (3, 4), (2, 4))
    made.arrays[2].fill(np.nan)
    rows = zip(made.addresses, (3, 4, 4), strict=True)
    with engine.device.current():
        product(engine.device, FLOAT32, (2, 4, 3), *(Matrix(*row) for row in rows))()
    np.testing.assert_array_equal(made.result, made.left @ made.right)


def test_a_step_of_zero_repeats_a_matrix(engine):
    """As the filters do for every image."""
    made = Operands(engine.device, "float32", (2, 3), (5, 3, 4), (5, 2, 4))
    left, right, result = made.addresses
    with engine.device.current():
        product(
            engine.device, FLOAT32, (2, 4, 3),
            Matrix(left, 3, (0,)), Matrix(right, 4, (12,)), Matrix(result, 4, (8,)), batch=[5],
        )()  # fmt: skip
    np.testing.assert_array_equal(made.result, made.left @ made.right)


@pytest.mark.parametrize(
    "batch, calls", [((), 1), ((7,), 1), ((7, 2), 2), ((2, 7), 2), ((1, 1), 1)]
)
def test_the_longest_axis_of_a_batch_is_one_call(gpu, engine, batch, calls):
    made = Operands(engine.device, "float32", (2, 2), (2, 2), (99, 2, 2))
    steps = tuple(4 * int(np.prod(batch[axis + 1 :])) for axis in range(len(batch)))
    left, right, result = made.addresses
    none = (0,) * len(batch)
    matrices = Matrix(left, 2, none), Matrix(right, 2, none), Matrix(result, 2, steps)
    with engine.device.current(), gpu.strict():
        run = product(engine.device, FLOAT32, (2, 2, 2), *matrices, batch=batch)
        before = gpu.launches
        run()
        assert gpu.launches - before == calls
    done = int(np.prod(batch))
    for index, found in enumerate(made.result):
        expected = made.left @ made.right if index < done else made.there[index]
        np.testing.assert_array_equal(found, expected)
