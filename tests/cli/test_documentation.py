"""docs/command-line.md against the commands."""

import re

from minidl.cli import COMMANDS, parser_for
from tests.support import ROOT

TEXT = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
OURS = {f"--{flag}" for command in COMMANDS for flag in parser_for(command).flags()}


def test_every_command_has_its_section():
    assert re.findall(r"^## (\w+)$", TEXT, re.MULTILINE) == list(COMMANDS)


def test_every_flag_that_is_named_exists():
    named = re.findall(r"(?<![\w-])--?([a-z][\w-]+)", TEXT)
    assert {f"--{name.replace('_', '-')}" for name in named} <= OURS


def test_every_flag_is_named():
    named = {f"--{n.replace('_', '-')}" for n in re.findall(r"(?<![\w-])--?([a-z][\w-]+)", TEXT)}
    aliases = {"--h", "--o", "--v", "--alsologtostderr"}
    assert OURS - named == aliases
