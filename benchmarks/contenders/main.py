"""The program of every contender: `main.py JOB`, the job as JSON. run.py starts it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)  # not contenders/: it has names

from benchmarks import alternate  # noqa: E402


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the pipe carries answers only
    job = json.loads(sys.argv[1])
    try:
        module = importlib.import_module(f"benchmarks.contenders.{job['side']}_side")
        work = module.work(job)
    except alternate.Declined as reason:
        print(json.dumps({"declined": str(reason)}), file=answers, flush=True)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("benchmarks"):
            raise
        reason = f"{error.name} is not installed here"
        print(json.dumps({"declined": reason}), file=answers, flush=True)
    else:
        alternate.serve(work, answers)


if __name__ == "__main__":
    main()
