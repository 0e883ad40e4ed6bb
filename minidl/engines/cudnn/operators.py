"""The operators that this engine has plans for: each operator's module registers here."""

from minidl.engines.engine import Operators

OPERATORS = Operators()
