"""Primitives: what the library can execute, from a description to a prepared call.

A *description* (the library's primitive descriptor) is one implementation chosen for shapes and
layouts. Bound to addresses it is a *step*: one foreign call with all its arguments in place.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from minidl import ops
from minidl.engines.onednn import api, library
from minidl.engines.onednn.library import DnnlError, Handle, dnnl
from minidl.engines.plan import Run
from minidl.errors import RunError

Step = Callable[[], int]  # returns the library's status
REFERENCE = "ref"  # how the names of the slow, obviously right implementations begin

ELTWISE = {"relu": api.ELTWISE_RELU, "sigmoid": api.ELTWISE_LOGISTIC, "tanh": api.ELTWISE_TANH}


class Description:
    """One implementation of an operation for given shapes and layouts.

    kind        "convolution_forward"
    name        the implementation's: "jit:avx512_core"
    scratchpad  bytes it needs while it runs, at an address that is a multiple of 64
    threads     that it was made for
    """

    def __init__(self, kind: str, handle: Handle) -> None:
        self.kind, self._handle = kind, handle
        self._as_parameter_ = handle._as_parameter_  # so that calls take it as a hint
        self.threads = dnnl().threads()
        text = ctypes.c_char_p()
        query = (api.QUERY_NAME, 0, ctypes.byref(text))
        dnnl().call("primitive_desc_query", handle, *query)
        self.name = (text.value or b"").decode()
        self.scratchpad: int = self._size(api.SCRATCHPAD)

    @property
    def reference(self) -> bool:
        """Whether it is, or leans on, the slow code that only has to be right."""
        return any(part.startswith(REFERENCE) for part in self.name.split("+"))

    def desc(self, argument: int) -> Handle | None:
        """Return how an argument (SRC, ...) lies in memory; None if the operation has none such."""
        if not self._size(argument):
            return None
        return dnnl().make("memory_desc", "memory_desc_clone", self._md(argument))

    def step(self, addresses: Mapping[int, int], scratchpad: int = 0, keep: Any = None) -> Step:
        """Bind the operation to memory at these addresses, by argument.

        The memory has to outlive the step; `scratchpad` is an address too. The step itself keeps
        `keep` alive.
        """
        if self.scratchpad:
            addresses = {**addresses, api.SCRATCHPAD: scratchpad}
        assert all(addresses.values()), f"{self.kind} {self.name}: {addresses} lacks an address"
        lib = dnnl()
        memories = [
            lib.make("memory", "memory_create", self._md(argument), lib.engine, address)
            for argument, address in addresses.items()
        ]
        # Everything that the call needs is put into C arrays once; executing it converts nothing.
        array = (api.Argument * len(memories))()
        for i, (argument, memory) in enumerate(zip(addresses, memories, strict=True)):
            array[i] = api.Argument(argument, memory._as_parameter_)
        pointer = ctypes.c_void_p(ctypes.addressof(array))
        step = functools.partial(
            lib.execute, self._primitive._as_parameter_, lib.stream, len(memories), pointer
        )
        step.keep = self, memories, array, keep  # type: ignore[attr-defined]
        return step

    @functools.cached_property
    def _primitive(self) -> Handle:
        """Made when first bound: this is where code is generated, a few milliseconds' work."""
        return dnnl().make("primitive", "primitive_create", self._handle)

    def _md(self, argument: int) -> ctypes.c_void_p:
        if argument >= api.SCALES:  # what the operation itself says of these is empty
            return _number()._as_parameter_
        query = (api.QUERY_EXEC_ARG, argument)
        return ctypes.c_void_p(dnnl().ask("primitive_desc_query_md", self._handle, *query))

    def _size(self, argument: int) -> int:
        return dnnl().ask("memory_desc_get_size", self._md(argument))

    def __repr__(self) -> str:
        return f"Description({self.kind}, {self.name})"


def implementations(kind: str, *args: Any, attr: Handle | None = None) -> Iterator[Description]:
    """Yield all implementations of an operation, the library's favourite first.

    kind   dnnl_{kind}_primitive_desc_create is called with the engine and
    args   what it wants; `attr` comes last by itself: scratchpads are always the caller's
    """
    lib, attr = dnnl(), attributes() if attr is None else attr
    # A reorder can lead from one engine to another, so each of its descriptors has one of its own.
    engine = () if kind == "reorder" else (lib.engine,)
    function = f"{kind}_primitive_desc_create"
    try:
        handle = lib.make("primitive_desc", function, *engine, *args, attr)
    except DnnlError as error:
        if error.status == api.UNIMPLEMENTED:
            return
        raise
    while True:
        # A copy, because asking for the next one changes the descriptor itself.
        yield Description(kind, lib.make("primitive_desc", "primitive_desc_clone", handle))
        if lib.ask("primitive_desc_next_impl", handle) != api.SUCCESS:
            return


def favourite(kind: str, *args: Any, attr: Handle | None = None) -> Description | None:
    """Return the library's own choice; None if it has none."""
    return next(implementations(kind, *args, attr=attr), None)


@functools.cache
def attributes(
    then: ops.Activation | None = None,
    scaled: tuple[int, ...] = (),
    steps: tuple[tuple[int, float, float], ...] = (),
    onto: float | None = None,
) -> Handle:
    """Return attributes of an operation: the caller's scratchpad, and what to do besides.

    then     an activation at the end
    scaled   arguments that are multiplied by a float32 number, read at each execution from the
             address given as SCALES + argument
    steps    functions of the result, one after the other, before the next: the library's number of
             each, alpha and beta
    onto     the factor on what DST holds before, which the result is added to; None: it is not
    """
    lib = dnnl()
    attr = lib.make("primitive_attr", "primitive_attr_create")
    lib.call("primitive_attr_set_scratchpad_mode", attr, api.SCRATCHPAD_USER)
    for argument in scaled:
        lib.call("primitive_attr_set_scales_mask", attr, argument, 0)
    after = lib.make("post_ops", "post_ops_create")
    for function, alpha, beta in steps:
        lib.call("post_ops_append_eltwise", after, function, alpha, beta)
    if onto is not None:
        lib.call("post_ops_append_sum", after, onto, 0, api.UNDEFINED)
    if then is not None:
        lib.call("post_ops_append_eltwise", after, ELTWISE[then.kind], then.slope, 0.0)
    lib.call("primitive_attr_set_post_ops", attr, after)
    return attr


@functools.cache
def _number() -> Handle:
    """Return the descriptor of one float32 number."""
    one = api.dims([1])
    return dnnl().make("memory_desc", "memory_desc_create_with_strides", 1, one, api.F32, one)


def sequence(steps: Iterable[Step]) -> Run:
    """Return a run that makes these steps in order.

    The stream of a CPU engine executes at once in the calling thread and its workers: when the
    last call returns, everything is written, and there is nothing to wait for.
    """
    steps, made = tuple(steps), library.generation

    def run() -> None:
        if library.generation != made:
            raise _forked()
        for step in steps:
            if status := step():
                raise DnnlError("primitive_execute", status)

    return run


def _forked() -> RunError:
    return RunError(
        "a oneDNN plan that was bound before a fork was run in the child, where it would hang",
        fix="bind the net again in the child",
    )
