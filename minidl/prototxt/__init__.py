"""Prototxt: nets and solvers as text. Read, brought up to date, checked, written.

read_net, read_solver    a file or a string -> a message in today's form
read_text                the text of a prototxt file, if it is text
read_message             text -> any message, as it is written
upgrade_net, upgrade_solver   a message of any age -> today's form, and what was done
validate_net             refuse what can be found wrong from the message alone
to_text                  a message -> text
where                    a message -> 'net.prototxt:41: Pooling layer 'pool1''
clear_origins            forget where a message was read, before it is written
without_origins          a copy without that
LAYER_TYPES              the known layer types, for messages: layers add theirs
"""

from minidl.prototxt.advice import LAYER_TYPES
from minidl.prototxt.origin import clear_origins, where, without_origins
from minidl.prototxt.read import read_message, read_net, read_solver, read_text
from minidl.prototxt.upgrade import upgrade_net, upgrade_solver
from minidl.prototxt.validate import validate_net
from minidl.prototxt.write import to_text

__all__ = [
    "LAYER_TYPES",
    "clear_origins",
    "read_message",
    "read_net",
    "read_solver",
    "read_text",
    "to_text",
    "upgrade_net",
    "upgrade_solver",
    "validate_net",
    "where",
    "without_origins",
]
