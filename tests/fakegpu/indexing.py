"""Indexing of device arrays: views, gathered copies, and assignment."""

import numpy as np

from tests.fakegpu import machine as state


def get_item(array, index):
    """A view, or for arrays and masks as index a new array."""
    plain, advanced, mask = _plain(index)
    if advanced:
        if mask:
            hidden_sync("indexing with a mask")
        return array._computed(lambda values: values[plain])
    return array._view(_part(array._np, plain))


def set_item(array, index, value):
    """`array[index] = value`: numbers and device arrays only."""
    plain, advanced, mask = _plain(index)
    if advanced:
        if mask:
            hidden_sync("assigning to what a mask selects")
        value = scattered(array, index, value)
        target, source = array._np, value._np
        memories = array._memory, value._memory
        state.current().submit(lambda: target.__setitem__(plain, source), *memories)
        return
    part = array._view(_part(array._np, plain))
    if isinstance(value, type(array)):
        assign(part, value)
    else:
        part.fill(value)


def scattered(array, index, value):
    """The values that CuPy's kernels scatter: on the device, of the array's type.

    So a number is copied there each time, and so is an array of another type. Where several arrays
    are an index together, CuPy makes one of them.
    """
    from tests.fakegpu.creation import array as made

    parts = index if isinstance(index, tuple) else (index,)
    several = [part for part in parts if getattr(part, "ndim", 0)]
    if len(several) > 1:
        made(several[0])
    return made(value, array.dtype, copy=False)


def assign(target, source):
    """`target[...] = source`, both on the device: a copy of memory where that does, or a kernel."""
    source._here()
    if target.shape == source.shape and target.strides == source.strides:
        if target.data.ptr == source.data.ptr:
            return  # the same elements
        if target._np.flags.c_contiguous and target.dtype == source.dtype:
            target.data.copy_from_device_async(source.data, source.nbytes)
            return
    if np.may_share_memory(source._np, target._np):
        source = source.copy()  # as CuPy does
    values, place = source._np, target._np
    np.broadcast_to(values, place.shape)  # refuses what does not fit
    state.current().submit(
        lambda: np.copyto(place, values, casting="unsafe"), source._memory, target._memory
    )


def hidden_sync(why):
    """Some functions wait for the device because the size of their result depends on values."""
    machine = state.current()
    machine.refuse_while_capturing(f"{why}, which waits for the device,")
    machine.count("syncs")
    machine.stream._line.settle()


def _part(values, index):
    """The part of a NumPy array as a view, also where NumPy would give the number itself."""
    part = values[index]
    if isinstance(part, np.ndarray):
        return part
    return values[(*index, ...) if isinstance(index, tuple) else (index, ...)]


def _plain(index):
    """-> the index for NumPy, whether it is advanced indexing, whether a mask takes part."""
    plain, advanced, mask = [], False, False
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, list) or (isinstance(part, np.ndarray) and part.ndim):
            part = np.asarray(part)  # CuPy takes it, by a copy to the device
            state.current().count("h2d", part.nbytes)
            advanced, mask = True, mask or part.dtype == bool
        elif hasattr(part, "_memory"):
            part._here()
            if part.dtype.kind not in "biu":
                raise IndexError("arrays used as indices must be of integer or boolean type")
            advanced, mask = True, mask or part.dtype == bool
            part = part._np
        plain.append(part)
    return tuple(plain) if isinstance(index, tuple) else plain[0], advanced, mask
