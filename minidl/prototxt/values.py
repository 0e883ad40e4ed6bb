"""One scalar value of a prototxt: reading it for its field, and saying what is wrong with it."""

from __future__ import annotations

import unicodedata
from typing import Any, NamedTuple

from minidl.errors import did_you_mean
from minidl.prototxt.elsewhere import TYPES
from minidl.prototxt.fields import BOOL, BYTES, ENUM, FLOAT, INTEGER, STRING, Field
from minidl.prototxt.tokens import (
    BROKEN,
    END,
    MARK,
    NAME,
    NUMBER,
    Token,
    Tokens,
    floating,
    integer,
    unquoted,
)
from minidl.prototxt.tokens import STRING as QUOTED

_BOOLEANS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}


class Refused(NamedTuple):
    """A value that does not fit its field: how to show it, and a fix."""

    shown: str
    fix: str = ""


def read(tokens: Tokens, field: Field) -> Any:
    """Take one value from the tokens: a value fit for the field, or the reason it is refused."""
    token = tokens.take()
    if token.kind == QUOTED:
        parts = [token]
        while tokens.peek().kind == QUOTED:
            parts.append(tokens.take())
        return _quoted(parts, field)
    if token.kind == BROKEN:
        return Refused("a string without its closing quote", "close it on the same line")
    if field.kind in (STRING, BYTES):
        if token.kind == MARK:
            return Refused(shown(token))
        return Refused(short(token.text), f'write "{short(token.text)}"')
    sign = 1
    if token.kind == MARK and token.text == "-" and tokens.peek().kind in (NUMBER, NAME):
        sign, token = -1, tokens.take()
    return _plain(token, sign, field)


def _plain(token: Token, sign: int, field: Field) -> Any:
    refused = Refused(("-" if sign < 0 else "") + shown(token))
    text = token.text
    if field.kind == BOOL and sign > 0:
        if token.kind == NAME:
            return _BOOLEANS.get(text, refused)
        value = integer(text)
        return bool(value) if value in (0, 1) else refused
    if field.kind == ENUM:
        if token.kind == NAME and sign > 0:
            if text in field.values:
                return field.values[text]
            name = short(text)  # a type of old layers may be another Caffe's
            return Refused(name, TYPES.get(name) or did_you_mean(name, field.values))
        value = integer(text)
        known = value is not None and sign * value in field.values.values()
        return sign * value if value is not None and known else refused
    if field.kind == INTEGER:
        value = integer(text)
        least, most = field.range
        return sign * value if value is not None and least <= sign * value <= most else refused
    if field.kind == FLOAT:
        number = floating(text)
        return refused if number is None else sign * number
    return refused


def _quoted(parts: list[Token], field: Field) -> Any:
    text = parts[0].text
    if field.kind not in (STRING, BYTES):
        inside = text[1:-1]
        plain = _plain(_bare(inside), 1, field)
        fix = plain.fix if isinstance(plain, Refused) else f"write {inside}, without quotes"
        return Refused(f"the string {short(text)}", fix)
    try:
        data = b"".join(unquoted(part.text) for part in parts)
        return data if field.kind == BYTES else data.decode()
    except UnicodeError:
        return Refused(f"{short(text)}, which is not UTF-8", "save the file as UTF-8")
    except ValueError as error:
        return Refused(f"{short(text)}, in which {error}", r"write a backslash as \\")


def _bare(text: str) -> Token:
    return Token(NAME if text[:1].isalpha() else NUMBER, text, 0, 0)


def wanted(field: Field) -> str:
    """Describe the values a field takes, for the `expected` part of an error."""
    if field.kind == INTEGER:
        least, most = field.range
        return f"an integer from {least} to {most}"
    if field.kind == ENUM:
        names = [name for name in field.values if name != "NONE" or len(field.values) < 8]
        if len(names) > 8:
            return ", ".join(names[:4]) + ", ..."
        return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
    return {
        BOOL: "true or false",
        FLOAT: "a number",
        STRING: "a string in quotes",
        BYTES: "a string in quotes",
    }[field.kind]


def shown(token: Token) -> str:
    """Return a token as an error shows it."""
    if token.kind == END:
        return "the end of the file"
    if token.kind == BROKEN:
        return "a quote that is not closed on its line"
    if token.kind == MARK and not token.text.isascii():
        code = ord(token.text)
        return f"the character U+{code:04X} ({unicodedata.name(token.text, 'unnamed').lower()})"
    if token.kind == MARK and not token.text.isprintable():
        return f"the control character {ord(token.text):#04x}"
    return f"'{short(token.text)}'" if token.kind in (MARK, NAME) else short(token.text)


def short(text: str) -> str:
    """Return at most 60 characters of a text that may be of any length."""
    return text if len(text) <= 60 else text[:57] + "..."
