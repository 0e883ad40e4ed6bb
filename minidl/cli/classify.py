"""Class scores of pictures.

    minidl classify PICTURE... --run RUN
    minidl classify PICTURE... --model NET --weights FILE

A PICTURE is a file, a folder, or images H x W x C of one size in a .npy file. Of a folder of
folders, one a class, the accuracy and a confusion matrix are printed. Pictures are processed as
they were in training. If the last word ends in .npy, after the pictures, it is the file for the
scores, a row for each picture: these are the words of Caffe's classify.py, whose flags are accepted
too.
"""

from __future__ import annotations

import functools
import logging
from argparse import Namespace
from typing import Any

from minidl.cli import as_json, confusion, models, picture_files, pictures
from minidl.cli.arguments import Parser, text_of, whole, wholes
from minidl.cli.log import logging_to
from minidl.cli.pictures import add_net, add_words, opened
from minidl.errors import UsageError, did_you_mean

log = logging.getLogger("minidl")
AT_ONCE = 256  # pictures that are held in memory
TOP = 5


def add_arguments(parser: Parser) -> None:
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", help="a file, folder or .npy")
    parser.add_argument("--out", metavar="FILE", help=".npy for the scores")
    parser.add_argument("--ext", default="", help="only this ending in folders: png (default: all)")
    parser.add_argument("--labels", metavar="FILE", help="names of the classes, one per line")
    parser.add_argument(
        "--top",
        type=whole(0),
        metavar="N",
        help="classes to print for each picture (default: 5, for folders of classes 0)",
    )
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")
    parser.add_argument(
        "--target", metavar="FILE", help="what a net that answers with pictures should (--json)"
    )
    crops = parser.add_mutually_exclusive_group()
    crops.add_argument("--oversample", action="store_true", help="ten crops averaged")
    crops.add_argument("--center-only", action="store_true", help="only the centre crop")
    add_net(parser)
    add_words(parser)
    parser.add_argument(
        "--images-dim",
        type=wholes("a size H,W such as 256,256", 2),
        metavar="H,W",
        help="resize to this, and average ten crops, as Caffe does",
    )


def run(args: Namespace) -> int:
    if args.target and not args.json:
        raise UsageError("--target needs --json", where="minidl classify")
    if len(args.pictures) > 1 and args.pictures[-1].endswith(".npy") and not args.out:
        args.out = args.pictures.pop()
    with logging_to(args):
        import numpy as np

        from minidl.classifier import Classifier
        from minidl.io import load_image
        from minidl.storage import files

        with opened(Classifier, args) as net:
            grey = net.blobs[net.input].shape[1] == 1
            load = functools.partial(load_image, color=not grey)
            if net.preprocess is not None:
                load = net.preprocess.load
            found = picture_files.find(args.pictures, load, args.ext)
            if args.json and (others := _others(net, found, args)) is not None:
                print(as_json.dumps(others))
                return 0
            pictures, scores = _scores(net, found, args)
    labels = _labels(args.labels, net, scores.shape[1])
    if args.out:
        with files.replacing(args.out) as file:
            np.save(file, scores)
    truth = _truth(pictures, labels)
    known = [i for i, number in enumerate(truth) if number is not None]
    if args.json:
        print(as_json.dumps(plainly(pictures, scores, labels, truth, args.top)))
        return 0
    top = args.top if args.top is not None else 0 if known else TOP
    _print_best(pictures, scores, labels, top)
    if known:
        right = np.array([truth[i] for i in known])
        print("\n".join(confusion.report(scores[known], right, labels)))
    return 0


def _others(net: Any, found: list[Any], args: Namespace) -> dict[str, Any] | None:
    """Return the answers, for --json, of a net that does not answer classes; None of one that
    does."""
    from minidl.evaluation import answers, task

    what = task.of(net.blueprint.nodes)
    if what.kind == task.CLASSES:
        if args.target:
            raise UsageError("--target is for nets that answer with pictures")
        return None
    if args.target and len(found) != 1:
        raise UsageError(f"--target is given for {len(found)} pictures", expected="one")
    target = net.preprocess.load(args.target) if args.target and net.preprocess else None
    labels = [] if net.preprocess is None else list(net.preprocess.labels)
    model = models.read_net(pictures.files(args)[0])
    aim = task.aim_of(model, args.level, args.stage).transform
    items = []
    for some, pixels in picture_files.loaded(found, 1):
        item = answers.answer(net, what, pixels[0], labels, target, aim)
        items.append({"name": some[0].name} | item)
    return {"task": what.kind, "labels": len(labels), "pictures": items}


def _scores(net: Any, found: list[Any], args: Namespace) -> tuple[list[Any], Any]:
    """Return the pictures that could be read, and their scores."""
    import numpy as np

    ten = True if args.oversample else False if args.center_only else None
    pictures: list[Any] = []
    parts = []
    for some, pixels in picture_files.loaded(found, AT_ONCE):
        pictures += some
        parts.append(net.predict(pixels, oversample=ten))
    return pictures, np.concatenate(parts)


def _labels(path: str | None, net: Any, count: int) -> list[str]:
    """Return the names of the classes: from the file, from the description, or their numbers."""
    if path is not None:
        text = text_of(path, "names of classes")
        labels = text.splitlines()
        if len(labels) != count:
            raise UsageError(f"has {len(labels)} names", where=path, expected=f"{count}")
        return labels
    described = list(net.preprocess.labels) if net.preprocess is not None else []
    if described and len(described) != count:
        log.warning("there are %d labels for %d classes: not used", len(described), count)
    return described if len(described) == count else [str(i) for i in range(count)]


def _truth(pictures: list[Any], labels: list[str]) -> list[int | None]:
    """Return the number of the class whose folder holds a picture, if it is one of the net's."""
    numbers = {label: i for i, label in enumerate(labels)}
    folders = sorted({p.folder for p in pictures if p.folder is not None})
    unknown = [name for name in folders if name not in numbers]
    if unknown and len(unknown) < len(folders):
        hint = did_you_mean(unknown[0], labels)
        log.warning("no class is called '%s': its pictures do not count. %s", unknown[0], hint)
    return [None if p.folder is None else numbers.get(p.folder) for p in pictures]


def _print_best(pictures: list[Any], scores: Any, labels: list[str], top: int) -> None:
    import numpy as np

    for picture, row in zip(pictures, scores, strict=True):
        for place in np.argsort(-row, kind="stable")[:top]:
            print(f"{picture.name}  {row[place]:.4f}  {labels[place]}")


def plainly(
    pictures: list[Any], scores: Any, labels: list[str], truth: list[int | None], top: int | None
) -> dict[str, Any]:
    """Return the answers for --json: of each picture the best classes, (label, score)."""
    import numpy as np

    found = []
    for picture, row, number in zip(pictures, scores, truth, strict=True):
        order = np.argsort(-row, kind="stable")[: TOP if top is None else top].tolist()
        item: dict[str, Any] = {"name": picture.name}
        if number is not None:
            item["truth"] = labels[number]
        found.append({**item, "top": [[labels[i], float(row[i])] for i in order]})
    return {"labels": len(labels), "pictures": found}
