"""Class scores of images: the words and flags of Caffe's classify.py.

    minidl classify IMAGES OUT --model-def deploy.prototxt --pretrained-model net.caffemodel

IMAGES is an image, a folder of images (their order is that of their names), or images H x W x C of
one size in a .npy file. OUT.npy gets the scores, a row for each image.
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli.arguments import Parser, existing, names, whole
from minidl.cli.log import logging_to
from minidl.cli.models import read_net
from minidl.cli.pictures import add_preparation, load_npy, preparation
from minidl.errors import UsageError


def add_arguments(parser: Parser) -> None:
    parser.add_argument("images", metavar="IMAGES", help="an image, a folder of them, or a .npy")
    parser.add_argument("out", metavar="OUT", help=".npy for the scores")
    parser.add_argument("--center-only", action="store_true", help="the centre, not ten crops")
    parser.add_argument(
        "--images-dim", type=size, default=(256, 256), metavar="H,W", help="default: 256,256"
    )
    parser.add_argument("--ext", default="jpg", help="ending of images in a folder (default: jpg)")
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one a line")
    parser.add_argument("--top", type=whole(0), default=5, metavar="N", help="classes to print")
    add_preparation(parser)


def run(args: Namespace) -> int:
    import numpy as np

    from minidl.storage import files

    labels = _labels(args.labels)
    with logging_to(args):
        from minidl.classifier import Classifier

        sources, images = read_images(args.images, args.ext, args.channel_swap)
        model, options = read_net(args.model_def), preparation(args)
        net = Classifier(model, image_dims=args.images_dim, **options)
        with net:
            scores = net.predict(images, oversample=not args.center_only)
    if labels and len(labels) != scores.shape[1]:
        raise UsageError(
            f"has {len(labels)} names", where=args.labels, expected=f"{scores.shape[1]}"
        )
    with files.replacing(args.out) as file:
        np.save(file, scores)
    for source, row in zip(sources, scores, strict=True):
        for place in np.argsort(-row, kind="stable")[: args.top]:
            print(f"{source}  {row[place]:.4f}  {labels[place] if labels else place}")
    return 0


def read_images(given: str, ext: str, swap: tuple[int, ...]) -> tuple[list[str], list[Any]]:
    """Names and images, H x W x C."""
    from minidl.io import load_image

    path = Path(given)
    if path.suffix == ".npy":
        images = load_npy(given)
        images = images[None] if images.ndim == 3 else images
        if images.ndim != 4 or not len(images):
            raise UsageError(f"has the shape {images.shape}", where=given, expected="(N, H, W, C)")
        return [f"{path.name}[{i}]" for i in range(len(images))], list(images)
    found = [path]
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() == f".{ext.lstrip('.')}")
        if not found:
            raise UsageError(f"has no files ending in .{ext}", where=given, fix="--ext png")
    return [str(p) for p in found], [load_image(p, color=len(swap) != 1) for p in found]


def _labels(path: str | None) -> list[str]:
    if path is None:
        return []
    return existing(path, "names of classes").read_text(encoding="utf-8").splitlines()


def size(text: str) -> tuple[int, int]:
    """Argument type: height and width by comma."""
    parts = names(text)
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size H,W such as 256,256")
    return int(parts[0]), int(parts[1])
