"""Messages as prototxt."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import text_format

from minidl.prototxt.origin import without_origins

# Python prints 2.0 where Caffe prints 2. Strings end in a quote, so only numbers can match.
_ADDED = re.compile(r"^( *)\[minidl\.(\w+)\] ", re.MULTILINE)  # by schema.extend
_WHOLE = re.compile(r"^( *\w+: -?[0-9]+)\.0$", re.MULTILINE)


def to_text(message: Any) -> str:
    """Return a message as Caffe prints it: fields by number, floats as short as is exact.

    Reading the text gives the message again, except for its origin (`minidl_origin`),
    which is left out.

    >>> from minidl import schema
    >>> print(to_text(schema.FillerParameter(type="gaussian", std=0.01)), end="")
    type: "gaussian"
    std: 0.01
    """
    text = str(text_format.MessageToString(without_origins(message), as_utf8=True))
    return _ADDED.sub(r"\1\2 ", _WHOLE.sub(r"\1", text))
