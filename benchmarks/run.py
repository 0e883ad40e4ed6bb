"""Every row of the benchmarks, measured and printed: `make bench`, or `python benchmarks/run.py`.

A table goes to stdout, what is going on to stderr, everything that was measured to a JSON file.
Status 1 if a contender broke off or computed something else; goals that are missed are no error.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not benchmarks/: its modules are those of a package

from benchmarks import machine, report  # noqa: E402
from benchmarks.alternate import Declined, Ended  # noqa: E402
from benchmarks.race import Differ, Runner  # noqa: E402
from benchmarks.rows import RACES, Race  # noqa: E402

MODELS = ROOT / "benchmarks" / "models.py"


def main(words: list[str] | None = None) -> int:
    args = arguments(words)
    races = [race.quick() if args.quick else race for race in chosen(args.only)]
    if args.rounds:
        races = [replace(race, rounds=args.rounds) for race in races]
    if args.list:
        print("\n".join(f"{race.name:<24}{race.title}" for race in races))
        return 0
    began = time.perf_counter()
    about = machine.description()
    print(f"{about['cpu']}, {about['cores']} cores ({' '.join(about['units'])}), ", end="")
    print(f"{args.threads} threads; Python {about['python']}", flush=True)
    if args.quick:
        print("QUICK: a smoke run; the figures mean nothing", flush=True)
    with tempfile.TemporaryDirectory(prefix="minidl-bench-") as folder:
        found = [measure(race, Path(folder), args.threads) for race in races]
    print("\n".join(report.course(found)))
    print("each layer beside its own floor: minidl time zoo/alexnet/train_val.prototxt")
    print(f"{report.summary(found)}; {time.perf_counter() - began:.0f} s; all of it in {args.json}")
    everything = {"machine": about, "threads": args.threads, "quick": args.quick, "races": found}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(everything, indent=1) + "\n")
    return int(any("failed" in race for race in found))


def measure(race: Race, folder: Path, threads: int) -> dict[str, Any]:
    """Prepare, run and print one race; what report.record says, or why there is nothing to say."""
    started, others = time.perf_counter(), machine.Disturbance()
    found: dict[str, Any] = {"race": race.name, "title": race.title}
    try:
        weights = prepare(race, folder)
        outcome = Runner(folder, threads, lambda text: tell(race, text)).run(race)
    except Declined as reason:
        found["declined"] = str(reason)
    except (Differ, Ended) as error:
        found["failed"] = str(error)
    else:
        found |= report.record(race, outcome) | {"weights": weights}
    found |= {"used by others": others.share(), "seconds": time.perf_counter() - started}
    print("\n" + "\n".join(report.lines(found)), flush=True)
    return found


def prepare(race: Race, folder: Path) -> dict[str, str]:
    """Have models.py write what is not there yet; says which weights are trained, which random.

    In a process of its own: see the package's docstring. Errors: Declined.
    """
    written = folder / "weights.json"
    weights = json.loads(written.read_text()) if written.exists() else {}
    if missing := [net for net in race.nets if net not in weights]:
        weights |= json.loads(_write(folder, "weights", *missing))
        written.write_text(json.dumps(weights))
    for kind in race.records:
        if not (folder / f"{kind}_lmdb").exists():
            _write(folder, "records", kind)
    return {net: weights[net] for net in race.nets}


def _write(folder: Path, *words: str) -> str:
    command = [sys.executable, str(MODELS), str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Declined(f"{' '.join(words)} could not be written: {last}")
    return done.stdout


def tell(race: Race, text: str) -> None:
    print(f"{race.name}: {text}", file=sys.stderr, flush=True)


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--list", action="store_true", help="say what there is, and measure nothing"
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="this race, or those whose names begin so"
    )
    parser.add_argument("--quick", action="store_true", help="tiny jobs: see whether it all runs")
    parser.add_argument("--rounds", type=int, metavar="N", help="of each race, instead of its own")
    parser.add_argument(
        "--threads", type=int, default=machine.cores(), metavar="N", help="of each contender (all)"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("runs/bench.json"), metavar="FILE", help="(%(default)s)"
    )
    args = parser.parse_args(words)
    unknown = [name for name in args.only or () if not chosen([name])]
    if unknown:
        known = ", ".join(race.name for race in RACES)
        parser.error(f"there is no race '{unknown[0]}'; there are {known}")
    return args


def chosen(only: list[str] | None) -> list[Race]:
    return [race for race in RACES if not only or race.name.startswith(tuple(only))]


if __name__ == "__main__":
    sys.exit(main())
