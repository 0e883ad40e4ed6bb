"""A program in minidl's place: jobs that do what a file in the working directory says.

dataset WHAT --out DIR    WHAT is a word of `BEHAVIOUR`
train --net N --data D --out DIR, train --resume DIR
ask WORDS --json          prints its words
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from minidl.runs import job


class Stopped(BaseException):
    pass


def main(words: list[str]) -> int:
    if words[0] == "fail":
        sys.stderr.write(
            "minidl: error: net.prototxt:3:7: kernel_sze is unknown\n  fix: kernel_size\n"
        )
        return 2
    if words[0] in ("dataset", "train", "evaluate", "show") and "--json" not in words:
        return work(words)
    print(json.dumps({"argv": words, "cwd": str(Path.cwd())}))
    return 0


def work(words: list[str]) -> int:
    """Do the work of a job until a file "finish" lies in its folder."""
    name = "--resume" if "--resume" in words else "--out"
    folder = Path(words[words.index(name) + 1])
    if "refuse" in words:
        sys.stderr.write("minidl: error: the pictures are not there\n  fix: take others\n")
        return 2
    argv = tuple(words) if name == "--out" else job.read(folder).argv

    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    try:
        with job.running(folder, job.Job(words[0], argv)) as report:
            if "child" in words:
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
                (folder / "child").write_text(str(child.pid))
            done = 0
            while not (folder / "finish").exists():
                done += 1
                report.progress(done, 1000, "iterations", force=True)
                if (folder / "break").exists():
                    raise ValueError("it broke")
                time.sleep(0.02)
    except Stopped:
        if words[0] == "train":
            (folder / "net_iter_5.solverstate").write_bytes(b"state")
            (folder / "net_iter_5.caffemodel").write_bytes(b"weights")
        return 143
    except ValueError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
