"""Nets written in Python, by pycaffe's NetSpec.

>>> from minidl.spec import NetSpec, layers as L, params as P
>>> n = NetSpec()
>>> n.data = L.Input(shape=dict(dim=[64, 1, 28, 28]))
>>> n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20)
>>> n.pool1 = L.Pooling(n.conv1, pool=P.Pooling.MAX, kernel_size=2, stride=2)
>>> n.relu1 = L.ReLU(n.pool1, in_place=True)
>>> [(layer.name, layer.top[0]) for layer in n.to_proto().layer]
[('data', 'data'), ('conv1', 'conv1'), ('pool1', 'pool1'), ('relu1', 'pool1')]

`to_proto()` gives a NetParameter: `minidl.Net(n.to_proto())` runs it, `prototxt.to_text` prints it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import minidl.layers  # noqa: F401  (registers every layer)
from minidl import schema
from minidl.errors import UsageError, did_you_mean
from minidl.layers.base import REGISTRY
from minidl.prototxt.assign import assign_layer
from minidl.prototxt.fields import fields

__all__ = [
    "Function",
    "Layers",
    "NetSpec",
    "Parameters",
    "Top",
    "layers",
    "params",
    "to_proto",
]


class UnknownNameError(UsageError, AttributeError):
    """A spec, `layers` or `params` has no such name; `hasattr` sees an AttributeError."""


class NoTopError(UsageError, TypeError):
    """A layer is given something that is not a top of a spec; a TypeError in pycaffe."""


class Top:
    """One blob that a layer makes: number `n` of the tops of the Function `fn`."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn, self.n = fn, n

    def to_proto(self) -> Any:
        """Return the net that computes this blob, with automatic names."""
        return to_proto(self)


class Function:
    """A layer: its type, the Tops it reads, and its keywords, checked at once.

    ntop       number of tops, 1 by default
    in_place   write to the memory of the first bottom
    name       of the layer; that of its first top by default
    bottom, top   names of blobs that are not Tops of this spec: `bottom` instead of Tops, `top`
               with ntop=0. A second data layer for the same blobs is written so:
               ``n.test = L.Data(ntop=0, top=["data", "label"], include=dict(phase="TEST"), ...)``
    the rest   a field of the type's parameter message, or of LayerParameter: `param`,
               `loss_weight`, `include`, `propagate_down`, `transform_param`, ...
    """

    def __init__(self, type_name: str, bottoms: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.type_name, self.inputs = type_name, bottoms
        keywords = dict(keywords)
        self.ntop = keywords.pop("ntop", 1)
        self.in_place = keywords.pop("in_place", False)
        self.params = keywords
        self._check_shape()
        self.tops = tuple(Top(self, n) for n in range(self.ntop))
        self._layer = self._make(keywords)

    def update(self, keywords: dict[str, Any]) -> None:
        """Add keywords, or replace some."""
        changed = {**self.params, **keywords}
        self._layer = self._make(changed)
        self.params = changed

    @property
    def _where(self) -> str:
        name = self.params.get("name")
        return f"{self.type_name} layer" + (f" '{name}'" if name is not None else "")

    def _check_shape(self) -> None:
        for i, given in enumerate(self.inputs):
            if isinstance(given, Top):
                continue
            found = f"bottom {i} is {given!r}"
            if isinstance(given, tuple | list) and all(isinstance(t, Top) for t in given):
                found = f"bottom {i} is a {type(given).__name__} of {len(given)} tops"
            elif isinstance(given, Function):
                found = f"bottom {i} is a {given.type_name} layer without tops"
            fix = f"write bottom={given!r}" if isinstance(given, str) else ""
            expected = "a top: n.name, or what a function of `layers` returns"
            raise NoTopError(found, where=self._where, expected=expected, fix=fix)
        if isinstance(self.ntop, bool) or not isinstance(self.ntop, int) or self.ntop < 0:
            found = f"ntop is {self.ntop!r}"
            raise UsageError(found, where=self._where, expected="a number of tops, from 0")
        if self.in_place and (self.ntop != 1 or not self.inputs):
            found = f"in_place with {len(self.inputs)} bottoms and {self.ntop} tops"
            expected = "a bottom, and one top to take its memory"
            raise UsageError(found, where=self._where, expected=expected)

    def _make(self, keywords: dict[str, Any]) -> Any:
        """Return the LayerParameter, but for the names that the spec gives."""
        if "type" in keywords:
            found = f"type={keywords['type']!r} is given, but it is a {self.type_name} layer"
            raise UsageError(found, where=self._where)
        if "top" in keywords and self.ntop:
            raise UsageError(
                "top= names the tops, but it has some", where=self._where, fix="ntop=0"
            )
        if "bottom" in keywords and self.inputs:
            raise UsageError("bottom= is given together with bottoms", where=self._where)
        layer = schema.LayerParameter(type=self.type_name)
        if self.type_name in REGISTRY:
            parameters = REGISTRY[self.type_name].parameters
        elif unknown := set(keywords) - set(fields(layer.DESCRIPTOR)):
            raise UnknownNameError(
                f"there is no layer type '{self.type_name}', so no layer has its {min(unknown)}",
                where=f"layers.{self.type_name}",
                expected="of a type that minidl does not have, fields of LayerParameter",
                fix=did_you_mean(self.type_name, REGISTRY),
            )
        else:
            parameters = ()
        assign_layer(layer, parameters, keywords, self._where)
        return layer


class NetSpec:
    """A net as a collection of named tops: ``n.conv1 = L.Convolution(n.data, ...)``.

    Attribute names become the names of the blobs and of the layers that make them; a layer without
    tops is named the same way. What is used but was given no name is called Convolution1,
    Convolution2, ... ``n["conv1"]`` is ``n.conv1``, for names that Python would not take. A top
    with two names has the last.
    """

    tops: dict[str, Top | Function]

    def __init__(self) -> None:
        super().__setattr__("tops", {})

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name) or name == "tops":
            raise UsageError(f"n.{name} is NetSpec's own", fix=f'write n["{name}"] = ...')
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str) or not name:
            raise UsageError(f"{name!r} is not a name for a top", expected="a string")
        if isinstance(value, tuple | list):
            names = ", ".join(f"n.{name}{i}" for i in range(1, len(value) + 1))
            found = f"n.{name} is given {len(value)} tops"
            raise UsageError(found, expected="one", fix=f"write {names} = ...")
        if not isinstance(value, Top | Function):
            found = f"n.{name} is given {value!r}"
            raise UsageError(found, expected="what a function of `layers` returns")
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "tops":  # asked for by copy and pickle
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        if name not in self.tops:
            fix = did_you_mean(name, self.tops)
            raise UnknownNameError(f"the spec has no top '{name}'", fix=fix)
        return self.tops[name]

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __delitem__(self, name: str) -> None:
        _ = self[name]
        del self.tops[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tops

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.tops})

    def keys(self) -> list[str]:
        """Return the names of the tops, in the order in which they were given."""
        return list(self.tops)

    def update(self, name: str, params: dict[str, Any]) -> None:
        """Add keywords to the layer that makes a top, or replace some."""
        value = self[name]
        (value.fn if isinstance(value, Top) else value).update(params)

    def to_proto(self) -> Any:
        """Return the NetParameter with all layers that the named tops need."""
        return _net(list(self.tops.values()), {top: name for name, top in self.tops.items()})


def to_proto(*tops: Top | Function) -> Any:
    """Return the NetParameter with all layers that these tops need, with automatic names."""
    for top in tops:
        if not isinstance(top, Top | Function):
            raise UsageError(f"to_proto is given {top!r}", expected="tops")
    return _net(list(tops), {})


def _net(wanted: list[Top | Function], names: dict[Any, str]) -> Any:
    """Every layer after those it reads from, in the order of `wanted`."""
    taken, counts = set(names.values()), Counter[str]()
    made: dict[Function, Any] = {}

    def name_of(thing: Top | Function, type_name: str) -> str:
        while thing not in names:
            counts[type_name] += 1
            name = f"{type_name}{counts[type_name]}"
            if name not in taken:
                names[thing] = name
        return names[thing]

    def make(fn: Function) -> None:
        layer = schema.LayerParameter()
        layer.CopyFrom(fn._layer)
        layer.bottom.extend(made[top.fn].top[top.n] for top in fn.inputs)
        if fn.in_place:
            layer.top.append(layer.bottom[0])
        else:
            layer.top.extend(name_of(top, fn.type_name) for top in fn.tops)
        if not layer.HasField("name"):
            layer.name = name_of(fn.tops[0] if fn.tops else fn, fn.type_name)
        made[fn] = layer

    # A stack of our own: a net of a thousand layers is deeper than Python's
    stack = [top.fn if isinstance(top, Top) else top for top in reversed(wanted)]
    while stack:
        fn = stack[-1]
        missing = [top.fn for top in fn.inputs if top.fn not in made]
        if missing:
            stack.extend(reversed(missing))
            continue
        stack.pop()
        if fn not in made:
            make(fn)
    return schema.NetParameter(layer=made.values())


class Layers:
    """`layers.Convolution(bottom, ...)`: a function for every layer type.

    Types that minidl does not have are taken as they are, with LayerParameter's fields as
    keywords: placeholders, and layers of other programs. A Net refuses them.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def function(*bottoms: Top, **keywords: Any) -> Any:
            fn = Function(name, bottoms, keywords)
            return fn if fn.ntop == 0 else fn.tops[0] if fn.ntop == 1 else fn.tops

        function.__name__ = function.__qualname__ = name
        function.__doc__ = REGISTRY[name].__doc__ if name in REGISTRY else None
        return function

    def __dir__(self) -> list[str]:
        return sorted(REGISTRY)


class _Enums:
    """The values of the enums of one message: ``params.Pooling.MAX``."""

    def __init__(self, name: str, descriptor: Any) -> None:
        self._name = name
        for enum in descriptor.enum_types:
            vars(self).update({value.name: value.number for value in enum.values})

    def __getattr__(self, name: str) -> int:
        if name.startswith("__"):
            raise AttributeError(name)
        known = [value for value in vars(self) if value != "_name"]
        where, listing = f"params.{self._name}", ", ".join(known) or "no constants"
        found, fix = f"has no constant '{name}'", did_you_mean(name, known)
        raise UnknownNameError(found, where=where, expected=listing, fix=fix)


class Parameters:
    """`params.Pooling.MAX`: the constants of PoolingParameter, and so on."""

    def __getattr__(self, name: str) -> _Enums:
        if name.startswith("__"):
            raise AttributeError(name)
        end = "Parameter"
        messages = schema.messages().items()
        known = {m.removesuffix(end): c for m, c in messages if m.endswith(end)}
        if name not in known:
            found, fix = f"there are no parameters '{name}'", did_you_mean(name, known)
            raise UnknownNameError(found, where=f"params.{name}", fix=fix)
        return _Enums(name, known[name].DESCRIPTOR)


layers, params = Layers(), Parameters()
