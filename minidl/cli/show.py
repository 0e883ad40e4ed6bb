"""Show what a net has learned: filters, and their responses to a picture, with statistics.

    minidl show NET --weights FILE --out filters.png
    minidl show --run RUN --picture cat.jpg --out cat.svg
    minidl show RUN cat.jpg --out FOLDER

A row is printed for each parameter, and with a picture for each blob. In the file filters and
activations are drawn as planes in a grid, black the least and white the greatest of them, next to
the histogram of their values. In a folder, layers.json has the figures and the histogram of every
array, next to a PNG for each that can be drawn.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minidl.cli import as_json, engine_flags, figure, models, pictures, show_folder, table
from minidl.cli.arguments import Parser, add_shape, add_state, names, whole
from minidl.cli.log import logging_to
from minidl.errors import UsageError

PLANES = 1024  # drawn of one array, at most
SMALLEST = 3  # height and width, in pixels, of a plane that shows anything


class Shown(NamedTuple):
    """A parameter or a blob. planes: the pictures drawn of it, and how many per row."""

    name: str
    kind: str
    values: Any
    planes: Any = None
    columns: int | None = None


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of the net, or folder of a run", required=False)
    parser.add_argument("image", nargs="?", metavar="PICTURE", help="the same as --picture")
    parser.add_argument("--weights", metavar="FILE", help="caffemodel (default: RUN's last)")
    parser.add_argument("--run", dest="run_folder", metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--snapshot", type=whole(0), metavar="ITER", help="RUN's weights of this iteration"
    )
    parser.add_argument("--picture", metavar="FILE", help="the net's input")
    parser.add_argument("--preprocess", metavar="FILE", help="its preprocessing, as in classify")
    parser.add_argument(
        "--out", "-o", metavar="FILE", help="FILE.png, .svg or .pdf to draw; or a folder"
    )
    parser.add_argument("--force", action="store_true", help="replace what is in the folder")
    parser.add_argument(
        "--layers", type=names, default=(), metavar="A,B", help="only these (default: all)"
    )
    parser.add_argument(
        "--most",
        type=whole(1),
        default=24,
        metavar="N",
        help="arrays to draw; the first of them (default: 24)",
    )
    parser.add_argument("--json", action="store_true", help="print the statistics as JSON")
    add_state(parser)
    add_shape(parser)
    engine_flags.add(parser)


def run(args: Namespace) -> int:
    _sort_words(args)
    if args.out and show_folder.is_meant(args.out):
        return show_folder.run(args, without_picture)
    if args.out:
        figure.check(args.out, "minidl show --out")
    with logging_to(args), opened(args) as net:
        shown = list(found(net, args))
        drawn = [each for each in shown if each.planes is not None][: args.most]
        if args.out:
            from minidl.cli import show_page

            show_page.draw(drawn, args.out)
    print(as_json.dumps(facts(shown)) if args.json else report(shown))
    if args.out and not args.json:
        left = sum(each.planes is not None for each in shown) - len(drawn)
        more = f", {left} more are not drawn: --layers, --most" if left else ""
        print(f"\n{args.out}  {table.plural(len(drawn), 'array')}{more}")
    return 0


def _sort_words(args: Namespace) -> None:
    """Tell apart what the words name: a run's folder or a prototxt, and a picture."""
    words = [args.model, args.image]
    if args.run_folder and args.model and not args.model.endswith(".prototxt"):
        args.model, words = None, [None, *words]
    elif args.model and Path(args.model).is_dir() and not args.run_folder:
        args.run_folder, args.model = args.model, None
    given = [word for word in (*words[1:], args.picture) if word]
    if len(given) > 1:
        raise UsageError(f"{len(given)} pictures are given", where="minidl show", expected="one")
    args.picture = given[0] if given else None


def opened(args: Namespace) -> Any:
    """Return the net with its weights, after a forward pass if there is a picture."""
    if args.picture is None:
        return without_picture(args)
    from minidl.net import NetOfImages

    net = pictures.opened(NetOfImages, args)
    ready = net.preprocess(args.picture)
    net.forward(**{net.input: ready[None]})
    return net


def without_picture(args: Namespace) -> Any:
    """Return the net with its weights; random records take the place of absent data."""
    path, weights, _ = pictures.files(args)
    param, device = models.read_net(path), models.use_device(args)
    return models.net(param, path, args, weights=weights, device=device)


def found(net: Any, args: Namespace) -> Iterator[Shown]:
    """Yield the arrays of the layers asked for, in the order of the net."""
    host = net.device.to_host
    models.refuse_unknown_layers(args.layers, net.layer_dict, "--layers")
    makers: dict[str, list[Any]] = {}  # of each blob: its layer, and those that work in place
    for node in net.blueprint.nodes:
        for top in node.tops:
            makers.setdefault(top, []).append(node)
    for node in net.blueprint.nodes:
        name = node.name
        if args.layers and name not in args.layers:
            continue
        for i, (plan, param) in enumerate(zip(node.params, node.layer.params, strict=True)):
            values = host(param.data)
            drawn = _filters(values, node.bottom_shapes) if i == 0 else (None, None)
            yield Shown(f"{name} {plan.attr}", "parameter", values, *drawn)
        if args.picture is None or node.type == "Split":
            continue
        for top in node.tops:
            if makers[top][0] is node:
                after = f" (after {makers[top][-1].name})" if len(makers[top]) > 1 else ""
                values = host(net.blobs[top].data)
                planes = _maps(values, coloured=top in net.inputs)
                yield Shown(f"{top}{after}", "blob", values, planes)


def _filters(values: Any, below: Sequence[Any]) -> tuple[Any, int | None]:
    """Return planes of a layer's first parameter: of filters, or of rows that read a map."""
    from minidl.draw import tiles

    if values.ndim == 2 and below and len(below[0]) == 4:
        if values.shape[1] == below[0][1] * below[0][2] * below[0][3]:
            values = values.reshape(-1, *below[0][1:])
    if values.ndim != 4 or min(values.shape[2:]) < SMALLEST:
        return None, None
    inputs = values.shape[1]
    if inputs == 3:
        return tiles.filters(values[:PLANES]), None
    side = max(1, int(PLANES**0.5))
    some = values[: max(1, PLANES // min(inputs, side)), :side]
    return tiles.filters(some), some.shape[1] if inputs > 1 else None


def _maps(values: Any, coloured: bool) -> Any:
    """Return planes of the channels of a blob; one picture, if they are its colours."""
    from minidl.draw import tiles

    if values.ndim != 4 or min(values.shape[2:]) < SMALLEST:
        return None
    if coloured and values.shape[1] == 3:
        return tiles.filters(values[:1])
    return tiles.maps(values[0, :PLANES])


def facts(shown: list[Shown]) -> list[dict[str, Any]]:
    from minidl.arrays import facts

    return [
        {
            "name": each.name,
            "kind": each.kind,
            **facts.facts(each.values, int(each.kind == "blob"))._asdict(),
        }
        for each in shown
    ]


def report(shown: list[Shown]) -> str:
    """Return a row for each array."""
    rows = []
    for each in facts(shown):
        numbers = [f"{each[name]:.4g}" for name in ("mean", "std", "least", "most")]
        rows.append(
            [
                each["name"],
                table.shape(each["shape"]),
                *numbers,
                f"{100 * each['zeros']:.1f}%" if each["zeros"] else "",
                f"{each['idle']:,}" if each["idle"] else "",
                f"{each['bad']:,}" if each["bad"] else "",
            ]
        )
    header = ["array", "shape", "mean", "std", "least", "most", "zeros", "idle", "NaN or inf"]
    return table.render(header, rows, left=2)
