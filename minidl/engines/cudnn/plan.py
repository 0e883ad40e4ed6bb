"""Shared by all plans of this engine: calls, and trials of what the library may refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from minidl.arrays.device import Device
from minidl.arrays.memory import Layout, Memory, Shape
from minidl.engines.cudnn.descriptors import Tensor
from minidl.engines.cudnn.library import CudnnError, cudnn
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.plan import Plan, Run, packed_on_gpu
from minidl.engines.request import Request
from minidl.errors import DeviceError

Call = tuple[Any, ...]  # a function's name, and what it takes after the handle


@dataclass(kw_only=True)
class CudnnPlan(Plan):
    """A plan whose passes have each chosen an algorithm of their own by what was asked for."""

    obeys = True


# ------------------------------------------------------------------ calls


def sequence(device: Device, calls: Iterable[Call], keep: Any = None) -> Run:
    """Return a run that makes these calls in order, in the stream that is current then.

    keep   what has to live as long: calls know addresses only
    """
    library, made = cudnn(), list(calls)

    def run(keep: Any = keep) -> None:
        handle = library.handle(device)
        for name, *args in made:
            library.call(name, handle, *args)

    return run


class Trials:
    """Finds out which calls the library takes on this device, by making them once.

    A call says that it does not support a case when it is made and not before, and then a plan has
    been chosen and a net is running. So plans make their calls when they are planned, on memory of
    their own and, where a batch is large, with a few images of it. What is answered is remembered.
    """

    ROOM = 4 << 20  # bytes of the arrays together; at least one image

    def __init__(self, device: Device) -> None:
        self._device = device
        self._answers: dict[Any, str] = {}

    def images(self, shape: Shape, arrays: int) -> int:
        """Return how many images to try, for this many float32 arrays of this shape."""
        one = 4 * arrays * max(1, math.prod(shape[1:]))
        return max(1, min(shape[0] if shape else 1, self.ROOM // one))

    def refusal(self, key: Any, sizes: Sequence[int], calls: Callable[..., list[Call]]) -> str:
        """Try the calls once and say why the library refuses them; "" if it does not.

        key     of the answer
        sizes   bytes of each array
        calls   from the arrays' addresses to the calls
        """
        if key not in self._answers:
            self._answers[key] = self._tried(sizes, calls)
        return self._answers[key]

    def _tried(self, sizes: Sequence[int], calls: Callable[..., list[Call]]) -> str:
        starts, end = packed_on_gpu(sizes)
        try:
            with self._device.current():
                room = self._device.bytes_(end)
                first = self._device.address(room)
                sequence(self._device, calls(*(first + start for start in starts)))()
        except (CudnnError, DeviceError) as error:
            return error.found
        return ""


# ------------------------------------------------------------------ memory


def part(memory: Memory | None, start: int, shape: Shape, layout: Layout | None) -> Memory:
    """Return room for an array of this shape and layout inside another memory."""
    assert memory is not None
    size = layout.nbytes if layout is not None else 4 * math.prod(shape)
    raw = memory.array.reshape(-1).view("uint8")[start : start + size]
    array = raw if layout is not None else raw.view("float32").reshape(shape)
    return Memory(shape, layout, array, memory.device)


# ------------------------------------------------------------------ how blobs lie


def arriving(request: Request, index: int = 0) -> Dense | None:
    """Return the layout in which a bottom arrives; None for a plain one."""
    layout = request.bottom_layouts[index]
    return layout if isinstance(layout, Dense) else None


def dtype_of(layout: Dense | None) -> str:
    """Return the number type of a layout."""
    return "float32" if layout is None else layout.dtype


def order_of(layout: Dense | None) -> str:
    """Return the order of a layout's axes."""
    return "nchw" if layout is None else layout.order


def like(layout: Dense | None, shape: Shape) -> Dense | None:
    """Return the same layout for another shape."""
    return None if layout is None else Dense(shape, layout.dtype, layout.order)


def tensor(dims: Shape, layout: Dense | None) -> Tensor:
    """Return a descriptor of these dims (N, C, ...), in the order of `layout`."""
    return Tensor(dims, dtype_of(layout), order_of(layout))


def wants_backward(request: Request) -> bool:
    """Tell whether a gradient of the only bottom is asked for."""
    return request.backward and request.wanted[0]
