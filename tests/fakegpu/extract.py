"""What CuPy offers, read off an installed CuPy: the table by which the fake knows what to refuse.

    python -m tests.fakegpu.extract > tests/fakegpu/api.json

It needs no GPU. A signature is a list of parameters: "a" is needed, "axis=" is not, "*" starts
those that can be given by name only, "*args" and "**kwargs" take any.
"""

import inspect
import json
import re

_METHOD = re.compile(r"^\w+\.\w+\(self(?:, )?(.*?)\)(?: ->.*)?$")
# Given in the text of CuPy's manual, not by the function itself.
_MANUAL = {"size": ["a", "axis="]}


def parameters(signature):
    """The table's form of an `inspect.Signature`."""
    found, named_only = [], False
    for p in signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            found.append("*" + p.name)
            named_only = True
            continue
        if p.kind is p.VAR_KEYWORD:
            found.append("**" + p.name)
            continue
        if p.kind is p.KEYWORD_ONLY and not named_only:
            found.append("*")
            named_only = True
        found.append(p.name if p.default is p.empty else p.name + "=")
    return found


def written(text):
    """The table's form of a signature as a compiled method's docstring writes it."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, default = part.partition("=")
        name = name.split()[-1]  # "int axis": without the type
        found.append(name + "=" if default else name)
    return found


def methods(kind):
    found = {}
    for name in dir(kind):
        member = getattr(kind, name)
        if name.startswith("_") or not callable(member):
            continue
        try:
            signature = inspect.signature(member)
            found[name] = parameters(signature)[1:]
        except ValueError:
            match = _METHOD.match((member.__doc__ or "").split("\n")[0])
            if match:
                found[name] = written(match.group(1))
    return found


def works(call):
    """Whether CuPy has this method of a ufunc: it says so before it touches a GPU."""
    try:
        call()
    except AttributeError as error:
        return "NoneType" in str(error)  # it went to work on the None that was passed
    except NotImplementedError:
        return False
    return True


def ufuncs(cupy):
    found = {}
    for name in dir(cupy):
        f = getattr(cupy, name)
        if isinstance(f, cupy.ufunc):
            tries = {
                "reduce": lambda f=f: f.reduce(None),
                "accumulate": lambda f=f: f.accumulate(None),
                "reduceat": lambda f=f: f.reduceat(None, [0]),
                "at": lambda f=f: f.at(None, 0, 1),
            }
            found[name] = {
                "types": [t for t in f.types if not set(t) & set("qQ")],
                "methods": [method for method, call in tries.items() if works(call)],
            }
    return found


def functions(cupy):
    found = dict(_MANUAL)
    for name in dir(cupy):
        member = getattr(cupy, name)
        if name.startswith("_") or not callable(member) or isinstance(member, (type, cupy.ufunc)):
            continue
        try:
            found.setdefault(name, parameters(inspect.signature(member)))
        except (ValueError, TypeError):
            pass
    return dict(sorted(found.items()))


def public(module):
    return sorted(name for name in dir(module) if not name.startswith("_"))


def table():
    import cupy
    import cupyx

    return {
        "version": cupy.__version__,
        "names": public(cupy),
        "functions": functions(cupy),
        "ufuncs": ufuncs(cupy),
        "ndarray": public(cupy.ndarray),
        "methods": methods(cupy.ndarray),
        "cuda": public(cupy.cuda),
        "runtime": public(cupy.cuda.runtime),
        "cupyx": public(cupyx),
        "classes": {
            kind.__name__: public(kind)
            for kind in (
                cupy.RawModule, cupy.RawKernel, cupy.cuda.Stream, cupy.cuda.Event, cupy.cuda.Graph,
                cupy.cuda.Device, cupy.cuda.MemoryPointer, cupy.cuda.MemoryPool,
                cupy.cuda.PinnedMemoryPool, cupy.cuda.PinnedMemoryPointer,
            )
        },
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(table(), indent=None, separators=(",", ":")).replace('},"', '},\n"'))
