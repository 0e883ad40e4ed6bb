"""Pages about everything in a prototxt, made from docstrings and the schema's comments.

`find(name)` returns the pages of everything with this name: a field of several messages and a
rate policy may share one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2

import minidl.layers  # noqa: F401  (registers every layer)
from minidl import errors, schema
from minidl.cli import COMMANDS, parser_for
from minidl.errors import UsageError, nearest
from minidl.layers.base import FAMILIES, REGISTRY, Layer, family_of
from minidl.layers.fillers import FILLERS
from minidl.prototxt.fields import is_repeated
from minidl.solver.rules import RULES
from minidl.solver.schedules import POLICIES

SCALARS = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
}


class Row(NamedTuple):
    """A field as a page lists it: "kernel_size", "uint32", what the schema says of it."""

    name: str
    type: str
    default: str
    comment: str


@dataclass(frozen=True)
class Page:
    """What is said about one thing.

    kind    "layer type", "message", "field", ...: a key of KINDS
    title   what it is, in a line
    text    its manual, as it stands in the source
    fields  those that it has or reads
    facts   label: words
    """

    name: str
    kind: str
    title: str
    text: str
    fields: tuple[Row, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


# ------------------------------------------------------------------ what can be asked

MOVED = {"conv-algorithms": "minidl time --algorithms runs them"}  # what explain once did


def find(name: str) -> list[Page]:
    """Return the pages of this name, spelt so or else in other case.

    Errors: UsageError with the nearest names.
    """
    known = {kind: names() for kind, (names, _) in KINDS.items()}
    exact = [kind for kind, names in known.items() if name in names]
    # SGD is a solver type and a value of an old enum, pooling_param a message and a field
    kinds = [kind for kind in exact if kind not in SUBORDINATE or exact == [kind]] or exact[:1]
    if kinds:
        return [KINDS[kind][1](name) for kind in kinds]
    every = list(dict.fromkeys(n for names in known.values() for n in names if "." not in n))
    alike = [other for other in every if other.lower() == name.lower()]
    if alike:
        return [page for other in alike for page in find(other)]
    owner, _, member = name.rpartition(".")
    if owner and any(owner in known[kind] for kind in ("message", "parameter")):
        _, descriptor = _message(owner)
        near = nearest(member, _fields(descriptor))
        raise UsageError(
            f"{owner} has no field '{member}'",
            fix=f"did you mean '{owner}.{near}'?" if near else "",
        )
    fix = MOVED.get(name) or _nearest(name, every) or "minidl explain lists what there is"
    raise UsageError(f"there is no '{name}' to explain", fix=fix)


def listing() -> dict[str, list[str]]:
    """Return the names to ask for, in groups; of fields and values there are too many."""
    groups = {
        f"layer types: {title}": [t for t in sorted(REGISTRY, key=str.lower) if family_of(t) == key]
        for key, title in FAMILIES.items()
    }
    groups["their messages"] = sorted(_parameters())
    groups["other messages"] = [n for n in _messages() if not n.endswith(("Parameter", "Origin"))]
    groups["other messages"] += ["NetParameter", "LayerParameter", "SolverParameter"]
    groups["other messages"] += ["FillerParameter", "TransformationParameter", "LossParameter"]
    for kind, title in PLURALS.items():
        groups[title] = list(KINDS[kind][0]())
    return {title: names for title, names in groups.items() if names}


def _nearest(name: str, known: list[str]) -> str:
    """Return up to three near names, as a question."""
    found: list[str] = []
    while len(found) < 3 and (near := nearest(name, [n for n in known if n not in found])):
        found.append(near)
    if not found:
        return ""
    *first, last = (f"'{near}'" for near in found)
    return f"did you mean {', '.join(first)} or {last}?" if first else f"did you mean {last}?"


# ------------------------------------------------------------------ layers


def layer(name: str) -> Page:
    """Return the page of a layer type: its docstring, who else computes it, where it is."""
    cls = REGISTRY[name]
    ours = cls.__module__.startswith("minidl.")
    facts = {
        "messages": ", ".join(cls.parameters) or "none",
        "engines": engines(cls),
        "in ONNX": _in_onnx(name),
        "from": cls.fork or ("BVLC's Caffe" if ours else cls.__module__),
        "written in": ", ".join(sources(cls)),
    }
    return Page(
        name, "layer type", f"a layer type ({FAMILIES[family_of(name)]})", text_of(cls), facts=facts
    )


def text_of(thing: Any) -> str:
    """Return a docstring without its indentation; its own, not that of a base class."""
    return inspect.cleandoc(vars(thing).get("__doc__") or "")


def equation(cls: type[Layer]) -> str:
    """Return what a layer's page says before it comes to its bottoms and tops."""
    before, *_ = re.split(r"^ *(?:bottom|top)\b", text_of(cls), maxsplit=1, flags=re.MULTILINE)
    return before.rstrip()


def sources(cls: type) -> list[str]:
    """Return the files that a class and its bases are written in, its own first."""
    files = []
    for base in cls.__mro__:
        if base in (Layer, object) or not inspect.getsourcefile(base):
            continue
        path = Path(inspect.getsourcefile(base) or "")
        home = Path(minidl.layers.__file__).parents[2]
        files.append(str(path.relative_to(home) if path.is_relative_to(home) else path))
    return list(dict.fromkeys(files))


def engines(cls: type[Layer]) -> str:
    """Say who has plans for what a layer type may compute: "onednn on the CPU, ..."."""
    from minidl.engines import select

    places = {"cpu": "on the CPU", "cuda": "on a GPU"}
    able = [each for each in select.known() if {*cls.computes} & {*each.operators}]
    names = [f"{each.name} {places[each.kind]}" for each in able]
    return ", ".join([*names, "array code everywhere"])


def _in_onnx(type: str) -> str:
    import minidl.onnx.ops  # noqa: F401  (fills the table)
    from minidl.onnx.table import becomes

    return becomes(type) or "refused: minidl has no translation of this type"


# ------------------------------------------------------------------ messages and fields


def message(name: str) -> Page:
    """Return the page of a message, by its own name or that of the layer's field: its fields."""
    parameter, descriptor = _message(name)
    title = f"a message of {len(descriptor.fields)} fields"
    facts = {}
    if parameter:
        number = _parameters()[parameter].number
        title = f"{descriptor.name}, field {number} of a layer"
        facts["read by"] = ", ".join(_readers(parameter)) or "no layer"
    return Page(
        parameter or descriptor.name,
        "message",
        title,
        schema.comment(_dotted(descriptor)),
        tuple(_row(f) for f in descriptor.fields if f.name != schema.ORIGIN),
        facts,
    )


def field_(name: str) -> Page:
    """Return the page of a field by its own name: which messages have it, what it means there."""
    owner, _, member = name.rpartition(".")
    homes = [_message(owner)[1]] if owner else _every_message()
    has = [d for d in homes if member in _fields(d)]
    rows = [_row(_fields(d)[member])._replace(name=f"{_called(d)}.{member}") for d in has]
    readers = list(dict.fromkeys(t for d in has for p in _called_by(d) for t in _readers(p)))
    facts = {"read by": ", ".join(sorted(readers, key=str.lower))} if readers else {}
    count = f"{len(rows)} messages" if len(rows) > 1 else _called(has[0])
    return Page(name, "field", f"a field of {count}", "", tuple(rows), facts)


def value(name: str) -> Page:
    """Return the page of an enum's value: of which enums it is one."""
    rows = [
        Row(f"{_dotted(enum)}.{name}", "", "", schema.comment(_dotted(enum), name))
        for enum in _enums()
        if name in enum.values_by_name
    ]
    return Page(name, "value", "a value of these kinds", "", tuple(rows))


def enum(name: str) -> Page:
    """Return the page of an enum: its values."""
    found = next(e for e in _enums() if e.name == name)
    rows = [
        Row(v.name, str(v.number), "", schema.comment(_dotted(found), v.name)) for v in found.values
    ]
    text = schema.comment(_dotted(found))
    return Page(name, "kind", f"{_dotted(found)}, one of {len(rows)} values", text, tuple(rows))


def _row(f: Any) -> Row:
    repeated = is_repeated(f)
    if f.enum_type is not None:
        type = " | ".join(v.name for v in f.enum_type.values)
        default = "" if repeated else f.enum_type.values_by_number[f.default_value].name
    else:
        type = f.message_type.name if f.message_type else SCALARS[f.type]
        default = _default(f)
    said = schema.comment(_dotted(f.containing_type), f.name)
    if f.GetOptions().deprecated:
        said += "\n\nIt has no effect here: it tunes another program."
    return Row(f.name, f"repeated {type}" if repeated else type, default, said)


def _default(f: Any) -> str:
    """What a field that is not given holds, where the schema says so."""
    if is_repeated(f) or f.message_type or not f.has_default_value:
        return ""
    if isinstance(f.default_value, bool):
        return str(f.default_value).lower()
    return f"{f.default_value:g}" if isinstance(f.default_value, float) else str(f.default_value)


def _message(name: str) -> tuple[str, Any]:
    """(the layer's field, the descriptor) of a message by either name; the field may be ""."""
    if name in _parameters():
        return name, _parameters()[name].message_type
    found = _messages()[name]
    called = _called_by(found)
    return (called[0] if len(called) == 1 else ""), found


def _messages() -> dict[str, Any]:
    return {name: cls.DESCRIPTOR for name, cls in schema.messages().items()}


def _every_message() -> list[Any]:
    """The messages that a file may have today, then those of old forms."""
    every = [d for d in _messages().values() if d.name != "Origin"]
    return sorted(every, key=lambda d: d.name.startswith(("V0", "V1")))


def _fields(descriptor: Any) -> dict[str, Any]:
    return {f.name: f for f in descriptor.fields if f.name != schema.ORIGIN}


def _parameters() -> dict[str, Any]:
    """The messages of a layer: field name -> descriptor of the field."""
    layer = schema.LayerParameter.DESCRIPTOR
    fields = {**_fields(layer), **{f.name: f for f in schema.added(layer)}}
    return {name: f for name, f in fields.items() if name.endswith("_param")}


def _called_by(descriptor: Any) -> list[str]:
    """The fields of a layer that hold such a message."""
    return [name for name, f in _parameters().items() if f.message_type == descriptor]


def _called(descriptor: Any) -> str:
    """What a reader calls a message: "pooling_param", "SolverParameter"."""
    called = _called_by(descriptor)
    return called[0] if called else str(descriptor.name)


def _readers(parameter: str) -> list[str]:
    return sorted((t for t, cls in REGISTRY.items() if parameter in cls.parameters), key=str.lower)


def _enums() -> Iterator[Any]:
    for descriptor in _messages().values():
        yield from descriptor.enum_types
    yield from schema.file().enum_types_by_name.values()


def _dotted(descriptor: Any) -> str:
    """'PoolingParameter.PoolMethod': the name within the schema."""
    return str(descriptor.full_name).partition(".")[2]


def _field_names() -> list[str]:
    parameters = _parameters()
    plain = [n for d in _every_message() for n in _fields(d) if n not in parameters]
    homes = {**_messages(), **{n: f.message_type for n, f in parameters.items()}}
    return [*dict.fromkeys(plain), *(f"{n}.{f}" for n, d in homes.items() for f in _fields(d))]


# ------------------------------------------------------------------ the solver, fillers, errors


def rule(name: str) -> Page:
    """Return the page of a solver type: how it changes a weight, and the fields that it reads."""
    found = RULES[name]
    text = inspect.getdoc(found.update) or ""
    if found.decoupled:
        text += "\n\nweight_decay shrinks the weights themselves and is not part of the gradient g."
    rows = _solver_rows("base_lr", *found.reads, "weight_decay", "clip_gradients")
    rate = "what lr_policy makes of base_lr, times the parameter's lr_mult"
    if correction := inspect.getdoc(found.correction):
        rate += f", times {correction}"
    title = "a solver type: how a weight w follows its gradient g"
    return Page(name, "solver type", title, text, rows, {"rate": rate})


def policy(name: str) -> Page:
    """Return the page of a rate policy: the rate of an iteration, and the fields that it reads."""
    found = POLICIES[name]
    text = f"rate = {policy_formula(name)}"
    ends = ("min_lr", "max_iter") if found.ends else ()
    rows = _solver_rows(*dict.fromkeys(("base_lr", *found.needs, *ends)))
    return Page(name, "rate policy", "an lr_policy: the rate of iteration `it`", text, rows)


def policy_formula(name: str) -> str:
    """Return what the schema says of a policy: "base_lr * gamma^it"."""
    said = schema.comment("SolverParameter", "lr_policy")
    match = re.search(rf"^ *{name} +(.+)$", said, re.MULTILINE)
    return match[1] if match else ""


def _solver_rows(*names: str) -> tuple[Row, ...]:
    fields = _fields(schema.SolverParameter.DESCRIPTOR)
    return tuple(_row(fields[name]) for name in names)


def filler(name: str) -> Page:
    """Return the page of a filler: the numbers that it draws."""
    rows = [_row(f) for f in schema.FillerParameter.DESCRIPTOR.fields if f.name != "type"]
    text = inspect.getdoc(FILLERS[name]) or ""
    used = tuple(row for row in rows if re.search(rf"\b{row.name}\b", _code_of(FILLERS[name])))
    return Page(name, "filler", "a filler: what a parameter starts with", text, used)


def _code_of(function: Any) -> str:
    """The source of a filler, and of the helper that works its fan out."""
    source = inspect.getsource(function)
    return source + ("variance_norm" if ".fan()" in source else "")


def error(name: str) -> Page:
    """Return the page of an error class: when it is raised, and how to catch it."""
    cls = getattr(errors, name)
    caught = [b.__name__ for b in cls.__mro__ if issubclass(b, Exception) and b is not Exception]
    below = [other.__name__ for other in cls.__subclasses__() if hasattr(errors, other.__name__)]
    facts = {
        "caught by": ", ".join(f"except {base}" for base in caught),
        "status": f"{cls.exit_code}, with which a command ends",
        "in Python": f"minidl.errors.{name}: found, where, expected, fix",
    }
    facts.update({"kinds": ", ".join(below)} if below else {})
    return Page(name, "error", "an error", text_of(cls), facts=facts)


def _errors() -> list[str]:
    return [
        name
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.MinidlError) and name != "Several"
    ]


def command(name: str) -> Page:
    """Return the page of a command: its help."""
    return Page(name, "command", f"a command: {COMMANDS[name]}", parser_for(name).format_help())


# Kind -> its names, and the page of one of them. In the order in which pages are printed.
KINDS: dict[str, tuple[Callable[[], Any], Callable[[str], Page]]] = {
    "layer type": (lambda: REGISTRY, layer),
    "solver type": (lambda: RULES, rule),
    "rate policy": (lambda: POLICIES, policy),
    "filler": (lambda: FILLERS, filler),
    "error": (_errors, error),
    "message": (lambda: [*_messages(), *_parameters()], message),
    "field": (_field_names, field_),
    "kind": (lambda: [e.name for e in _enums()], enum),
    "value": (lambda: [v.name for e in _enums() for v in e.values], value),
    "command": (lambda: COMMANDS, command),
}
SUBORDINATE = ("value", "kind")  # shown where nothing else has the name
PLURALS = {  # of those kinds whose names `listing` has
    "solver type": "solver types",
    "rate policy": "rate policies",
    "filler": "fillers",
    "error": "errors",
    "command": "commands",
}
