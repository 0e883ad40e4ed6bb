"""Explain everything that can appear in a prototxt, and the errors it may cause.

`minidl explain TOPIC` prints the manual page of a layer type, a message, a field, a solver type, a
rate policy, a filler, an error or a command. `minidl explain NET LAYER` explains one layer of a
net: its equation, shapes, parameters, cost, and which engine runs it and why. Without a topic it
lists the topics.
"""

from __future__ import annotations

import shutil
import textwrap
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from minidl.cli import as_json, engine_flags
from minidl.cli.arguments import Parser, add_shape, add_state
from minidl.cli.log import logging_to
from minidl.errors import UsageError, shortened

if TYPE_CHECKING:
    from minidl.cli.manual import Page, Row

INDENT = "    "
LABEL = 15  # columns of a fact's label
WIDEST = 32  # longer names of fields get lines of their own


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "topic", nargs="?", help="Convolution, pooling_param, SGD, ... or a net's prototxt"
    )
    parser.add_argument("layer", nargs="?", help="name of a layer of that net")
    add_state(parser, phase="TEST")
    add_shape(parser)
    engine_flags.add(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: Namespace) -> int:
    from minidl.cli import layer_page, manual

    if args.topic is None:
        groups = manual.listing()
        print(as_json.dumps(groups) if args.json else listing(groups))
        return 0
    if is_file(args.topic):
        with logging_to(args):
            pages = [layer_page.page(args)]
    elif args.layer is not None:
        raise UsageError(
            f"'{args.topic}' is not a net, so it has no layer '{args.layer}'",
            where="minidl explain",
            expected="minidl explain TOPIC, or minidl explain NET.prototxt LAYER",
        )
    else:
        pages = manual.find(args.topic)
    if args.json:
        print(as_json.dumps([asdict(page) for page in pages]))
    else:
        print(shortened("\n\n\n".join(as_text(page) for page in pages)))
    return 0


def is_file(topic: str) -> bool:
    """Return whether a topic is meant as the path of a file."""
    return topic.endswith((".prototxt", ".pbtxt", ".txt")) or "/" in topic or Path(topic).is_file()


# ------------------------------------------------------------------ as text


def as_text(page: Page) -> str:
    """Return a page for a terminal, or for a pipe: as wide as that, at most 100 columns."""
    parts = [f"{page.name}, {page.title}"]
    parts += [page.text] if page.text else []
    parts += ["\n".join(_fields(page.fields))] if page.fields else []
    parts += ["\n".join(_facts(page.facts))] if page.facts else []
    return "\n\n".join(parts)


def listing(groups: dict[str, list[str]]) -> str:
    """Return the topics, a paragraph for each group."""
    parts = ["minidl explain TOPIC, where TOPIC is one of these, or any field of theirs:"]
    parts += [f"{_wrapped(t, '')}\n{_wrapped(', '.join(n), INDENT)}" for t, n in groups.items()]
    parts.append("minidl explain NET.prototxt LAYER, for one layer of a net")
    return "\n\n".join(parts)


def _fields(rows: Sequence[Row]) -> Iterator[str]:
    """Yield name, type and default of each field in a line, and the schema's comment below it."""
    longest = max(len(row.name) for row in rows)
    column = longest + 2 if longest < WIDEST else len(INDENT)
    for row in rows:
        kind = f"{row.type}, default {row.default}" if row.default else row.type
        said = [_wrapped(text, " " * column) for text in (kind, row.comment) if text]
        if longest < WIDEST and said:
            said[0] = row.name.ljust(column) + said[0][column:]
        else:
            yield row.name
        yield from said


def _facts(facts: dict[str, str]) -> Iterator[str]:
    """Yield 'engines        onednn, cudnn, cupy', further lines below the first."""
    for label, words in facts.items():
        lines = [part for line in words.split("\n") for part in _lines(line, LABEL)]
        yield from (f"{label if i == 0 else '':<{LABEL}}{part}" for i, part in enumerate(lines))


def _wrapped(text: str, indent: str) -> str:
    """Return paragraphs filled to the width of the screen; indented lines stay as they are."""
    blocks: list[list[str]] = []
    for line in text.split("\n"):
        if line and not line.startswith(" ") and blocks and blocks[-1][-1][:1].strip():
            blocks[-1].append(line)
        else:
            blocks.append([line])
    lines = [
        line
        for block in blocks
        for line in (block if block[0].startswith(" ") else _lines(" ".join(block), len(indent)))
    ]
    return "\n".join(indent + line for line in lines).rstrip()


def _lines(text: str, indent: int) -> Iterable[str]:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100) - indent
    fill = textwrap.TextWrapper(max(width, 30), break_long_words=False, break_on_hyphens=False)
    return fill.wrap(text) or [""]
