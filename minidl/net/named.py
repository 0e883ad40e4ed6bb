"""A net's parts by name, in a dict that knows which name was meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from minidl.errors import UsageError, also, did_you_mean

T = TypeVar("T")
SHOWN = 12  # names that an error lists


class Named(dict[str, T]):
    """A dict whose lookup of a name that is not there raises a UsageError that is a KeyError.

    what, of   for messages: "blob", "net 'lenet'"
    without    names that are known, but have nothing here, and why

    >>> Named({"conv1": 1}, what="blob", of="net 'tiny'")["conv2"]
    Traceback (most recent call last):
    ...
    minidl.errors.UsageError: net 'tiny' has no blob 'conv2'
      fix: did you mean 'conv1'?
    """

    def __init__(self, items: Any = (), *, what: str, of: str, without: Any = ()) -> None:
        super().__init__(items)
        self.what, self.of, self.without = what, of, dict(without)

    def __missing__(self, name: Any) -> T:
        if name in self.without:
            raise also(UsageError, KeyError)(f"{self.of}: {self.without[name]}")
        names = list(self)
        fix = did_you_mean(str(name), names)
        if isinstance(name, int) and 0 <= name < len(names):
            fix = f"names are text: number {name} is '{names[name]}'"
        raise also(UsageError, KeyError)(
            f"{self.of} has no {self.what} '{name}'", expected="" if fix else listed(names), fix=fix
        )

    def __reduce__(self) -> Any:
        return dict, (dict(self),)  # copies and pickles are plain


class ParamList(list[Any]):
    """A layer's parameters: a list, so ``net.params["conv1"].data`` is told of its first one."""

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "diff", "shape", "reshape"):
            raise AttributeError(
                f"a layer has a list of parameters: params[...][0].{name} is that of its weights, "
                f"params[...][1].{name} that of its bias"
            )
        raise AttributeError(f"a list of parameters has no attribute '{name}'")


def listed(names: Sequence[str]) -> str:
    """List the names, or the first of many.

    >>> listed(["a", "b"]), listed([]), listed([str(i) for i in range(14)])
    ('a, b', 'none: there are none', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more')
    """
    if not names:
        return "none: there are none"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def blob_names(given: Any, call: str, inputs: Iterable[str]) -> tuple[str, ...]:
    """Return names of blobs as pycaffe's calls take them; refuse an array, meant as an input.

    call     "net.forward", for messages
    inputs   what the net can be given

    Errors: UsageError that is a TypeError, with the call that was meant.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        found, fix = f"the name '{given}'", f"{call}(['{given}'])"
    elif isinstance(given, dict):
        found, fix = "a dict", f"{call}(**inputs)"
    elif hasattr(given, "__array__") or not isinstance(given, Iterable):
        found, fix = _described(given), f"{call}({next(iter(inputs), 'data')}=array)"
    else:
        names = tuple(given)
        if all(isinstance(name, str) for name in names):
            return names
        found, fix = "a list of other things", f"{call}({next(iter(inputs), 'data')}=array)"
    raise also(UsageError, TypeError)(
        f"{call}() was given {found}", expected="a list of names of blobs to return", fix=fix
    )


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"an array of shape {tuple(shape)}" if shape is not None else repr(value)
