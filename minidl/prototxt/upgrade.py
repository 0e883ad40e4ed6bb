"""Bring nets and solvers of any age into today's form: one pure function per old form.

Each takes a message and returns another of the same kind, with one sentence for each change;
its argument is never altered, and is itself the result if there is nothing to do.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from minidl.errors import PrototxtError
from minidl.prototxt.no_effect import without_effect
from minidl.prototxt.origin import label, move_line, v1_type, where
from minidl.prototxt.upgrade_caffe_pro import short_sides
from minidl.prototxt.upgrade_netscope import drawn_inputs, implicit_layers
from minidl.prototxt.upgrade_nvidia import scale_bias
from minidl.prototxt.upgrade_v0 import memory_inputs, padding_layers, v0_layers
from minidl.prototxt.upgrade_v1 import v1_layers

Notes = list[str]

_TRANSFORM_FIELDS = ("scale", "mean_file", "crop_size", "mirror")
_DATA_PARAMS = {  # old and new name of the data layers -> where the transform fields once were
    "DATA": "data_param",
    "IMAGE_DATA": "image_data_param",
    "WINDOW_DATA": "window_data_param",
    "Data": "data_param",
    "ImageData": "image_data_param",
    "WindowData": "window_data_param",
}
_INNER = ("data_param", "image_data_param")  # those that may have a transform_param
_SOLVER_TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}


def upgrade_net(net: Any) -> tuple[Any, Notes]:
    """Return a net in today's form, and what was done to get there (empty: nothing).

    Parameter blobs, as in weight files, are kept. Refuses nets that mix `layer` with `layers` in an
    unknown order, layer types that Caffe never had, and inputs whose shapes do not add
    up.
    """
    if len(net.layer) and len(net.layers) and not _in_known_order(net):
        raise PrototxtError(
            f"the net has both 'layer' ({len(net.layer)}) and 'layers' ({len(net.layers)})",
            where=where(net.layers[0]),
            expected='one form: layer { type: "ReLU" }, or the old layers { type: RELU }',
            fix="write all layers in the form with 'layer'",
        )
    notes: Notes = []
    for step in STEPS:
        net, done = step(net)
        notes += done
    file = net.minidl_origin.file
    return net, [f"{file}: {note}" if file else note for note in notes]


def _in_known_order(net: Any) -> bool:
    """Return whether a net of both forms was read from text, whose lines give the order.

    Layers of 2013 are older than the form next to them; nobody writes such a mixture.
    """
    known = all(layer.minidl_origin.line for layer in [*net.layer, *net.layers])
    return known and not any(layer.HasField("layer") for layer in net.layers)


def upgrade_solver(solver: Any) -> tuple[Any, Notes]:
    """Return a solver in today's form, the nets inside it included, and what was done."""
    solver, notes = solver_type(solver)
    solver, dropped = without_effect(solver)
    file = solver.minidl_origin.file
    notes += [f"{file}: {note}" if file else note for note in dropped]
    upgraded = deepcopy(solver)
    for name in ("net_param", "train_net_param"):
        if solver.HasField(name):
            net, done = upgrade_net(getattr(solver, name))
            getattr(upgraded, name).CopyFrom(net)
            notes += done
    for index, inner in enumerate(solver.test_net_param):
        net, done = upgrade_net(inner)
        upgraded.test_net_param[index].CopyFrom(net)
        notes += done
    return upgraded, notes


def old_transforms(net: Any) -> tuple[Any, Notes]:
    """`scale`, `mean_file`, `crop_size`, `mirror` from the data layers' own messages, in V1 nets.

    They move to `transform_param`, where they override what is there, as in Caffe.
    """
    found = {i: _old_transform_fields(layer) for i, layer in enumerate(net.layers)}
    moved = [i for i, (_, names) in found.items() if names]
    if not moved:
        return net, []
    net = deepcopy(net)
    for i in moved:
        layer = net.layers[i]
        param, names = found[i]
        for name in names:
            setattr(layer.transform_param, name, getattr(getattr(layer, param), name))
            getattr(layer, param).ClearField(name)
            move_line(layer.minidl_origin, f"{param}.{name}", f"transform_param.{name}")
    return net, [f"moved {', '.join(_TRANSFORM_FIELDS)} of data layers to transform_param"]


def inner_transforms(net: Any) -> tuple[Any, Notes]:
    """`transform_param` inside the data layers' own messages, as in BVLC's development of 2014.

    It becomes the layer's own; fields that the layer has already stay as they are.
    """
    notes: Notes = []
    for i, layer in enumerate([*net.layer, *net.layers]):
        param = _data_param(layer)
        if param in _INNER and getattr(layer, param).HasField("transform_param"):
            if not notes:
                net = deepcopy(net)
            layer = [*net.layer, *net.layers][i]
            moved = deepcopy(getattr(layer, param).transform_param)
            moved.MergeFrom(layer.transform_param)
            layer.transform_param.CopyFrom(moved)
            getattr(layer, param).ClearField("transform_param")
            for path in list(layer.minidl_origin.lines):
                if path.startswith(f"{param}.transform_param."):
                    move_line(layer.minidl_origin, path, path.removeprefix(f"{param}."))
            notes.append(f"{label(layer)}: moved transform_param out of {param}, into the layer")
    return net, notes


def ignored_transforms(net: Any) -> tuple[Any, Notes]:
    """Drop and report the same fields in today's layers, where Caffe ignores them."""
    notes, dropped = [], []
    for i, layer in enumerate(net.layer):
        param, names = _old_transform_fields(layer)
        if names:
            dropped.append((i, param, names))
            notes.append(
                f"{label(layer)}: {param} has {', '.join(names)}, which has no effect there, "
                "as in Caffe; transform_param is the place for it"
            )
    if dropped:
        net = deepcopy(net)
        for i, param, names in dropped:
            for name in names:
                getattr(net.layer[i], param).ClearField(name)
    return net, notes


def input_fields(net: Any) -> tuple[Any, Notes]:
    """Turn `input` with `input_shape` or `input_dim` into an Input layer that comes first.

    If both are given, input_shape counts, as in Caffe. Inputs without any shape, as weight
    files have them, are dropped, and so are shapes without inputs.
    """
    count, dims = len(net.input), list(net.input_dim)
    shapes = [list(shape.dim) for shape in net.input_shape]
    if not (count or shapes or dims):
        return net, []
    upgraded = deepcopy(net)
    for name in ("input", "input_shape", "input_dim"):
        upgraded.ClearField(name)
    if not count:
        return upgraded, ["dropped input shapes: there is no input"]
    if not (shapes or dims):
        return upgraded, [f"dropped input {', '.join(net.input)}: it has no shape"]
    notes = ["turned input and its shapes into a layer of type Input"]
    if shapes and dims:
        notes.append("dropped input_dim: input_shape is given too")
    given, each, field = (shapes, 1, "input_shape") if shapes else (dims, 4, "input_dim")
    if len(given) != each * count:
        raise PrototxtError(
            f"the net has {count} input and {len(given)} {field}",
            where=where(net, field),
            expected=f"{each * count} {field}: {each} for each input",
        )
    shapes = shapes or [dims[i : i + 4] for i in range(0, len(dims), 4)]
    del upgraded.layer[:]
    layer = upgraded.layer.add(name="input", type="Input", top=net.input)
    for dim in shapes:
        layer.input_param.shape.add(dim=dim)
    origin = net.minidl_origin
    if origin.file:
        line = origin.lines["input"] if "input" in origin.lines else origin.line
        layer.minidl_origin.file, layer.minidl_origin.line = origin.file, line
        layer.minidl_origin.column = 1
    upgraded.layer.extend(net.layer)
    return upgraded, notes


def batch_norm_params(net: Any) -> tuple[Any, Notes]:
    """Fix the three `param` of BatchNorm layers: they are statistics; no solver may change them."""
    old = [
        i
        for i, layer in enumerate(net.layer)
        if layer.type == "BatchNorm"
        and len(layer.param) == 3
        and any(param.lr_mult or param.decay_mult for param in layer.param)
    ]
    if not old:
        return net, []
    net = deepcopy(net)
    for i in old:
        for param in net.layer[i].param:
            param.lr_mult = param.decay_mult = 0
    names = ", ".join(f"'{net.layer[i].name}'" for i in old)
    return net, [f"set lr_mult and decay_mult of the statistics to 0 in BatchNorm layers {names}"]


def solver_type(solver: Any) -> tuple[Any, Notes]:
    """Turn `solver_type: ADAM` into `type: "Adam"`."""
    if not solver.HasField("solver_type"):
        return solver, []
    if solver.HasField("type"):
        raise PrototxtError(
            "the solver has both type and solver_type",
            where=where(solver, "solver_type"),
            fix="keep type",
        )
    values = solver.DESCRIPTOR.enum_types_by_name["SolverType"].values_by_number
    old = values[solver.solver_type].name
    solver = deepcopy(solver)
    solver.ClearField("solver_type")
    solver.type = _SOLVER_TYPES[old]
    move_line(solver.minidl_origin, "solver_type", "type")
    file = solver.minidl_origin.file
    note = f'turned solver_type: {old} into type: "{solver.type}"'
    return solver, [f"{file}: {note}" if file else note]


# In Caffe's order. A step sees only what the previous ones leave.
STEPS = (
    without_effect,
    padding_layers,
    memory_inputs,
    v0_layers,
    inner_transforms,
    old_transforms,
    v1_layers,
    ignored_transforms,
    input_fields,
    short_sides,
    scale_bias,
    batch_norm_params,
    drawn_inputs,
    implicit_layers,
)


def _old_transform_fields(layer: Any) -> tuple[str, list[str]]:
    """The message of a data layer's own, and the transform fields set in it."""
    param = _data_param(layer)
    if not param:
        return "", []
    return param, [name for name in _TRANSFORM_FIELDS if getattr(layer, param).HasField(name)]


def _data_param(layer: Any) -> str:
    """Return the name of a data layer's message that may hold transform fields; '' for others."""
    old = layer.DESCRIPTOR.name == "V1LayerParameter"
    return _DATA_PARAMS.get(v1_type(layer) if old else layer.type, "")
