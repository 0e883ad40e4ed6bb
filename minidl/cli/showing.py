"""Show what is known of a net before the errors of its refused layers."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from minidl.cli import as_json, models, table
from minidl.errors import MinidlError, UsageError, shortened


@contextlib.contextmanager
def the_rest(args: Namespace) -> Iterator[None]:
    """If a net is refused for some of its layers, print the others, and raise the errors."""
    try:
        yield
    except UsageError:
        raise
    except MinidlError:
        found = _sketch(args)
        if found and any(row.top_shapes is not None for row in found):
            print(as_json.dumps(_plainly(found)) if args.json else shortened(_table(found)))
        raise


def _sketch(args: Namespace) -> Sequence[Any]:
    """Return the layers of the net of -phase (by default TEST); none if its text has no layers."""
    from minidl import prototxt, schema
    from minidl.arrays.rng import Streams
    from minidl.layers.context import Context
    from minidl.net import sketch

    try:
        net = prototxt.read_net(args.model, notes=[], errors=[])
        phase = models.phase(args) if args.phase else schema.TEST
        record = models.guess_record(net, args.model, args)
        ctx = Context(phase=phase, streams=Streams(0), absent_data=record)
        return sketch.rows(net, ctx, args.level or 0, args.stage or ())
    except MinidlError:
        return ()  # for such a file the errors say everything


def _table(rows: Sequence[Any]) -> str:
    lines = []
    for row in rows:
        if row.refused:
            shown = "missing" if row.missing else "refused"
        elif row.top_shapes is None:
            shown = "not known"
        else:
            shown = ", ".join(table.shape(shape) for shape in row.top_shapes)
        params = f"{row.params:,}" if row.params else ""
        work = table.count(row.multiply_adds) if row.multiply_adds else ""
        lines.append([row.name, row.type, shown, params, work])
    known = [row for row in rows if row.top_shapes is not None]
    refused = sum(bool(row.refused) for row in rows)
    total = sum(row.params for row in known)
    behind = len(rows) - len(known) - refused
    return "\n".join(
        [
            table.render(["layer", "type", "top shapes", "params", "multiply-adds"], lines, left=3),
            "",
            f"{len(known)} of {len(rows)} layers are known, with {total:,} parameters; refused: "
            f"{refused}, behind those: {behind}",
        ]
    )


def _plainly(rows: Sequence[Any]) -> dict[str, Any]:
    known = [row for row in rows if row.top_shapes is not None]
    return {
        "layers": [
            {
                **row._asdict(),
                "top_shapes": row.top_shapes and [list(shape) for shape in row.top_shapes],
            }
            for row in rows
        ],
        "totals": {"params": sum(row.params for row in known), "layers": len(known)},
    }
