"""Text from files and command lines made fit for a person's eyes: no control characters, no miles.

What somebody else wrote may hold terminal escapes, bytes that are no text, or a name of a megabyte.
"""

from __future__ import annotations

import re

# Control characters but for tab and newline, halves of pairs (how Python holds bytes that are not
# UTF-8), and what turns the direction of writing or ends a line unseen.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
WORD = re.compile(r"\S{401,}")
LONGEST_LINE = 4000  # characters


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
