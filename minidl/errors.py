"""Everything minidl can refuse, one class a kind; each docstring is its manual page.

A message has up to four parts: where, what was found, what was expected, how to put it right.

>>> print(LayerConfigError("kernel_size is 7 but the padded bottom is 5 x 5",
...                        where="net.prototxt:41: Pooling layer 'pool1'",
...                        expected="kernel_size <= 5", fix="lower kernel_size or add pad: 1"))
net.prototxt:41: Pooling layer 'pool1': kernel_size is 7 but the padded bottom is 5 x 5
  expected: kernel_size <= 5
  fix: lower kernel_size or add pad: 1
"""

from __future__ import annotations

import builtins
import contextlib
import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# Control characters but for tab and newline, halves of pairs (how Python holds bytes that are not
# UTF-8), and what turns the direction of writing or ends a line unseen.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
WORD = re.compile(r"\S{401,}")
LONGEST_LINE = 4000  # characters


class MinidlError(RuntimeError):
    """Base of all of minidl's errors; `exit_code` is the status the command line ends with.

    RuntimeErrors, as pycaffe's are, so that what programs written for it catch is caught.
    """

    exit_code = 2

    def __init__(self, found: str, *, where: str = "", expected: str = "", fix: str = "") -> None:
        self.found, self.where, self.expected, self.fix = found, where, expected, fix
        super().__init__(found)

    @property
    def errors(self) -> list[MinidlError]:
        """The errors that it stands for: itself, unless it is `Several`."""
        return [self]

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.found}" if self.where else self.found]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return legible("\n".join(lines))


@contextlib.contextmanager
def placed_at(where: str) -> Iterator[None]:
    """Give this place to an error raised inside that has none."""
    try:
        yield
    except MinidlError as error:
        error.where = error.where or where
        raise


@contextlib.contextmanager
def placed_in(where: str) -> Iterator[None]:
    """Put this place, such as a layer's, before those of the errors raised inside."""
    try:
        yield
    except MinidlError as error:
        for one in error.errors:
            one.where = f"{where}: {one.where}"
        raise


class UsageError(MinidlError, ValueError):
    """The command line or a call's arguments make no sense together.

    `minidl COMMAND --help`, or the docstring of the function, lists what it takes.
    """


class PrototxtError(MinidlError):
    """A prototxt (or a prototxt-like message) cannot be read: syntax, unknown field, bad value.

    All errors of a file come at once, each with line and column. `minidl explain FIELD` says what a
    field means; a field of another Caffe is named with the fork that it is known from.
    """


class GraphError(MinidlError):
    """The layers of a net do not fit together: unknown bottoms, two sources of one top, ...

    Also raised where a layer in place would overwrite what a backward pass still reads: give its
    top a name of its own. Layers that are left out in one phase may be the cause: see -phase.
    """


class LayerConfigError(MinidlError):
    """A layer refuses its parameters, or the shapes of its bottoms.

    The message names the layer, its line in the file, the value found and what was expected.
    `minidl explain TYPE` says what the layer takes, `minidl check NET` which shapes reach it.
    """


class UnknownLayerTypeError(GraphError):
    """A net names layer types that minidl does not have (all of them are listed).

    `minidl explain` lists those it has. One in a package of yours needs `--import PACKAGE`, or in
    Python an import before the net is made.
    """


class FormatError(MinidlError, ValueError):
    """A binary file (caffemodel, solverstate, binaryproto, idx, LMDB record) is damaged.

    The message says at which byte, and what kind of file it seems to be. A download that was cut
    short and a pointer that git left in place of a file are told apart.
    """


class WeightsError(MinidlError):
    """Weights do not fit the net they are loaded into: wrong shape or number of blobs.

    Nothing has been loaded then. A layer that is to start afresh, as in fine-tuning, needs a name
    that the file does not have.
    """


class DataError(MinidlError):
    """A data set is absent, unreadable, or holds a record that cannot be used.

    Paths in a prototxt count from the current folder. `minidl dataset` gets or makes data sets;
    commands that only need shapes put random records in the place of an absent one: --shape.
    """


class LabelError(DataError):
    """A label is outside the classes; `item` is its position in the batch."""

    def __init__(self, found: str, *, item: int = 0, value: float = 0.0, **parts: str) -> None:
        super().__init__(found, **parts)
        self.item, self.value = item, value


class ExportError(MinidlError):
    """A net cannot be written in another format: a layer, and why.

    docs/onnx.md says for each layer type what becomes of it.
    """


class SolverError(MinidlError):
    """A solver file asks for something impossible, contradictory or unsupported.

    All of it at once, with lines. `minidl explain SolverParameter` lists the fields.
    """


class DeviceError(MinidlError):
    """The device asked for does not exist or cannot be used.

    `minidl device_query` lists those there are, and what to install for a GPU.
    """


class EngineError(MinidlError):
    """An engine that was asked for cannot be used: not installed, or without what is needed.

    `--engine auto` computes with what there is; `minidl device_query` says what that is.
    """


class RunError(MinidlError):
    """The run itself failed: the loss diverged, the disk is full, ...

    Nothing is wrong with the files that it was given. The last snapshot is whole.
    """

    exit_code = 1


class DivergedError(RunError):
    """The loss or a blob became NaN or infinite.

    The message names the first layer that made one. A lower base_lr, warmup_iter, or
    clip_gradients may help; so may a look at the data.
    """

    layer = ""  # which made it, where that is known


GROUPS = getattr(builtins, "BaseExceptionGroup", ())  # they are made in another way


@functools.cache
def also(kind: type[MinidlError], builtin: type[BaseException]) -> Any:
    """Return an error class that is `kind`, and that ``except builtin`` catches, too.

    >>> isinstance(also(RunError, KeyError)("no such key"), KeyError)
    True
    """
    catchable = issubclass(builtin, Exception)  # SystemExit, once it is an error, ends no program
    if not catchable or issubclass(kind, builtin) or issubclass(builtin, GROUPS):
        return kind
    return type(kind.__name__, (kind, builtin), {"__doc__": kind.__doc__})


class Several(MinidlError):
    """Two or more errors of one stage, reported together; `errors` holds them."""

    shown = 20

    def __init__(self, errors: Sequence[MinidlError]) -> None:
        self._errors = list(errors)
        self.exit_code = max(error.exit_code for error in errors)
        super().__init__(f"{len(errors)} errors")

    @property
    def errors(self) -> list[MinidlError]:
        return self._errors

    def __str__(self) -> str:
        lines = [str(error) for error in self.errors[: self.shown]]
        if len(self.errors) > self.shown:
            lines.append(f"... and {len(self.errors) - self.shown} more errors")
        return "\n".join(lines)


def raise_all(errors: Sequence[MinidlError]) -> None:
    """Raise nothing for no error, the error itself for one, and all of them together for more.

    Several errors are raised as an instance of both `Several` and their common class, so that
    ``except PrototxtError`` catches twenty of them as well as one.
    """
    errors = [one for error in errors for one in error.errors]
    if not errors:
        return
    if len(errors) == 1:
        raise errors[0]
    shared = set.intersection(*(set(kind.__mro__) for kind in {type(error) for error in errors}))
    kind = next(c for c in type(errors[0]).__mro__ if c in shared and issubclass(c, MinidlError))
    if kind in (MinidlError, Several):
        raise Several(errors)
    raise type("Several" + kind.__name__, (Several, kind), {"__doc__": kind.__doc__})(errors)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name most like `name`, or an empty string where none is near.

    >>> nearest("kernal_size", ["kernel_size", "stride"])
    'kernel_size'
    """
    known = list(known)
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not match:
        lower = {other.lower(): other for other in known}
        match = [lower[m] for m in difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)]
    return match[0] if match else ""


def worth_a_hint(errors: Sequence[MinidlError]) -> bool:
    """Return whether one more error would be shown: finding its near name takes a millisecond."""
    return len(errors) < Several.shown


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`fix` text for a misspelt name: the nearest known one as a question, or ''."""
    match = nearest(name, known)
    return f"did you mean '{match}'?" if match else ""


# ---------------------------------------------------------- text from elsewhere, fit to be shown


def escaped(text: str) -> str:
    r"""`text` with its control characters written out.

    >>> escaped("\x1b[2Jconv1\tok")
    '\\x1b[2Jconv1\tok'
    >>> escaped("caf\udce9.prototxt")      # the byte E9 in the name of a file
    'caf\\xe9.prototxt'
    """
    return HIDDEN.sub(_written_out, text)


def shortened(text: str) -> str:
    """`text` with the middle taken out of words and lines that nobody would read to their end.

    >>> shortened("no layer '" + "x" * 100_000 + "'")[:30]
    "no layer 'xxxxxxxxxxxxxxxxxxxx"
    >>> len(shortened("no layer '" + "x" * 100_000 + "'"))
    242
    """
    if len(text) <= 400:
        return text
    lines = [WORD.sub(lambda match: _cut(match[0], 180, 40), line) for line in text.split("\n")]
    room = LONGEST_LINE - 1000
    return "\n".join(_cut(ln, room, 500) if len(ln) > LONGEST_LINE else ln for ln in lines)


def legible(text: str) -> str:
    """Both: the form in which errors are shown."""
    return escaped(shortened(text))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # surrogateescape: a byte
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _cut(text: str, head: int, tail: int) -> str:
    return f"{text[:head]}[{len(text) - head - tail:,} more]{text[-tail:]}"
