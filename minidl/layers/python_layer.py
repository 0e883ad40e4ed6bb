"""Layers that users write in Python: the `Python` layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.context import ALLOW_PYTHON
from minidl.errors import LayerConfigError, MinidlError, RunError, did_you_mean
from minidl.layers.base import Layer, register
from minidl.layers.python_code import Blobs, HostBlob, describe, find_class, standing_in

METHODS = ("setup", "reshape", "forward")
AT_RUN = "shapes are given in reshape(), before a pass"
NOT_ITS_OWN = "a bottom's shape is not this layer's to change"


@register("Python")
class Python(Layer):
    """Whatever a class computes that pycaffe's users wrote: setup, reshape, forward, backward.

    The class is imported and run with all the rights of this process, so a net with such a layer is
    refused unless it was allowed: by ``Net(..., allow_python=True)``, by --allow-python, or by
    MINIDL_ALLOW_PYTHON=1 in the environment.

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
    ``import caffe`` gives that class as caffe.Layer, and minidl's names beside it.

    A net knows all shapes before it has an array. So while it is built, setup and reshape are
    called with blobs that have shapes, and zeros for values. Before each pass reshape is called
    again, with the values of the bottoms; what comes after follows if it gives other shapes. In
    forward and backward shapes cannot change. Unlike Caffe's, a diff of a bottom that backward
    does not write is zero, and tops cannot be the bottoms themselves.

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
            self.reject("python_param names no class", expected="a module, and a layer in it")
        if not ctx.allow_python:
            self.reject(
                f"would run code: the class '{self.class_name}' of module '{self.module}'",
                expected="nets without Python layers, as long as they are not allowed",
                fix=f"if you trust the code: --allow-python, Net(..., allow_python=True), "
                f"or {ALLOW_PYTHON}=1 in the environment",
            )
        self.code = self._make()
        self.code.param_str, self.code.phase = p.param_str, int(ctx.phase)
        self.code.param_str_ = p.param_str  # its name in pycaffe until 2015
        self.code.blobs = Blobs(ctx.dtype)
        self.differentiable = callable(getattr(self.code, "backward", None))
        self.first_shapes: list[Any] | None = None  # of the tops, after setup

    # ------------------------------------------------------------------ declare

    def top_shapes(self, *bottom):
        below = [
            HostBlob(name, shape, self.dtype, locked=NOT_ITS_OWN)
            for name, shape in zip(self.spec.bottom, bottom, strict=True)
        ]
        if self.first_shapes is None:
            above = [HostBlob(name, (), self.dtype) for name in self.spec.top]
            self._call("setup", LayerConfigError, below, above)
            self.code.blobs.closed = True
            self.first_shapes = [blob.shape for blob in above]
        return self._reshaped(below)

    def param_shapes(self, *bottom):
        if self.first_shapes is None:
            self.top_shapes(*bottom)
        return {f"blob{i}": blob.shape for i, blob in enumerate(self.code.blobs)}

    def first_values(self, name):
        return self.code.blobs[int(name.removeprefix("blob"))].data

    def late_shapes(self, bottom):
        return self._reshaped([self._seen(blob, NOT_ITS_OWN) for blob in bottom])

    def _reshaped(self, below):
        """The shapes of the tops that reshape gives for these bottoms."""
        above = [
            HostBlob(name, shape, self.dtype)
            for name, shape in zip(self.spec.top, self.first_shapes, strict=True)
        ]
        self._call("reshape", LayerConfigError, below, above)
        return tuple(blob.shape for blob in above)

    # ------------------------------------------------------------------ act

    def forward(self, bottom, top):
        below, above = self._both(bottom, top)
        self._call("forward", RunError, below, above)
        self._write_back(above, "data")

    def backward(self, top, wanted, bottom):
        below, above = self._both(bottom, top)
        for blob, want in zip(bottom, wanted, strict=True):
            if want:
                blob.diff.fill(0)
        self._call("backward", RunError, above, list(wanted), below)
        self._write_back([b for b, want in zip(below, wanted, strict=True) if want], "diff")

    def _both(self, bottom, top):
        """Bottoms and tops as the class sees them; its parameters show the net's, too."""
        for mine, param in zip(self.code.blobs, self.params, strict=True):
            mine.stand_for(param)
        below, above = ([self._seen(blob, AT_RUN) for blob in side] for side in (bottom, top))
        return below, above

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

    def _make(self):
        """An instance of the class."""
        try:
            found = find_class(self.module, self.class_name)
        except ModuleNotFoundError as error:
            if error.name not in (self.module, self.module.partition(".")[0]):
                self._refuse("cannot be imported", error)
            self.reject(
                f"there is no module '{self.module}'",
                expected="a module on Python's path (PYTHONPATH) or in the current folder",
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
        except Exception as error:
            self._refuse("cannot be imported", error)
        try:
            with standing_in():
                code = found()
        except Exception as error:
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
        """Run a method of the class; what goes wrong in it is told with this layer's name."""
        try:
            with standing_in(), np.errstate(all="ignore"):
                getattr(self.code, method)(*args)
        except MinidlError as error:
            if not error.where:
                error.where = f"{self.where}: {method}() of {self._class}"
            raise
        except Exception as error:
            found = f"{method}() of {self._class} failed: {describe(error)}"
            raise kind(found, where=self.where, fix="--debug shows where") from error
