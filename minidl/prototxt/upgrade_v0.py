"""Layers of 2013 (V0: `layers { layer { type: "conv" kernelsize: 5 } }`) into those of 2014."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from minidl import schema
from minidl.errors import PrototxtError, Several, did_you_mean, raise_all
from minidl.prototxt.origin import label, where

TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "locally_connected": "LOCAL",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}

_DATA = {"data": "data_param", "images": "image_data_param"}
_IMAGES, _WINDOWS = {"images": "image_data_param"}, {"window_data": "window_data_param"}
_BATCHES = {**_DATA, **_WINDOWS, "hdf5_data": "hdf5_data_param"}
_SOURCES = {**_BATCHES, "infogain_loss": "infogain_loss_param"}
_SLIDING = {"conv": "convolution_param", "locally_connected": "local_param"}
_LEARNED = {**_SLIDING, "innerproduct": "inner_product_param"}
_WINDOWED = {**_SLIDING, "pool": "pooling_param"}
_LRN = {"lrn": "lrn_param"}

# old field -> new field, and the message it is in: {old type: new message}
_FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "num_output": ("num_output", _LEARNED),
    "biasterm": ("bias_term", _LEARNED),
    "weight_filler": ("weight_filler", _LEARNED),
    "bias_filler": ("bias_filler", _LEARNED),
    "pad": ("pad", _WINDOWED),
    "kernelsize": ("kernel_size", _WINDOWED),
    "stride": ("stride", _WINDOWED),
    "group": ("group", {"conv": "convolution_param"}),
    "pool": ("pool", {"pool": "pooling_param"}),
    "dropout_ratio": ("dropout_ratio", {"dropout": "dropout_param"}),
    "local_size": ("local_size", _LRN),
    "alpha": ("alpha", _LRN),
    "beta": ("beta", _LRN),
    "k": ("k", _LRN),
    "source": ("source", _SOURCES),
    "batchsize": ("batch_size", _BATCHES),
    "rand_skip": ("rand_skip", _DATA),
    "shuffle_images": ("shuffle", _IMAGES),
    "new_height": ("new_height", _IMAGES),
    "new_width": ("new_width", _IMAGES),
    "concat_dim": ("concat_dim", {"concat": "concat_param"}),
    "det_fg_threshold": ("fg_threshold", _WINDOWS),
    "det_bg_threshold": ("bg_threshold", _WINDOWS),
    "det_fg_fraction": ("fg_fraction", _WINDOWS),
    "det_context_pad": ("context_pad", _WINDOWS),
    "det_crop_mode": ("crop_mode", _WINDOWS),
    "hdf5_output_param": ("", {"hdf5_output": "hdf5_output_param"}),
}
_ANY_TYPE = {  # old field -> field of transform_param, for every type
    "scale": "scale",
    "meanfile": "mean_file",
    "cropsize": "crop_size",
    "mirror": "mirror",
}
_SAME = ("blobs", "blobs_lr", "weight_decay")  # lists that a layer of 2014 has too


def padding_layers(net: Any) -> tuple[Any, list[str]]:
    """Fold layers of type "padding" into the `pad` of the layers that read them.

    Only a conv or pool layer with one bottom may read one. The padding layer itself goes.
    """
    if not any(layer.layer.type == "padding" for layer in net.layers):
        return net, []
    errors: list[PrototxtError] = []
    source: dict[str, Any] = {}  # the layer that last wrote each blob
    upgraded = deepcopy(net)
    del upgraded.layers[:]
    for layer in net.layers:
        padding = layer.layer.type == "padding"
        kept = None if padding else upgraded.layers.add()
        if kept is not None:
            kept.CopyFrom(layer)
        for i, bottom in enumerate(layer.bottom):
            before = source.get(bottom)
            if before is None or before.layer.type != "padding":
                continue
            if layer.layer.type not in ("conv", "pool") or len(layer.bottom) != 1:
                found = f"reads '{bottom}', which the padding layer '{before.layer.name}' makes"
                wanted = "padding before a conv or pool layer with one bottom"
                errors.append(PrototxtError(found, where=where(layer), expected=wanted))
            elif len(before.bottom) == 1 and kept is not None:
                kept.layer.pad = before.layer.pad
                kept.bottom[i] = before.bottom[0]
        if padding and (len(layer.bottom) != 1 or len(layer.top) != 1):
            found = f"has {len(layer.bottom)} bottom and {len(layer.top)} top"
            errors.append(PrototxtError(found, where=where(layer), expected="one of each"))
        source.update(dict.fromkeys(layer.top, layer))
    raise_all(errors)
    count = len(net.layers) - len(upgraded.layers)
    return upgraded, [f"folded {count} padding layers into the layers that read them"]


def memory_inputs(net: Any) -> tuple[Any, list[str]]:
    """Turn layers of type "memory_data" with `datum_dims`, of a branch of 2014, into inputs.

    They give an item's shape and leave the batch size to the program: one, as it is.
    """
    found = [layer for layer in net.layers if _is_memory(layer)]
    if not found or net.input:
        return net, []
    upgraded = deepcopy(net)
    del upgraded.layers[:]
    upgraded.layers.extend(layer for layer in net.layers if not _is_memory(layer))
    notes = []
    for layer in found:
        dims = layer.layer.datum_dims
        shape = (1, dims.channels, dims.height, dims.width)
        upgraded.input.extend(layer.top)
        for _ in layer.top:
            upgraded.input_shape.add(dim=shape)
        notes.append(f"{label(layer)}: turned into an input of the shape {shape}")
    return upgraded, notes


def _is_memory(layer: Any) -> bool:
    inner = layer.layer
    one = len(layer.top) == 1 and not layer.bottom
    return inner.type == "memory_data" and inner.HasField("datum_dims") and one


def v0_layers(net: Any) -> tuple[Any, list[str]]:
    """Turn layers whose settings are in an inner `layer` into layers of 2014."""
    old = [layer for layer in net.layers if layer.HasField("layer")]
    if not old:
        return net, []
    unknown = [layer for layer in old if layer.layer.HasField("type")]
    unknown = [layer for layer in unknown if layer.layer.type not in TYPES]
    raise_all(
        [
            PrototxtError(
                f"'{layer.layer.type}' is not a layer type of Caffe in this form of 2013",
                where=where(layer),
                fix=did_you_mean(layer.layer.type, TYPES) if i < Several.shown else "",
            )
            for i, layer in enumerate(unknown)
        ]
    )
    notes = [f"upgraded {len(old)} layers from the form of 2013 (layers {{ layer {{ ... }} }})"]
    upgraded = deepcopy(net)
    del upgraded.layers[:]
    for layer in net.layers:
        if layer.HasField("layer"):
            _layer(layer, upgraded.layers.add(), notes)
        else:
            upgraded.layers.add().CopyFrom(layer)
    return upgraded, notes


def _layer(outer: Any, new: Any, notes: list[str]) -> None:
    """Fill `new`, a V1LayerParameter, from one with a V0 `layer` in it."""
    old = outer.layer
    new.bottom.extend(outer.bottom)
    new.top.extend(outer.top)
    if outer.HasField(schema.ORIGIN):
        new.minidl_origin.CopyFrom(outer.minidl_origin)
    beside = {f.name for f, _ in outer.ListFields()}
    beside -= {"bottom", "top", "layer", schema.ORIGIN}
    for name in sorted(beside):
        notes.append(f"{label(outer)}: dropped {name}, which is next to 'layer', not in it")
    for field, value in old.ListFields():
        name = field.name
        if name == "name":
            new.name = value
        elif name == "type":
            new.type = _type_number(value)
        elif name in _SAME:
            getattr(new, name).extend(value)
            _line(old, new, name, name)
        elif name in _ANY_TYPE:
            setattr(new.transform_param, _ANY_TYPE[name], value)
            _line(old, new, name, f"transform_param.{_ANY_TYPE[name]}")
        elif name == "subtraction":
            _subtract(old, new)
        elif name != schema.ORIGIN:
            renamed, homes = _FIELDS.get(name, ("", {}))
            if old.type not in homes:
                notes.append(f"{label(outer)}: dropped {name}, which means nothing to this type")
                continue
            home = homes[old.type]
            _put(getattr(new, home), renamed, value)
            _line(old, new, name, f"{home}.{renamed}" if renamed else home)


def _subtract(old: Any, new: Any) -> None:
    """Move `subtraction`, of a branch of 2013: subtracted after scale, where a mean is before."""
    if old.scale == 0:
        raise PrototxtError(
            "has subtraction, and scale is 0",
            where=where(old, "subtraction"),
            expected="a nonzero scale: with 0 all numbers are the same",
        )
    new.transform_param.mean_value.append(old.subtraction / old.scale)
    _line(old, new, "subtraction", "transform_param.mean_value")


def _put(message: Any, field: str, value: Any) -> None:
    """Set a field of a message, or the whole message if the field is ''."""
    if not field:
        message.CopyFrom(value)
    elif hasattr(value, "CopyFrom"):
        getattr(message, field).CopyFrom(value)
    elif hasattr(getattr(message, field), "append"):  # pad, kernel_size, stride of a convolution
        getattr(message, field).append(value)
    else:
        setattr(message, field, value)


def _line(old: Any, new: Any, name: str, path: str) -> None:
    """Carry over the lines of a field and of the fields inside it."""
    for old_path, line in old.minidl_origin.lines.items():
        if old_path == name or old_path.startswith((f"{name}.", f"{name}[")):
            new.minidl_origin.lines[path + old_path[len(name) :]] = line


def _type_number(name: str) -> int:
    values = schema.V1LayerParameter.DESCRIPTOR.enum_types_by_name["LayerType"].values_by_name
    return int(values[TYPES[name]].number)
