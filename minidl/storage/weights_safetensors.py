"""Weights in safetensors: a header in JSON, then the arrays' bytes; LAYER/INDEX names them."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from minidl.errors import FormatError, UsageError
from minidl.storage import content, files
from minidl.storage.content import Weights

_LONGEST_HEADER = 1 << 24  # bytes; those of the largest nets have one megabyte
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read(path: str | os.PathLike[str]) -> Weights:
    """Return the weights in a safetensors file; float16 and bfloat16 become float32, exactly.

    Errors: FormatError for a file that is cut short, damaged or of another kind; UsageError for a
    path that cannot be read, and where safetensors is not installed.
    """
    where = str(path)
    data = bytes(files.read(path, "weights").data)
    module = _safetensors(where)
    if (header := int.from_bytes(data[:8], "little")) > _LONGEST_HEADER:
        raise FormatError(
            f"has a header of {header:,} bytes",
            where=where,
            expected=f"at most {_LONGEST_HEADER:,}",
        )
    with files.explaining(path, "safetensors", "a whole safetensors file"):
        tensors = module.deserialize(data)
    arrays = {name: _array(name, tensor, where) for name, tensor in tensors}
    size = int.from_bytes(data[:8], "little")
    said = json.loads(data[8 : 8 + size]).get("__metadata__")  # deserialize has checked it
    text = said.get(content.DESCRIPTION, "") if said else ""  # it may be null
    return content.gather(arrays, text, where, owners_only=False)


def _array(name: str, tensor: Any, where: str) -> np.ndarray:
    if tensor["dtype"] not in _TYPES:
        raise FormatError(
            f"array '{name[:80]}' has the type {tensor['dtype']}",
            where=where,
            expected=f"{', '.join(_TYPES)}",
        )
    values = np.frombuffer(tensor["data"], _TYPES[tensor["dtype"]]).reshape(tensor["shape"])
    if tensor["dtype"] == "BF16":  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    return content.as_floats(values, name, where)


def write(path: str | os.PathLike[str], weights: Weights) -> None:
    """Write weights as safetensors; the file appears whole or not at all."""
    _safetensors(str(path))
    from safetensors import numpy as library

    arrays = {n: np.ascontiguousarray(a).reshape(a.shape) for n, a in content.named(weights)}
    said = {content.DESCRIPTION: content.describe(weights)}
    files.write_all(path, [library.save(arrays, metadata=said)])


def _safetensors(where: str) -> Any:
    try:
        import safetensors
    except ImportError:
        raise UsageError(
            "is a safetensors file, and the package that reads and writes these is not installed",
            where=where,
            fix="pip install safetensors",
        ) from None
    return safetensors
