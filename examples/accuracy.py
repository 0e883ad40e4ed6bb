"""The result of a run: the last test in its events.jsonl, and where its weights are.

    python examples/accuracy.py runs/lenet_digits
    python examples/accuracy.py runs/lenet_digits --at-least 0.98    # fails below that

A run's folder holds one JSON object a line for every start, display, test, snapshot and end: read
that and not the log where a program wants to know how a run went.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a run")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="A")
    args = parser.parse_args()

    with open(args.run / "events.jsonl", encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines]
    last = {event["event"]: event for event in events}
    if not {"test", "snapshot"} <= set(last):
        sys.exit(f"{args.run}: this run has not reached a test and a snapshot yet")
    test, weights = last["test"], last["snapshot"]["weights"]
    accuracy = float(test["outputs"]["accuracy"])
    print(f"test accuracy {accuracy:.4f} after {test['iter']} iterations, weights in {weights}")
    if not accuracy >= args.at_least:
        sys.exit(f"below {args.at_least}: something is wrong, see {args.run}")


if __name__ == "__main__":
    main()
