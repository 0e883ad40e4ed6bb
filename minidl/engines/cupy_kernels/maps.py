"""Kernels of maps.cu on memory: bias and activation, packing, the bias's gradient."""

from __future__ import annotations

import math

from minidl import ops
from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.engines.cupy_kernels.launch import kernel
from minidl.engines.plan import Run, several

Then = ops.Activation | None  # what is done to every element at the end
KINDS = {"relu": 1, "sigmoid": 2, "tanh": 3}  # as activate.cuh numbers them


def activation(then: Then) -> tuple[int, float]:
    """Return the two arguments by which kernels know an activation."""
    return (0, 0.0) if then is None else (KINDS[then.kind], float(then.slope))


def finish(device: Device, y: int, shape: tuple[int, int, int], bias: int, then: Then) -> list[Run]:
    """Return what adds bias and activation to `y` (images, channels, places), if any."""
    if not bias and then is None:
        return []
    _, channels, places = shape
    return [_finish(device, y, y, shape, (channels * places, places), bias, then)]


def unpack(
    device: Device, maps: int, y: int, shape: tuple[int, int, int], bias: int, then: Then
) -> Run:
    """Return a run from `maps` (channels, images, places) to `y` (images, channels, places), which
    applies bias and activation on the way."""
    images, _, places = shape
    return _finish(device, maps, y, shape, (places, images * places), bias, then)


def _finish(
    device: Device,
    maps: int,
    y: int,
    shape: tuple[int, int, int],
    strides: tuple[int, int],
    bias: int,
    then: Then,
) -> Run:
    _, channels, places = shape
    run = kernel(device, "maps", "finish")
    arguments = maps, y, bias, channels, places, *strides, *activation(then)
    return run.bind(math.prod(shape), *arguments)


def pack(device: Device, y: int, maps: int, shape: tuple[int, int, int], number: str) -> Run:
    """Return a run from `y` (images, channels, places) to `maps`, as elements of type `number`."""
    images, channels, places = shape
    run = kernel(device, "maps", "pack", NUMBER=number)
    return run.bind(images * channels * places, y, maps, images, channels, places)


def bias_gradient(
    device: Device, param: Param, dy: int, shape: tuple[int, int, int], scratch: int
) -> Run:
    """Return a run that adds the sums of `dy` (images, channels, places) to a bias's gradient.

    scratch   room for images * channels floats; not used where there is one place
    """
    images, channels, places = shape
    sums, runs = dy, []
    if places > 1:
        sums = scratch
        over_places = kernel(device, "maps", "sum_places")
        runs.append(over_places.bind(images * channels, dy, sums, places))
    into = param.gradient.memory.address
    over_images = kernel(device, "maps", "sum_images")
    ways = [over_images.bind(channels, sums, into, images, add) for add in (0, 1)]
    return accumulated(param, *(several([*runs, way]) for way in ways))


def accumulated(param: Param, overwrite: Run, add: Run) -> Run:
    """Return a run that overwrites a parameter's gradient or adds to it, as `fresh` says."""

    def run() -> None:
        if param.gradient.fresh:
            overwrite()
            param.gradient.fresh = False
        else:
            add()

    return run
