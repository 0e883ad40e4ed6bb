"""The process of one part: `part.py NAME RESULTS --seconds N --skip K`. conduct.py starts it.

RESULTS gets a JSON object a line: {"begin": name} before a case, then {"name", "status", "seconds",
"facts", "error"}; status is "passed", "declined", "left out" or "failed". So what ended the process
is known from the last line. Exit status BROKEN: the device no longer answers, begin again
behind the last case.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)  # not benchmarks/gpu: its modules are those of a package

from benchmarks.gpu.cases import Case, LeftOut, Settings, Wrong  # noqa: E402

BROKEN = 3


def main() -> int:
    args = _arguments()
    began = time.perf_counter()

    def left() -> float:
        return args.seconds - (time.perf_counter() - began)

    name, _, word = args.name.partition(":")
    module = importlib.import_module(f"benchmarks.gpu.parts.{name}")
    with args.results.open("a", encoding="utf-8") as file:

        def note(**fields: Any) -> None:
            print(json.dumps(fields, default=_plain), file=file, flush=True)

        for i, case in enumerate(module.cases(Settings(word, args.tiny, left))):
            if i < args.skip:
                continue
            if left() <= 0:
                note(name=case.name, status="left out", error="the part's time was over")
                continue
            note(begin=case.name)
            result = outcome(case)
            note(name=case.name, **result)
            if result["status"] == "failed" and not _device_answers():
                return BROKEN
    return 0


def outcome(case: Case) -> dict[str, Any]:
    """Run a case; what came of it."""
    began = time.perf_counter()
    found: dict[str, Any] = {}
    try:
        found["facts"] = case.run() or {}
        found["status"] = "declined" if "declined" in found["facts"] else "passed"
    except LeftOut as reason:
        found |= {"status": "left out", "error": str(reason)}
    except Wrong as wrong:
        found |= {"status": "failed", "error": str(wrong), "facts": wrong.facts}
    except Exception as error:
        lines = traceback.format_exception(error)
        found |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        found["traceback"] = "".join(lines)
    return found | {"seconds": time.perf_counter() - began}


def _device_answers() -> bool:
    """Whether this process can still use the GPU, if it has used it at all."""
    if "cupy" not in sys.modules:
        return True
    import cupy

    try:
        cupy.cuda.runtime.deviceSynchronize()
        return int(cupy.zeros(8).sum()) == 0
    except Exception:
        return False


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, paths and the like as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("results", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
