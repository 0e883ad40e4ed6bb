"""What this engine has plans for; each operator's module registers its function here."""

from minidl.engines.engine import Operators

OPERATORS = Operators()
