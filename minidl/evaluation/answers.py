"""A net's answers to a few pictures that are pictures, maps of classes or boxes themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.errors import UsageError
from minidl.evaluation import boxes, measures, pictures, restore, task
from minidl.evaluation.restore import Restorer
from minidl.evaluation.task import Task
from minidl.net import NetOfImages


def answer(
    net: NetOfImages,
    what: Task,
    pixels: Any,
    labels: Sequence[str],
    target: Any = None,
    aim: Any = None,
) -> dict[str, Any]:
    """Return a net's answer to one picture, for JSON.

    what     of the net; not task.CLASSES
    pixels   H x W x C, as `net.preprocess` takes them
    target   the picture that should come out, likewise, or None
    aim      the TransformationParameter of the pictures that the net was trained towards; None:
             that of the net's input

    boxes             [[label, score, x1, y1, x2, y2], ...], from 0 to 1 of width and height
    png, output_png   base64: what goes in, as the net sees it; what comes out
    shares            of a map: [[label, share of its pixels], ...], the largest first
    target_png, psnr  of a picture with a target
    size              (height, width) of the picture

    Errors: UsageError for a net without a description of its pictures, and for a target of another
    size.
    """
    if net.preprocess is None:
        raise UsageError(
            "--json needs to know what is done to pictures",
            expected="--run RUN, or --preprocess FILE, for a net that does not answer classes",
        )
    ready = net.preprocess(pixels)[None]
    blob = net.blobs[net.input]
    if blob.shape != ready.shape:
        blob.reshape(*ready.shape)
    inputs: dict[str, Any] = {net.input: ready}
    net.forward(**inputs)
    output = np.array(net.device.to_host(net.blobs[what.output].data))
    found: dict[str, Any] = {"size": list(np.shape(pixels)[:2])}
    if what.kind == task.BOXES:
        return found | {"boxes": boxes.listed(boxes.found_in(output), labels)}
    seen = Restorer(net.preprocess.transform, rgb=net.preprocess.channels == "RGB")
    found["png"] = pictures.png(pictures.to_bytes(seen(ready))[0])
    if what.kind == task.PIXELS:
        classes = output[0].argmax(axis=0)
        found["output_png"] = pictures.png_of_classes(classes[None])
        return found | {"shares": _shares(classes, labels)}
    values = restore.sigmoid(output) if what.then == "sigmoid" else output
    undo = seen if aim is None else Restorer(aim, rgb=net.preprocess.channels == "RGB")
    made = undo(restore.planes(values, ready.shape[1:]))
    found["output_png"] = pictures.png(pictures.to_bytes(made)[0])
    if target is not None:
        right = seen(net.preprocess(target)[None])
        if right.shape != made.shape:
            raise UsageError(
                f"the target becomes {right.shape[1:]} and the net answers {made.shape[1:]}",
                where="--target",
                expected="pictures of one size (channels, height, width)",
            )
        found["target_png"] = pictures.png(pictures.to_bytes(right)[0])
        found["psnr"] = float(measures.psnr(measures.squared_error(made, right))[0])
    return found


def _shares(classes: np.ndarray, labels: Sequence[str]) -> list[list[Any]]:
    counts = np.bincount(classes.reshape(-1))
    order = np.argsort(-counts, kind="stable")
    return [
        [boxes.named(labels, int(i)), float(counts[i] / classes.size)] for i in order if counts[i]
    ]
