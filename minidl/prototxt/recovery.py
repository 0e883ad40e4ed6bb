"""Continue reading after an error, so that all errors can be reported, each of them once."""

from __future__ import annotations

from minidl.errors import PrototxtError
from minidl.prototxt import advice, values
from minidl.prototxt.block import Block, Problem, Stop
from minidl.prototxt.origin import label
from minidl.prototxt.tokens import BROKEN, END, MARK, NAME, Token, Tokens
from minidl.prototxt.tokens import STRING as QUOTED

MAX_PROBLEMS = 1000  # reading stops here
CLOSING = {"{": "}", "<": ">", "[": "]"}


class Recovery:
    """The tokens of a text, the problems found in it, and the ways past them.

    One fault with braces can make nonsense of all that follows, so only the first is reported:
    `_braces_reported`. `_unwinding` means that blocks are being closed up to the net or
    solver to which the next token belongs.
    """

    def __init__(self, text: str, file: str) -> None:
        self.tokens = Tokens(text)
        self.text, self.file = text, file
        self.problems: list[Problem] = []
        self.notes: list[str] = []  # accepted although not quite right
        self._braces_reported = False
        self._unwinding = False
        self._is_template: advice.Parts | None = None  # not checked yet

    def errors(self) -> list[PrototxtError]:
        """Return the problems as errors, in the order of the text."""
        errors = []
        for problem in sorted(self.problems, key=lambda problem: problem.position):
            line, column = self.tokens.place(problem.position)
            where = f"{self.file}:{line}:{column}"
            called = label(problem.layer) if problem.layer is not None else ""
            if called:
                where += f": {called}"
            errors.append(
                PrototxtError(
                    problem.found, where=where, expected=problem.expected, fix=problem.fix
                )
            )
        return errors

    @property
    def _advising(self) -> bool:
        """Return whether to look for near names: it takes time, and few errors are shown."""
        return len(self.problems) < 50

    def _problem(
        self, at: Token | int, block: Block, found: str, expected: str = "", fix: str = ""
    ) -> None:
        position = at if isinstance(at, int) else at.start
        if len(self.problems) == MAX_PROBLEMS:
            found, expected, fix = "there are more errors; reading stops here", "", ""
        self.problems.append(Problem(position, block.layer, found, expected, fix))
        if len(self.problems) > MAX_PROBLEMS:
            raise Stop

    def _starts_field(self, token: Token) -> bool:
        """Return whether a token is the name of the next field, not a value."""
        return token.kind == NAME and self.tokens.behind(token).text in (":", "{", "<")

    def _is_of_the_file(self, name: Token, block: Block) -> bool:
        """Return whether a field here belongs to an enclosing net or solver: then a '}' is missing.

        This is the case for a layer inside a layer, and for a field of the net that is not indented
        further than the block it seems to be in. Everything up to that net or solver is
        closed, and reading continues there.
        """
        outer = block.outer
        if outer is None or name.text in block.fields:
            return False
        while outer is not None and name.text not in outer.fields:
            outer = outer.outer
        if outer is None or outer.kind not in ("NetParameter", "SolverParameter"):
            return False
        line, column = self.tokens.place(block.opened)
        if name.text not in ("layer", "layers"):
            indent = self.tokens.place(name.start)[1] - 1
            if indent >= column or self.text[name.start - indent : name.start].strip():
                return False
        if not self._braces_reported:
            found = f"'{name.text}' is inside {advice.called(block)} opened in line {line}"
            self._problem(name, block, found, "'}' before it", "close the blocks above this line")
        self._braces_reported = self._unwinding = True
        return True

    def _unclosed(self, block: Block) -> None:
        if not self._braces_reported:
            self._problem(
                block.opened,
                block,
                f"{advice.called(block)} opened here is never closed",
                "'}' before the end of the file",
            )
        raise Stop

    def _stray(self, token: Token, block: Block) -> None:
        """Report a token that is not a field and closes nothing."""
        if token.kind == MARK and token.text in ("{", "<"):
            self._template(token, block)
            self._problem(token, block, f"'{token.text}' has no name before it", "a field's name")
            self._skip_value(block)
            return
        if token.text in ("}", ">") and token.kind == MARK:
            if not self._braces_reported:
                self._problem(token, block, f"'{token.text}' closes nothing")
            self._braces_reported = True
            self.tokens.take()
            return
        self._problem(token, block, f"found {values.shown(token)}", "a field's name")
        while token.kind not in (NAME, END) and token.text not in ("{", "}", "<", ">"):
            self.tokens.take()
            token = self.tokens.peek()

    def _template(self, token: Token, block: Block) -> None:
        """Stop at a brace that belongs to a template, that is, a file still to be filled in."""
        if self._is_template is None:
            self._is_template = advice.template(self.text)
        if self._is_template[0]:
            self._problem(token, block, *self._is_template)
            raise Stop

    def _skip_value(self, block: Block) -> None:
        """Take the value of a field that is not understood."""
        token = self.tokens.peek()
        if token.text == ":" and token.kind == MARK:
            self.tokens.take()
            token = self.tokens.peek()
        if token.kind == MARK and token.text in CLOSING:
            self._skip_block(block)
        elif token.kind not in (MARK, END, BROKEN) or token.text == "-":
            if self._starts_field(token):
                return
            self.tokens.take()
            while token.kind == QUOTED and self.tokens.peek().kind == QUOTED:
                self.tokens.take()
            if token.text == "-" and self.tokens.peek().kind not in (MARK, END):
                self.tokens.take()

    def _skip_block(self, block: Block) -> None:
        opened = self.tokens.take()
        depth = 1
        while depth:
            token = self.tokens.take()
            if token.kind == END:
                self._problem(opened, block, f"'{opened.text}' is never closed")
                raise Stop
            if token.kind == MARK:
                depth += (token.text in "{<[") - (token.text in "}>]")
