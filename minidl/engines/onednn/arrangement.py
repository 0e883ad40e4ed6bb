"""Arrangements of activations of any extents: C order, channels last, channels in blocks.

A layout is one arrangement of one shape. An operator whose blobs differ in shape and are to be
arranged alike needs the arrangement itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from minidl.arrays.memory import Layout, Shape
from minidl.engines.onednn import api
from minidl.engines.onednn.layout import DnnlLayout, channels_last, plain
from minidl.engines.onednn.library import dnnl

Arrangement = Callable[[Shape, int], DnnlLayout]  # from extents and number type

BLOCKS = (16, 8)  # channels of a register of AVX-512, and of AVX2


def blocked(dims: Shape, dtype: int = api.F32, block: int = 16) -> DnnlLayout:
    """Arrange (N, C, *size) as N, C / block, *size, block: a pixel's channels side by side.

    The last block is filled up with zeros. One to three spatial axes.
    """
    args = len(dims), api.dims(dims), dtype, api.BLOCKED[len(dims)][block]
    return DnnlLayout(dnnl().make("memory_desc", "memory_desc_create_with_tag", *args), dims)


def has_blocks(dims: Shape) -> bool:
    """Tell whether there is a blocked arrangement for this many axes."""
    return len(dims) in api.BLOCKED


def arrangement_of(layout: Layout | None) -> Arrangement | None:
    """Recognise how a blob is arranged, to arrange others alike; None if it is not known."""
    if layout is None:
        return plain
    assert isinstance(layout, DnnlLayout), layout
    dims, dtype = layout.dims, layout.dtype
    known: list[Arrangement] = [plain]
    if len(dims) > 2:
        known.append(channels_last)
    if has_blocks(dims):
        known += [functools.partial(blocked, block=block) for block in BLOCKS]
    return next((arrange for arrange in known if arrange(dims, dtype) == layout), None)
