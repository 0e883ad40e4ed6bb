"""Command lines as people type them: Caffe's flags, ours, and help with typing mistakes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from minidl.arrays.threads import most_threads
from minidl.errors import UsageError, did_you_mean, nearest

FLAG = re.compile(r"--?([A-Za-z][\w-]*)(=.*)?", re.DOTALL)
YES = ("1", "true", "yes", "t", "y")
NO = ("0", "false", "no", "f", "n")


class Parser(argparse.ArgumentParser):
    """argparse that also reads gflags' spellings and raises UsageErrors with the nearest name.

    ``-snapshot x``, ``--snapshot x``, ``--snapshot=x`` are one flag, and so are ``log_dir`` and
    ``log-dir``. A switch may carry a value (``--logtostderr=1``) or a "no" (``--nologtostderr``).

    elsewhere   for flags that are not ours: a function from a flag's name to a hint, or ""
    passes_on   the words after the first argument are another program's: `words`, unchanged
    kinds       of a command with several: modules with `add_arguments` and `run`, by the first
                argument, which each have flags of their own
    """

    def __init__(self, *, elsewhere: Callable[[str], str] | None = None, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self.elsewhere = elsewhere or (lambda name: "")
        self.files: list[tuple[str, bool]] = []
        self.passes_on = False
        self.kinds: dict[str, Any] = {}

    def add_file(self, name: str, help: str, *, required: bool = True) -> None:
        """Add an argument given by position or by its flag, as ``SOLVER`` and ``-solver``."""
        self.add_argument(name, nargs="?", metavar=name.upper(), help=help)
        self.add_argument(f"--{name}", dest=f"{name}_flag", metavar="FILE", help=argparse.SUPPRESS)
        self.files.append((name, required))

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse `argv`, or raise an error that says what is wrong with it."""
        first = self._first(argv) if self.kinds else len(argv)
        if first < len(argv) and argv[first] in self.kinds:
            return self.kind(argv[first]).read([*argv[:first], *argv[first + 1 :]])
        ours = self._first(argv) + 1 if self.passes_on else len(argv)
        args, rest = self.parse_known_args(self._canonical(argv[:ours]))
        args.words = list(argv[ours:])
        for name, required in self.files:
            flag = getattr(args, f"{name}_flag")
            given = getattr(args, name)
            if flag is not None and given is not None:
                rest = [given, *rest]
            value = given if flag is None else flag
            if required and not value:
                raise UsageError(
                    f"which {name}?",
                    where=self.prog,
                    expected=f"{self.prog} {name.upper()}, or {self.prog} -{name} FILE",
                )
            setattr(args, name, value)
        if rest:
            raise UsageError(
                f"has an unexpected argument '{rest[0]}'",
                where=self.prog,
                fix=self._meant(argv, first) or f"see {self.prog} --help",
            )
        return args

    def _meant(self, argv: Sequence[str], first: int) -> str:
        """Return the kind that was meant by the first argument, as a hint; "" for none."""
        return did_you_mean(argv[first], self.kinds) if first < len(argv) else ""

    def error(self, message: str) -> NoReturn:
        raise UsageError(
            message.removeprefix("argument "), where=self.prog, fix=f"see {self.prog} --help"
        )

    def kind(self, name: str) -> Parser:
        """Return the parser of one of `kinds`."""
        module = self.kinds[name]
        parser = Parser(
            prog=f"{self.prog} {name}", description=module.__doc__, elsewhere=self._in_kinds
        )
        module.add_arguments(parser)
        add_common(parser)
        parser.set_defaults(run=module.run, command=self.get_default("command"))
        return parser

    def _in_kinds(self, flag: str) -> str:
        """Return a hint to the kinds that have a flag, or to other commands."""
        owners = [f"{self.prog} {name}" for name in self.kinds if flag in self.kind(name).flags()]
        return f"--{flag} belongs to {', '.join(owners)}" if owners else self.elsewhere(flag)

    def flags(self) -> dict[str, argparse.Action]:
        """Return every flag by its name without dashes, those of all kinds among them."""
        found = self._own_flags()
        for name in self.kinds:
            found = self.kind(name).flags() | found
        return found

    def _own_flags(self) -> dict[str, argparse.Action]:
        return {s.lstrip("-"): action for s, action in self._option_string_actions.items()}

    def _first(self, argv: Sequence[str]) -> int:
        """Return the place of the first argument that is not a flag; past the end without one."""
        flags, value = self.flags(), False
        for i, word in enumerate(argv):
            match = FLAG.fullmatch(word)
            if match is None and not value:
                return i
            known = flags.get(match.group(1).replace("_", "-")) if match and not value else None
            value = known is not None and known.nargs != 0 and not match.group(2)  # type: ignore[union-attr]
        return len(argv)

    def _canonical(self, argv: Sequence[str]) -> list[str]:
        """Return gflags' spellings as argparse's: ``-log_dir=x`` becomes ``--log-dir=x``."""
        flags, words = self._own_flags(), []
        for word in argv:
            match = FLAG.fullmatch(word)
            if match is None:
                words.append(word)
                continue
            name, value = match.group(1).replace("_", "-"), match.group(2) or ""
            if name not in flags and name.startswith("no"):
                positive = flags.get(name[2:])
                if positive is not None and positive.nargs == 0 and not value:
                    continue  # --nologtostderr: the switch stays off
            if name not in flags:
                self._unknown(word.partition("=")[0], name, flags)
            if flags[name].nargs == 0 and value:
                if value[1:].lower() not in YES + NO:
                    self.error(f"{word}: a switch takes 1 or 0, or nothing")
                if value[1:].lower() in NO:
                    continue
                value = ""
            words.append(f"--{name}{value}" if len(name) > 1 else f"-{name}{value}")
        return words

    def _unknown(self, typed: str, name: str, flags: Iterable[str]) -> NoReturn:
        hint = self._in_kinds(name)
        known = [flag for flag in flags if len(flag) > 1]
        near = next((flag for flag in known if flag.startswith(name)), "") or nearest(name, known)
        if not hint and near:
            hint = f"did you mean '--{near}'?"
        raise UsageError(
            f"there is no flag '{typed}'", where=self.prog, fix=hint or f"see {self.prog} --help"
        )


def add_common(parser: Parser) -> None:
    """Add the flags of every command: output, log, number of threads."""
    group = parser.add_argument_group("log and diagnosis")
    group.add_argument(
        "--logtostderr",
        "--alsologtostderr",
        "-v",
        action="store_true",
        help="write the whole log to stderr, not only warnings",
    )
    group.add_argument("--log-dir", metavar="DIR", help="folder for the log file")
    group.add_argument(
        "--minloglevel",
        type=whole(0, 3),
        metavar="N",
        help="leave out log lines below: 0 info, 1 warning, 2 error",
    )
    group.add_argument(
        "--threads",
        type=whole(1, most_threads()),
        metavar="N",
        help="threads that compute, in BLAS and in engines (default: OMP_NUM_THREADS or"
        " OPENBLAS_NUM_THREADS, else all cores)",
    )
    group.add_argument(
        "--flush-denormals",
        action="store_true",
        help="treat numbers below 1.2e-38 as zero: on some processors they are slow",
    )
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument(
        "--import",
        dest="modules",
        action="extend",
        type=names,
        default=[],
        metavar="MODULE",
        help="import these modules, packages or .py files first: layer types of your own",
    )
    parser.add_argument(
        "--allow-python",
        action="store_true",
        help="run Python layers: code named by the net, with all your permissions"
        " (default: MINIDL_ALLOW_PYTHON)",
    )


def add_device(parser: Parser) -> None:
    """Add -gpu, the GPU to compute on."""
    parser.add_argument(
        "--gpu", metavar="ID", default="", help="compute on this GPU: 0 is the first one"
    )


def add_state(parser: Parser, phase: str = "") -> None:
    """Add what decides which layers of the prototxt are used: -level, -stage, and -phase.

    phase   default of -phase; without it, the command has no such flag
    """
    if phase:
        parser.add_argument(
            "--phase",
            type=str.upper,
            choices=("TRAIN", "TEST"),
            default=phase,
            help=f"phase of the net (default: {phase})",
        )
    parser.add_argument(
        "--level", type=whole(-(2**31)), default=0, metavar="N", help="level of the net"
    )
    parser.add_argument(
        "--stage", type=stages, default=(), metavar="A,B", help="stages of the net, comma-separated"
    )


def add_shape(parser: Parser) -> None:
    """Add --shape: the shape of random records in place of missing ones."""
    parser.add_argument(
        "--shape",
        type=wholes("a shape C,H,W such as 3,227,227", 3),
        metavar="C,H,W",
        help="shape of the records of a data set that is absent (default: guessed from crop_size,"
        " or from mnist, lenet, digits or cifar in the names)",
    )


def whole(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """Argument type: a whole number within bounds, by default of 31 bits."""
    bounds = f"{least} to {most}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of {bounds}")
        return value

    return convert


seed = whole(0, 2**63 - 1)  # argument type: of random numbers


def positive(text: str) -> float:
    """Argument type: a number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def names(text: str) -> tuple[str, ...]:
    """Argument type: comma-separated names."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def stages(text: str) -> tuple[str, ...]:
    """Argument type: the same, limited to what a message can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from None
    return names(text)


def wholes(what: str, *counts: int) -> Callable[[str], tuple[int, ...]]:
    """Argument type: comma-separated whole numbers above 0, also written 3x227x227.

    what     they are, with an example: "a size H,W such as 256,256"
    counts   how many there may be; by default any number

    >>> wholes("a size H,W such as 256,256", 2)("240,320")
    (240, 320)
    """

    def convert(text: str) -> tuple[int, ...]:
        parts = names(re.sub(r"(?<=\d)\s*x\s*(?=\d)", ",", text))
        right = len(parts) in counts if counts else bool(parts)
        if not right or not all(part.isdecimal() and int(part) for part in parts):
            raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
        return tuple(map(int, parts))

    return convert


def text_of(path: str, what: str) -> str:
    """Return the text in a file; refuse one that is missing, too long, or not text."""
    from minidl.storage import files

    data = files.read(existing(path, what), what, limit=1 << 28)
    try:
        return data.tobytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"is not UTF-8 at byte {error.start}", where=path, expected=what) from None


def existing(path: str, what: str) -> Path:
    """Return `path` if the file exists; otherwise raise an error with the nearest name."""
    file = Path(path)
    if file.is_file():
        return file
    if file.is_dir():
        raise UsageError("is a folder", where=path, expected=what)
    if file.exists():
        raise UsageError("is not a regular file", where=path, expected=what)
    folder = file.parent
    if not folder.is_dir():
        raise UsageError(f"there is no folder '{folder}'", where=path, expected=what)
    near = nearest(file.name, [p.name for p in folder.iterdir() if p.is_file()])
    fix = f"did you mean '{folder / near}'?" if near else ""
    raise UsageError("there is no such file", where=path, expected=what, fix=fix)


def existing_run(path: str) -> Path:
    """Return `path` if it is a folder, event file or log; otherwise fail as `existing` does."""
    return Path(path) if Path(path).is_dir() else existing(path, "a log, or events.jsonl")
