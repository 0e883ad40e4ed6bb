"""Layers that users write in Python: the `Python` layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.errors import LayerConfigError, MinidlError, RunError, also, did_you_mean
from minidl.layers.base import Layer, register
from minidl.layers.context import ALLOW_PYTHON
from minidl.layers.python_code import (
    Blobs,
    HostBlob,
    Phase,
    PythonLayer,
    describe,
    find_class,
    standing_in,
)
from minidl.layers.python_known import known

METHODS = ("setup", "reshape", "forward")
IN_BACKWARD = "shapes are given in reshape() and forward()"
FAILURES = (Exception, SystemExit)  # exit(0) in a class would end a run as if all were well
NOT_ITS_OWN = "a bottom's shape is not this layer's to change"


@register("Python")
class Python(Layer):
    """Whatever a class computes that pycaffe's users wrote: setup, reshape, forward, backward.

    The class is imported and run with all the rights of this process, so a net with such a layer is
    refused unless it was allowed: by ``Net(..., allow_python=True)``, by --allow-python, by
    MINIDL_ALLOW_PYTHON=1 in the environment, or by ``import minidl.caffe``.

    bottom[i]     as many as the class wants
    top[i]        of the shapes that its reshape gives them
    blob0, blob1, ...   parameters that its setup adds, in order; they start with what setup writes
                  to them

    python_param
        module      where the class is: on Python's path, or in the current folder
        layer       its name
        param_str   handed to it as it stands
        share_in_parallel   ignored, as in Caffe

    What the class has to have stands in `minidl.layers.python_code.PythonLayer`; in its module,
    ``import caffe`` gives that class as caffe.Layer, and all of pycaffe's names beside it.
    ``net.layers`` shows the object of the class itself.

    A net knows all shapes before it has an array. So while it is built, setup and reshape are
    called with blobs that have shapes, and zeros for values. Before each pass reshape is called
    again, with the values of the bottoms, and forward may still reshape the tops: what comes after
    follows if there are other shapes. Between passes tops keep the shapes that they had. Unlike
    Caffe's, a diff of a bottom that backward does not write is zero, and tops cannot be the bottoms
    themselves.

    On a GPU the class works on copies on the host, so that the device is waited for. What the
    object itself remembers is not in a snapshot.

    Source: Caffe.
    """

    parameters = ("python_param",)
    bottoms = (0, None)
    tops = (0, None)
    keeps = ("bottom", "top")  # nobody knows what the class reads

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.python_param
        self.module, self.class_name = p.module, p.layer
        if not self.module or not self.class_name:
            self.reject(
                "python_param does not name a class", expected="a module, and a layer in it"
            )
        if not ctx.allow_python:
            self.reject(
                f"would run code: the class '{self.class_name}' of module '{self.module}'",
                expected="nets without Python layers, as long as they are not allowed",
                fix=f"if you trust the code: --allow-python, Net(..., allow_python=True), "
                f"or {ALLOW_PYTHON}=1 in the environment",
            )
        self.code = self._make()
        if getattr(self.code, "type", None) is None:
            self.code.type = "Python"
        self.code.param_str, self.code.phase = p.param_str, Phase(ctx.phase)
        self.code.param_str_ = p.param_str  # its name in pycaffe until 2015
        self.code.blobs = Blobs(ctx.dtype)
        self.differentiable = callable(getattr(self.code, "backward", None))
        self.shapes: tuple[Any, ...] | None = None  # of the tops, as setup or a pass left them
        self.below: tuple[Any, ...] | None = None  # of the bottoms that they are for
        self.results: list[HostBlob] = []  # tops that forward has reshaped, until the net follows,
        self.found_in = -1  # and the pass in which it did

    # ------------------------------------------------------------------ declare

    def top_shapes(self, *bottom):
        below = [
            HostBlob(name, shape, self.dtype, locked=NOT_ITS_OWN)
            for name, shape in zip(self.spec.bottom, bottom, strict=True)
        ]
        if self.shapes is None:
            above = [HostBlob(name, (), self.dtype) for name in self.spec.top]
            self._call("setup", LayerConfigError, below, above)
            self.code.blobs.closed = True
            self.shapes = tuple(blob.shape for blob in above)
        if bottom != self.below:  # a reshape may fetch the next image: not once more than needed
            self._reshape(below)
        return self.shapes

    def param_shapes(self, *bottom):
        if self.shapes is None:
            self.top_shapes(*bottom)
        return {f"blob{i}": blob.shape for i, blob in enumerate(self.code.blobs)}

    def first_values(self, name, shape):
        return self.code.blobs[int(name.removeprefix("blob"))].data

    def late_shapes(self, bottom):
        if self.unfinished:
            return self.shapes
        self._reshape([self._seen(blob, NOT_ITS_OWN) for blob in bottom])
        return self.shapes

    def _reshape(self, below):
        """Let the class say which shapes the tops have for these bottoms."""
        above = [
            HostBlob(name, shape, self.dtype)
            for name, shape in zip(self.spec.top, self.shapes, strict=True)
        ]
        self._call("reshape", LayerConfigError, below, above)
        self.shapes = tuple(blob.shape for blob in above)
        self.below = tuple(blob.shape for blob in below)

    # ------------------------------------------------------------------ act

    @property
    def unfinished(self):
        return bool(self.results) and self.found_in == self.ctx.streams.passes

    def forward(self, bottom, top):
        above = self.results
        if not self.unfinished:
            below, above = self._both(bottom, top, locked="")
            self._call("forward", RunError, below, above)
            self._write_back([], "data")
        self.shapes = tuple(blob.shape for blob in above)
        if self.shapes != tuple(blob.shape for blob in top):
            self.results, self.found_in = above, self.ctx.streams.passes
            return
        self.results = []
        for mine, blob in zip(above, top, strict=True):
            mine.hand_over(blob)
        self._write_back(above, "data")

    def backward(self, top, wanted, bottom):
        below, above = self._both(bottom, top, locked=IN_BACKWARD)
        for blob, want in zip(bottom, wanted, strict=True):
            if want:
                blob.diff.fill(0)
        self._call("backward", RunError, above, list(wanted), below)
        self._write_back([b for b, want in zip(below, wanted, strict=True) if want], "diff")

    def _both(self, bottom, top, locked):
        """Return bottoms and tops as the class sees them; let its parameters show the net's.

        locked   why tops cannot be reshaped now, "" if they can
        """
        self.for_users()
        below = [self._seen(blob, NOT_ITS_OWN) for blob in bottom]
        return below, [self._seen(blob, locked) for blob in top]

    def for_users(self):
        for mine, param in zip(self.code.blobs, self.params, strict=True):
            mine.stand_for(param)
        return self.code

    def _seen(self, blob, locked):
        return HostBlob(blob.name, blob.shape, self.dtype, blob, locked)

    def _write_back(self, blobs, kind):
        for blob in blobs:
            blob.write_back(kind)
        for param in self.code.blobs:
            param.write_back("data", "diff")

    # ------------------------------------------------------------------ the class

    @property
    def _class(self):
        return f"class '{self.class_name}' of module '{self.module}'"

    def _origin(self):
        """Return where the code comes from, if that is known."""
        found = known(self.spec)
        return f"it is known from {found.source}: put that folder on PYTHONPATH" if found else ""

    def _make(self):
        """Return an instance of the class."""
        try:
            found = find_class(self.module, self.class_name)
        except ModuleNotFoundError as error:
            if error.name not in (self.module, self.module.partition(".")[0]):
                self._refuse("cannot be imported", error)
            self.reject(
                f"there is no module '{self.module}'",
                expected="a module on Python's path (PYTHONPATH) or in the current folder",
                fix=self._origin(),
                field="python_param.module",
            )
        except AttributeError as error:
            names = [n for n in dir(error.obj) if isinstance(getattr(error.obj, n), type)]
            if error.name != self.class_name:
                self._refuse("cannot be imported", error)
            self.reject(
                f"module '{self.module}' has no class '{self.class_name}'",
                fix=did_you_mean(self.class_name, names),
                field="python_param.layer",
            )
        except FAILURES as error:
            self._refuse("cannot be imported", error)
        try:
            with standing_in():
                mine = isinstance(found, type) and issubclass(found, PythonLayer)
                code = found(self.spec) if mine else found()
        except FAILURES as error:
            self._refuse("cannot be made", error)
        lacking = [f"no {m}" for m in METHODS if not callable(getattr(code, m, None))]
        if lacking:
            self.reject(f"{self._class} has {', '.join(lacking)}", expected=", ".join(METHODS))
        return code

    def _refuse(self, what, error):
        raise LayerConfigError(
            f"{self._class} {what}: {describe(error)}", where=self.where, fix="--debug shows where"
        ) from error

    def _call(self, method, kind, *args):
        """Run a method of the class; an error in it names this layer."""
        try:
            with standing_in(), np.errstate(all="ignore"):
                getattr(self.code, method)(*args)
        except MinidlError as error:
            if not error.where:
                error.where = f"{self.where}: {method}() of {self._class}"
            raise
        except FAILURES as error:
            found = f"{method}() of {self._class} failed: {describe(error)}"
            builtin = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
            raise also(kind, builtin)(found, where=self.where, fix="--debug shows where") from error
