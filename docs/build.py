"""Write the tables of the documentation that follow from the code: `make docs`.

In a page a table stands between `<!-- NAME: made by make docs -->` and `<!-- end -->`; everything
around it is written by hand. A layer's rows come from its class: the first line of its docstring,
`family`, `fork`, `parameters`. docs/api.md has whole docstrings. tests/test_docs.py compares the
pages with what this would write, of docs/api.md the headings alone.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import minidl.layers
import minidl.onnx.ops  # noqa: F401  (fills the table)
from minidl import schema
from minidl.layers.base import FAMILIES, REGISTRY, family_of
from minidl.onnx.table import EXPORTERS, LEFT_OUT, REFUSED, SOURCES, becomes
from minidl.prototxt.upgrade_v1 import TYPES as V1_TYPES

ROOT = Path(__file__).resolve().parent.parent
OURS = range(20000, 30000)  # numbers of fields that no fork has given
MARKED = re.compile(r"(<!-- ([\w-]+): made by make docs -->\n)(.*?)(<!-- end -->)", re.DOTALL)
PAGES = ("README.md", "docs/layers.md", "docs/forks.md", "docs/onnx.md", "docs/api.md")
API = {  # a section of docs/api.md: its names, or modules of which all public names are meant
    "Nets": "minidl.Net minidl.Blob minidl.Param minidl.NetSpec minidl.to_proto",
    "Training": "minidl.get_solver minidl.solver.Solver minidl.SGDSolver minidl.solver.hooks.Hook",
    "Pictures": "minidl.Classifier minidl.Detector minidl.preprocess.Preprocess",
    "Images and arrays": "minidl.io minidl.draw.tiles",
    "Devices and random numbers": "minidl.set_device minidl.set_mode_cpu minidl.set_mode_gpu"
    " minidl.set_random_seed minidl.flush_denormals",
    "Measuring": "minidl.profile",
    "Layers of your own": "minidl.layers.base.Layer minidl.layers.base.register"
    " minidl.schema.extend minidl.layer_type_list minidl.testing.gradcheck",
    "Errors": "minidl.errors",
}


def pages() -> dict[str, str]:
    """Return what each page should say, by its path in the checkout."""
    return {page: filled((ROOT / page).read_text("utf-8")) for page in PAGES}


def filled(text: str) -> str:
    """Return a page with all its tables as the code has them now."""
    return MARKED.sub(lambda m: f"{m[1]}{TABLES[m[2]]()}{m[4]}", text)


# ------------------------------------------------------------------ the tables


def types_by_family() -> str:
    """One row a family, with the names of its types."""
    return _table(("", ""), ([title, ", ".join(types)] for title, types in _families()))


def layers() -> str:
    """A section for each family: types, what they do, their messages."""
    parts = []
    for title, types in _families():
        rows = ([f"`{t}`", _summary(t), _messages(t), REGISTRY[t].fork or "BVLC"] for t in types)
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n")
        parts.append(_table(("type", "what it does", "messages", "from"), rows) + "\n")
    return "".join(parts).rstrip("\n") + "\n"


def forks() -> str:
    """The types that are not BVLC's."""
    head = ("type", "follows", "field", "number", "V1")
    rows = ([t, REGISTRY[t].fork, *_numbers(t), _v1(t)] for t in _types() if REGISTRY[t].fork)
    return _table(head, rows)


def onnx() -> str:
    """What becomes of each type."""
    types = sorted({*EXPORTERS, *LEFT_OUT, *REFUSED, *SOURCES} & set(_types()))
    return _table(("type", "becomes"), ([f"`{type}`", becomes(type)] for type in types))


def api() -> str:
    """The public names with their docstrings."""
    parts = []
    for title, names in API.items():
        parts.append(f"## {title}\n")
        for name in names.split():
            parts += _documented(name, _named(name))
    return "\n".join(parts)


TABLES: dict[str, Callable[[], str]] = {
    "types": types_by_family,
    "layers": layers,
    "forks": forks,
    "onnx": onnx,
    "api": api,
}


# ------------------------------------------------------------------ their parts


def _types() -> list[str]:
    """minidl's own layer types, by name."""
    ours = (t for t in REGISTRY if REGISTRY[t].__module__.startswith(minidl.layers.__name__ + "."))
    return sorted(ours, key=str.lower)


def _families() -> list[tuple[str, list[str]]]:
    """(title, types) of each family."""
    by_family: dict[str, list[str]] = {key: [] for key in FAMILIES}
    for type in _types():
        by_family[family_of(type)].append(type)
    return [(FAMILIES[key], types) for key, types in by_family.items()]


def _summary(type: str) -> str:
    """The first sentence of a type's page."""
    doc = REGISTRY[type].__doc__ or ""
    return " ".join(doc.partition("\n\n")[0].split()).replace("``", "`")


def _messages(type: str) -> str:
    return ", ".join(f"`{name}`" for name in REGISTRY[type].parameters)


def _numbers(type: str) -> tuple[str, str]:
    """The type's messages, and their numbers where they are the fork's."""
    fields = schema.LayerParameter.DESCRIPTOR.fields_by_name
    names = [n for n in REGISTRY[type].parameters if n != "transform_param"]
    numbers = (fields[name].number for name in names)
    said = (f"{number}, ours" if number in OURS else str(number) for number in numbers)
    return ", ".join(f"`{name}`" for name in names) or "none", "; ".join(said)


def _v1(type: str) -> str:
    return ", ".join(old for old, new in V1_TYPES.items() if new == type)


def _named(name: str) -> Any:
    """The module, class or function of a dotted name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        home, _, last = name.rpartition(".")
        return getattr(importlib.import_module(home), last)


def _documented(name: str, thing: Any, depth: int = 3) -> Iterator[str]:
    """A heading, signature and docstring, then those of the public names inside."""
    doc = inspect.cleandoc(thing.__doc__ or "")
    if not doc:
        return
    words = doc if isinstance(thing, ModuleType | property) else f"{_signature(thing)}\n\n{doc}"
    yield f"{'#' * depth} {name}\n\n```text\n{words}\n```\n"
    if isinstance(thing, ModuleType):
        for inner, each in vars(thing).items():
            ours = getattr(each, "__module__", "").startswith(thing.__name__)
            if ours and callable(each) and not inner.startswith("_"):
                yield from _documented(f"{name}.{inner}", each)
    elif isinstance(thing, type) and not issubclass(thing, tuple):
        called = name.rpartition(".")[2]
        for inner, each in vars(thing).items():
            shown = isinstance(each, property) or inspect.isfunction(each)
            if shown and not inner.startswith("_"):
                yield from _documented(f"{called}.{inner}", each, 4)


def _signature(thing: Any) -> str:
    """'load_image(filename, color=True)': without annotations, which the docstring has in words."""
    signature = inspect.signature(thing)
    plain = [p.replace(annotation=p.empty) for n, p in signature.parameters.items() if n != "self"]
    empty = signature.empty
    words = str(signature.replace(parameters=plain, return_annotation=empty))
    words = re.sub(r"<function (\w+) at 0x\w+>", r"\1", words)  # or each build would differ
    return thing.__name__ + re.sub(r"<class 'numpy\.(\w+)'>", r"np.\1", words)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("|" + "".join(f" {c} |" if c else " |" for c in line) + "\n" for line in lines)


if __name__ == "__main__":
    for page, text in pages().items():
        if text != (ROOT / page).read_text("utf-8"):
            (ROOT / page).write_text(text, "utf-8")
            sys.stdout.write(f"wrote {page}\n")
