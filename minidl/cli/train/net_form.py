"""A net fitted to a data set: its data layers, its classes, and weights to start from."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidl.cli.table import plural
from minidl.cli.train.data import Data, Part
from minidl.cli.train.nets import classes_of
from minidl.errors import UsageError

log = logging.getLogger("minidl")

SHOWN = 4  # names of a list


def crop_size(net: Any) -> int:
    """Return the crop_size of a net's data layers."""
    return max((layer.transform_param.crop_size for layer in net.layer), default=0)


def fitted(
    net: Any, data: Data, crop: int, batches: tuple[int, int], mirror: bool = False
) -> tuple[Any, list[str]]:
    """Return the net with the data set's data layers and classes, and notes about that.

    batches    sizes in training and in tests
    mirror     whether pictures are mirrored in training, as they are if the net says so
    """
    from minidl import schema
    from minidl.prototxt import deploy
    from minidl.prototxt.stages import reads_data

    found = schema.NetParameter()
    found.CopyFrom(net)
    tops = _tops(net, data)
    source = deploy.reader(net) or schema.LayerParameter(name="data", top=tops)
    mirror |= any(x.transform_param.mirror for x in net.layer if list(x.top) == list(source.top))
    if mirror or crop:
        _check_look(data, "mirror" if mirror else "crop")
    layers = []
    for part, batch, phase in (
        ("train", batches[0], schema.TRAIN),
        (data.tests, batches[1], schema.TEST),
    ):
        layers += _layers(source, net, data, data.parts[part], crop, batch, phase, tops)
    if mirror:
        layers[0].transform_param.mirror = True
    rest = [x for x in net.layer if x.type not in deploy.READERS and not reads_data(x)]
    del found.layer[:]
    found.layer.extend([*layers, *rest])
    _set_classes(found, data)
    notes = []
    if data.pairs and len(tops) == 1:
        notes.append("the net has no data layer for a second picture: it learns from the first")
    return found, notes


def _tops(net: Any, data: Data) -> list[str]:
    """Return the tops of a net's data layers: pictures, and what is wanted of them."""
    from minidl import schema
    from minidl.prototxt import phases
    from minidl.prototxt.stages import TOPS, reads_data

    for phase in (schema.TRAIN, schema.TEST):
        state = phases.net_state(phase, net.state.level, list(net.state.stage))
        kept = [x for x in net.layer if phases.included(x, state) and reads_data(x)]
        tops = [top for x in kept for top in x.top]
        if tops:
            break
    else:
        made = {top for x in net.layer for top in x.top}
        read = {bottom for x in net.layer for bottom in x.bottom}
        tops = [top for top in TOPS if top in read - made]
    if len(tops) not in (1, 2) or (len(tops) == 1 and classes_of(net)):
        raise UsageError(
            "has no data layer with pictures and labels"
            if len(tops) < 2
            else f"has data layers with {len(tops)} tops: {', '.join(tops)}",
            where=f"net '{net.name}'",
            expected="one for pictures, one for labels or wanted pictures",
        )
    return tops


def _check_look(data: Data, what: str) -> None:
    """Refuse to mirror or crop what cannot be."""
    if data.pairs:
        raise UsageError(
            f"holds pairs of pictures, and --{what} would change each of the two in another way",
            where=str(data.folder),
            fix=f"leave out {what}: of the flags, and of the net's data layers",
        )
    if data.parts["train"].backend == "hdf5":
        raise UsageError(
            f"holds rows of HDF5 files, which are taken as they are: --{what} does not apply",
            where=str(data.folder),
            fix=f"leave out {what}, or make an LMDB: minidl dataset folder",
        )


def _layers(
    source: Any,
    net: Any,
    data: Data,
    part: Part,
    crop: int,
    batch: int,
    phase: int,
    tops: list[str],
) -> list[Any]:
    """Return the data layers of one phase: one, or of pairs one for each picture."""
    first = _layer(source, data.description.transform, crop, part.store, part, batch, phase)
    del first.top[:]
    first.top.extend(tops if not data.pairs else tops[:1])
    if not data.pairs or len(tops) == 1:
        return [first]
    own = next((x for x in net.layer if tops[1] in x.top), source)
    wanted = own.transform_param if data.classes == 0 else type(own.transform_param)()
    second = _layer(own, type(wanted)(), 0, part.target, part, batch, phase)
    if wanted.HasField("scale"):
        second.transform_param.scale = wanted.scale
    else:
        second.ClearField("transform_param")
    second.transform_param.mean_value.extend(wanted.mean_value if own is not source else ())
    if not second.transform_param.ListFields():
        second.ClearField("transform_param")
    if second.name == first.name:
        second.name = f"{first.name}_{tops[1]}"
    del second.top[:]
    second.top.append(tops[1])
    return [first, second]


def _layer(
    source: Any, transform: Any, crop: int, path: str, part: Part, batch: int, phase: int
) -> Any:
    from minidl import schema

    layer = schema.LayerParameter(name=source.name, type="Data", top=source.top)
    layer.include.add(phase=phase)
    if part.backend == "hdf5":
        layer.type = "HDF5Data"
        p = layer.hdf5_data_param
        p.source, p.batch_size, p.shuffle = path, batch, phase == schema.TRAIN
        return layer
    layer.transform_param.CopyFrom(transform)
    if crop:
        layer.transform_param.crop_size = crop
    if source.transform_param.HasField("scale"):
        layer.transform_param.scale = source.transform_param.scale
    p = layer.data_param
    p.source, p.batch_size = path, batch
    p.backend = p.LEVELDB if part.backend == "leveldb" else p.LMDB
    if phase == schema.TRAIN:
        p.shuffle = True
    return layer


def _set_classes(net: Any, data: Data) -> None:
    """Give the net as many outputs as there are classes."""
    from minidl.prototxt import finetune

    if not data.classes:
        return
    for layer in net.layer:
        p = layer.inner_product_param
        if layer.type == "InnerProduct" and not p.HasField("num_output"):
            p.num_output = data.classes
    if classes_of(net) or not any(x.type.endswith("Loss") or x.loss_weight for x in net.layer):
        before = {finetune.outputs(head) for head in finetune.heads(net)}  # refuses other nets
        finetune.set_classes(net, data.classes)
        _set_upsampled(net, before, data.classes)
    if data.pairs and data.ignore >= 0:
        for layer in net.layer:
            if layer.type == "SoftmaxWithLoss" and not layer.loss_param.HasField("ignore_label"):
                layer.loss_param.ignore_label = data.ignore


def _set_upsampled(net: Any, before: set[int], classes: int) -> None:
    """Give layers that enlarge maps of the classes as many channels as there are now."""
    for layer in net.layer:
        p = layer.convolution_param
        if layer.type == "Deconvolution" and p.num_output in before:
            if p.group == p.num_output:
                p.group = classes
            p.num_output = classes


def fine_tuned(
    net: Any, files: Sequence[str], name: str, args: Namespace, keep_heads: bool = False
) -> list[str]:
    """Make the net start with weights of another one; return lines about that.

    name         of the data set, for layers that start from scratch
    keep_heads   whether the weights are those of a net for the same classes
    """
    from minidl.prototxt import finetune
    from minidl.storage import weight_files

    blobs: dict[str, int] = {}
    for path in files:
        blobs |= {x.name: len(x.blobs) for x in weight_files.read(path).layers if x.blobs}
    names: dict[str, str] = {}
    if classes_of(net) and not keep_heads:
        names = finetune.rename_heads(net, name)
    notes = [
        f"layer '{old}' is now '{new}': it starts from scratch, at {finetune.FASTER} times the rate"
        for old, new in names.items()
    ]
    absent = finetune.missing(net, blobs, names.values())
    taken = [layer.name for layer in net.layer if layer.name in blobs]
    if not taken:
        raise UsageError(
            f"has no weights for any layer of {args.net}",
            where=", ".join(files),
            expected=f"layers such as {net.layer[2].name}",
        )
    notes.append(f"weights of {', '.join(files)}: {plural(len(set(taken)), 'layer')}")
    if absent:
        unused = sorted(set(blobs) - set(taken) - set(names))
        also = f"; unused in the file: {listed(unused)}" if unused else ""
        notes.append(f"not among them, so they start from scratch too: {listed(absent)}{also}")
        if len(absent) > len(set(taken)):
            log.warning(
                "most layers start from scratch, for the weights are those of layers with other "
                "names: give the net that they belong to, its deploy.prototxt, as --net"
            )
    if args.freeze_until:
        frozen = finetune.freeze(net, args.freeze_until, blobs)
        notes.append(f"frozen: {listed(frozen)}")
    return notes


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many there are."""
    more = f", ... ({len(names)})" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def slug(data: Path) -> str:
    """Return the name of a folder without blanks."""
    return "_".join(data.resolve().name.split())
