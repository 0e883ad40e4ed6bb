"""The format of --json."""

from __future__ import annotations

import json
import math
from typing import Any


def dumps(value: Any) -> str:
    """Return plain values as JSON text; NaN and infinities, which JSON does not have, become null.

    >>> dumps({"loss": float("nan")})
    '{\\n  "loss": null\\n}'
    """
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
