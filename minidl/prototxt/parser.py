"""Text to message, driven by the schema; every field's line is remembered."""

from __future__ import annotations

from typing import Any

from minidl import schema
from minidl.errors import escaped
from minidl.prototxt import advice, values
from minidl.prototxt.block import Block, Problem, Stop
from minidl.prototxt.fields import MESSAGE, Field
from minidl.prototxt.recovery import CLOSING, Recovery
from minidl.prototxt.tokens import BROKEN, END, MARK, NAME, Token
from minidl.prototxt.tokens import STRING as QUOTED
from minidl.prototxt.upgrade_v1 import TYPES

LAYERS = ("LayerParameter", "V1LayerParameter")


class Parser(Recovery):
    """Reads one text into one message; `problems` lists what is wrong with it.

    Messages nest as in the schema, so recursion is as shallow as the schema is;
    unknown blocks are skipped by counting braces.
    """

    def read(self, cls: Any) -> Any:
        """Return the message; it is usable only if `problems` stays empty."""
        root = self._block(cls(), self.tokens.peek().start, "", None)
        try:
            self._body(root, None)
        except Stop:
            pass
        mistaken = advice.other_kind(root)
        if mistaken and self.problems:
            self.problems = [Problem(0, None, *mistaken)]
        return root.message

    # ------------------------------------------------------------------ messages

    def _block(self, message: Any, opened: int, path: str, outer: Block | None) -> Block:
        block = Block(message, opened, path, outer=outer)
        if outer is not None:
            block.owner, block.layer = outer.owner, outer.layer
        if schema.ORIGIN in message.DESCRIPTOR.fields_by_name:
            block.owner, block.path = message, ""
            origin = message.minidl_origin
            origin.file = escaped(self.file)  # which may hold bytes that no message takes
            origin.line, origin.column = self.tokens.place(opened)
        if block.kind in LAYERS:
            block.layer = message
        return block

    def _body(self, block: Block, closing: str | None) -> None:
        """Read fields up to the closing mark (None: the end of the text), which is taken."""
        while True:
            token = self.tokens.peek()
            if token.kind == NAME:
                self._unwinding = self._unwinding and token.text not in block.fields
                if self._unwinding or self._is_of_the_file(token, block):
                    return
                self._field(block, self.tokens.take())
            elif closing is not None and token.text in ("}", ">"):
                if token.text != closing:
                    self._problem(token, block, f"found '{token.text}'", f"'{closing}'")
                    self._braces_reported = True
                self.tokens.take()
                break
            elif token.kind == END:
                if closing is not None:
                    self._unclosed(block)
                break
            else:
                self._stray(token, block)
        mistaken = advice.unknown_type(block, self._advising)
        if mistaken:
            self._problem(block.opened, block, *mistaken)
        for name, info in block.fields.items():
            if info.required and name not in block.seen:
                self._problem(block.opened, block, f"{block.named(name)} is missing")

    def _field(self, block: Block, name: Token) -> None:
        info = block.fields.get(name.text)
        if info is None:
            block.seen.setdefault(name.text, (name.start, 0))
            self._problem(name, block, *advice.unknown_field(name.text, block, self._advising))
            self._skip_value(block)
        else:
            path = self._record(block, info, name)
            if info.kind == MESSAGE:
                self._messages(block, info, name, path)
            else:
                self._scalars(block, info, name, path)
        if self.tokens.peek().text in (",", ";"):
            self.tokens.take()

    def _record(self, block: Block, info: Field, name: Token) -> str:
        """Note that a field was given, and where; its path, indexed from the second time on."""
        first, count = block.seen.get(name.text, (name.start, 0))
        block.seen[name.text] = (first, count + 1)
        if count and not info.repeated:
            line = self.tokens.place(first)[0]
            found = f"{block.named(name.text)} is given twice, first in line {line}"
            self._problem(name, block, found, fix="keep one of them")
        path = block.named(name.text)
        if count and info.repeated:
            path += f"[{count}]"
        has_its_own = info.message is not None and schema.ORIGIN in info.message.fields_by_name
        if block.owner is not None and not has_its_own:
            block.owner.minidl_origin.lines[path] = self.tokens.place(name.start)[0]
        return path

    def _messages(self, block: Block, info: Field, name: Token, path: str) -> None:
        if self.tokens.peek().text == ":":
            self.tokens.take()
        token = self.tokens.peek()
        if token.text == "[" and token.kind == MARK and info.repeated:
            self._list(block, lambda: self._message(block, info, name, path))
        else:
            self._message(block, info, name, path)

    def _message(self, block: Block, info: Field, name: Token, path: str) -> None:
        token = self.tokens.peek()
        if token.kind != MARK or token.text not in ("{", "<"):
            shown = values.shown(token)
            self._problem(token, block, f"{path} is followed by {shown}", "a block: '{ ... }'")
            self._skip_value(block)
            return
        self.tokens.take()
        owner = getattr(block.message, info.name)
        if info.repeated:
            message = owner.add()
        else:
            message = owner
            message.SetInParent()  # `relu_param {}` is present, though empty
        inner = self._block(message, name.start, path, block)
        self._body(inner, CLOSING[token.text])

    def _list(self, block: Block, item: Any) -> None:
        """Read '[ item, item ]', `item` being what reads one of them."""
        opened = self.tokens.take()
        if self.tokens.peek().text == "]":
            self.tokens.take()
            return
        while True:
            before = len(self.problems)
            item()
            token = self.tokens.peek()
            if token.text == ",":
                self.tokens.take()
            elif token.text == "]":
                self.tokens.take()
                return
            else:
                if len(self.problems) == before:  # else it is already reported
                    line = self.tokens.place(opened.start)[0]
                    found = f"found {values.shown(token)} in the list opened in line {line}"
                    self._problem(token, block, found, "',' or ']'")
                return

    # ------------------------------------------------------------------ scalars

    def _scalars(self, block: Block, info: Field, name: Token, path: str) -> None:
        token = self.tokens.peek()
        if token.text == ":" and token.kind == MARK:
            self.tokens.take()
        elif token.text in ("{", "<"):
            self._block_for_scalar(block, info, path, token)
            return
        else:
            fix = f"write {name.text}: ..."
            self._problem(token, block, f"{path} has no ':' after it", fix=fix)
            if token.kind in (MARK, END) or self._starts_field(token):
                return
        token = self.tokens.peek()
        if token.text == "[" and token.kind == MARK:
            if not info.repeated:
                found = f"{path} is a list"
                self._problem(token, block, found, values.wanted(info), "give one value")
                self._skip_value(block)
                return
            self._list(block, lambda: self._scalar(block, info, path))
        else:
            self._scalar(block, info, path)

    def _scalar(self, block: Block, info: Field, path: str) -> None:
        """Read one value of a field, and set or append it."""
        token = self.tokens.peek()
        if token.kind == MARK and token.text in ("{", "<"):
            self._block_for_scalar(block, info, path, token)
            return
        ends = token.kind == END or (token.kind == MARK and token.text in "}>],;")
        if ends or self._starts_field(token):
            self._problem(token, block, f"{path} has no value", values.wanted(info))
            return
        # a broken quote may hide a brace: do not report that one as missing, too
        self._braces_reported = self._braces_reported or token.kind == BROKEN
        value = values.read(self.tokens, info)
        if isinstance(value, values.Refused) and block.kind == "V1LayerParameter":
            value = self._todays_type(info, token, value)
        if isinstance(value, values.Refused):
            self._problem(token, block, f"{path} is {value.shown}", values.wanted(info), value.fix)
        elif info.repeated:
            getattr(block.message, info.name).append(value)
        else:
            setattr(block.message, info.name, value)

    def _todays_type(self, info: Field, token: Token, refused: values.Refused) -> Any:
        """Return the number of a type in `layers` that is spelled as in `layer`: "Softmax".

        protobuf refuses it, but it has one meaning.
        """
        named = token.text[1:-1] if info.name == "type" and token.kind == QUOTED else ""
        old = next((old for old, new in TYPES.items() if new == named), None)
        if old is None:
            return refused
        line = self.tokens.place(token.start)[0]
        self.notes.append(f'read type: "{named}" in line {line} as {old}, its name in `layers`')
        return info.values[old]

    def _block_for_scalar(self, block: Block, info: Field, path: str, token: Token) -> None:
        self._template(token, block)
        self._problem(token, block, f"{path} is a block", values.wanted(info))
        self._skip_value(block)
