"""How fast a GPU is here, beside PyTorch and the CPU: `make gpu-bench`.

The parts of check.py that measure, without those that check. Writes gpu-bench.txt and .json.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)  # not benchmarks/gpu: its modules are those of a package

from benchmarks.gpu import plan  # noqa: E402
from benchmarks.gpu.check import conduct  # noqa: E402


def main(words: list[str] | None = None) -> int:
    device = plan.CHECK[0]  # which says what the figures were measured on
    return conduct("gpu-bench", (device, *plan.BENCH), words, __doc__)


if __name__ == "__main__":
    sys.exit(main())
