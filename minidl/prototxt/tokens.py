"""Cut prototxt text into tokens, and interpret a token as a number or a string."""

from __future__ import annotations

import bisect
import re
from typing import NamedTuple

NAME, NUMBER, STRING, MARK, BROKEN, END = "name", "number", "string", "mark", "broken", "end"

# Linear in the text: no two parts of an alternative can match the same characters.
_TOKEN = re.compile(
    r"""[ \t\r\n\f\v]*
    (?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)
      |\[minidl\.(?P<added>[A-Za-z_][A-Za-z0-9_]*)\]
      |(?P<number>\.?[0-9][A-Za-z0-9_.]*(?:(?<=[eE])[+-][A-Za-z0-9_.]*)*)
      |(?P<string>"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"|'[^'\\\n]*(?:\\[^\n][^'\\\n]*)*')
      |(?P<broken>["'][^\n]*)
      |(?P<comment>\#[^\n]*)
      |(?P<mark>.)
      |(?P<end>\Z))""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*")
_FLOAT = re.compile(r"(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?")
_NAMED_FLOATS = {"inf": "inf", "infinity": "inf", "nan": "nan"}
_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_LETTERS.update({mark: mark for mark in "\\'\"?"})


class Token(NamedTuple):
    kind: str
    text: str
    start: int  # where it begins in the text
    stop: int  # where the text after it begins


class Tokens:
    """The tokens of a text, one at a time; `place` turns a position into line and column."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._line_starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._next = self._after(0)

    def peek(self) -> Token:
        """Return the next token without taking it."""
        return self._next

    def take(self) -> Token:
        """Return the next token and advance."""
        token = self._next
        if token.kind != END:
            self._next = self._after(token.stop)
        return token

    def behind(self, token: Token) -> Token:
        """Return the token that follows `token`, without taking anything."""
        return self._after(token.stop)

    def place(self, position: int) -> tuple[int, int]:
        """Line and column of a position, both counted from 1."""
        line = bisect.bisect_right(self._line_starts, position)
        return line, position - self._line_starts[line - 1] + 1

    def _after(self, position: int) -> Token:
        while True:
            match = _TOKEN.match(self.text, position)
            assert match is not None and match.lastgroup is not None  # one alternative always fits
            kind, position = match.lastgroup, match.end()
            if kind == "added":  # how protobuf prints fields that schema.extend made
                return Token(NAME, match[kind], match.start(kind), position)
            if kind != "comment":
                return Token(kind, match[kind], match.start(kind), position)


def integer(text: str) -> int | None:
    """The value of an unsigned integer in decimal, hexadecimal or octal; None if it is not one."""
    # 40 digits are far outside every field's range; int() is slow on very long ones
    if not _INTEGER.fullmatch(text) or len(text) > 40:
        return None
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text, 8 if text[0] == "0" else 10)


def floating(text: str) -> float | None:
    """The value of an unsigned float (1, .5, 1e-3f, inf, nan); None if it is not one.

    017 is refused, as in Caffe: it would be octal, in which floats are not written.
    """
    if text.lower() in _NAMED_FLOATS:
        return float(_NAMED_FLOATS[text.lower()])
    if not _FLOAT.fullmatch(text):
        return None
    return float(text.rstrip("fF"))


def unquoted(text: str) -> bytes:
    """Return the bytes of a quoted string, escapes resolved; ValueError names a bad escape."""

    def resolve(match: re.Match[str]) -> str:
        octal, hexadecimal, short, long, letter = match.groups()
        if letter is not None:
            if letter not in _LETTERS:
                raise ValueError(f"'\\{letter}' is not an escape")
            return _LETTERS[letter]
        if octal or hexadecimal:
            value = int(octal, 8) if octal else int(hexadecimal, 16)
            if value > 255:
                raise ValueError(f"'{match[0]}' is not a byte (at most \\377)")
            return chr(0xDC00 + value) if value > 127 else chr(value)  # a lone byte, see below
        value = int(short or long, 16)
        if value > 0x10FFFF or 0xD800 <= value < 0xE000:
            raise ValueError(f"'{match[0]}' is not a character")
        return chr(value)

    body = text[1:-1]
    if "\\" in body:
        body = _ESCAPE.sub(resolve, body)
    # surrogates stand for bytes that are not UTF-8, from the file or from escapes
    return body.encode("utf-8", "surrogateescape")
