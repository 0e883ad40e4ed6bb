"""A part whose cases end in every way there is: run as benchmarks/gpu/part.py is, by its tests.

Its word says which of them it has: "ok,wrong,signal".
"""

import os
import signal
import sys
import time
import types
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from benchmarks.gpu import part  # noqa: E402
from benchmarks.gpu.cases import Case, LeftOut, Wrong  # noqa: E402


def fine():
    return {"text": "two\nlines", "path": Path("x")}


def wrong():
    raise Wrong("off by 3", {"found": 3})


def fault():
    raise ZeroDivisionError("by zero")


def absent():
    raise LeftOut("there is no GPU in it")


def declined():
    return {"declined": "nothing for it"}


def killed():
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def hang():
    time.sleep(60)


def slow():
    time.sleep(1.2)


def lost():
    """A device that answers nothing any more."""
    sys.modules["cupy"] = types.SimpleNamespace()
    raise RuntimeError("illegal address")


WAYS = {
    f.__name__: f for f in (fine, wrong, fault, absent, declined, killed, hang, slow, lost)
}  # fmt: skip


def cases(settings):
    for i, name in enumerate(settings.word.split(",")):
        if name == "broken":
            raise OSError("no cases")
        yield Case(f"{i} {name}", WAYS[name])


sys.modules["benchmarks.gpu.parts.trial"] = types.SimpleNamespace(cases=cases)
if __name__ == "__main__":
    sys.exit(part.main())
