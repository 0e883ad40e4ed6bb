"""How fast the page of `minidl serve` is: `make page-bench`, or `python benchmarks/page.py`.

A tree is made with one run of a million points, many small runs, and a data set of a hundred
thousand pictures; a server shows it; Chromium looks. Each row is printed beside its goal. What
needs a browser is left out, saying so, where there is none.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from benchmarks import machine  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage"
    " --disable-background-networking --disable-component-update --disable-sync"
).split()
TICKS = os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------------- what there is to see


def run_folder(folder: Path, points: int, seed: int = 0) -> None:
    """A run that wrote down `points` displays and a hundredth as many tests."""
    folder.mkdir(parents=True)
    draw, begun = random.Random(seed), 1.7e9
    lines = [
        json.dumps(
            {
                "event": "start",
                "time": begun,
                "iter": 0,
                "net": "net",
                "max_iter": points,
                "display": 1,
                "test_interval": 100,
                "seed": seed,
                "type": "SGD",
                "batch_size": 64,
                "iter_size": 1,
            }
        )
    ]
    for i in range(points):
        loss = 2.3 / (1 + i / (points / 50)) + draw.random() / 10
        lines.append(
            f'{{"event": "display", "time": {begun + i / 100:.6f}, "iter": {i}, "loss": {loss:.6f},'
            f' "lr": 0.01, "outputs": {{"loss": {loss:.6f}}}, "seconds": 0.01, "iterations": 1,'
            ' "images": 64, "final": false}'
        )
        if i % 100 == 99:
            accuracy = 1 - loss / 3
            lines.append(
                f'{{"event": "test", "time": {begun + i / 100:.6f}, "iter": {i}, "net": 0,'
                f' "outputs": {{"accuracy": {accuracy:.6f}, "loss": {loss:.6f}}}}}'
            )
    lines.append(f'{{"event": "end", "time": {begun + points / 100:.6f}, "iter": {points}}}')
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    job = {"format": "minidl job 1", "kind": "train", "name": folder.name, "created": begun + seed}
    (folder / "job.json").write_text(json.dumps(job))
    status = {"format": "minidl status 1", "state": "done", "done": points, "total": points}
    (folder / "status.json").write_text(json.dumps(status | {"history": [["done", begun]]}))


def records(folder: Path, count: int) -> None:
    """An LMDB of `count` grey pictures of ten classes."""
    import lmdb
    import numpy as np

    from minidl import schema

    pictures = np.random.default_rng(0).integers(0, 256, (64, 28 * 28), np.uint8)
    store = lmdb.open(str(folder), map_size=1 << 32)
    with store.begin(write=True) as write:
        for i in range(count):
            datum = schema.Datum(channels=1, height=28, width=28, label=i % 10)
            datum.data = pictures[i % 64].tobytes()
            write.put(b"%08d" % i, datum.SerializeToString())
    store.close()


def pictures(folder: Path, count: int) -> None:
    """Small PNG files in ten folders."""
    import io

    import numpy as np
    from PIL import Image

    files = []
    for seed in range(20):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        files.append(file.getvalue())
    for k in range(10):
        (folder / f"class{k}").mkdir(parents=True)
    for i in range(count):
        (folder / f"class{i % 10}" / f"{i:06d}.png").write_bytes(files[i % 20])


# ---------------------------------------------------------------------- the server


class Server:
    """`minidl serve` over a tree, in a process of its own."""

    def __init__(self, tree: Path) -> None:
        command = [sys.executable, "-m", "minidl", "serve", ".", "--no-open", "--port", "0"]
        self.process = subprocess.Popen(
            command,
            cwd=tree,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
        )
        for line in self.process.stdout or ():
            if found := re.search(r"http://[\d.]+:(\d+)", line):
                self.port = int(found[1])
                self.url = found[0]
                return
        raise SystemExit("minidl serve did not start")

    def get(self, path: str) -> Any:
        """The JSON of a GET, on a connection of its own."""
        return self._ask("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        origin = {"Origin": self.url, "Content-Type": "application/json"}
        connection.request(method, path, body, origin if body else {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    @property
    def memory(self) -> int:
        """Bytes that the process holds."""
        text = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def seconds(self) -> float:
        """Processor seconds that it has used."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / TICKS

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        if self.process.stdout:
            self.process.stdout.close()


@contextmanager
def viewers(server: Server, path: str, count: int) -> Iterator[None]:
    """`count` connections that read a stream of events."""
    ended = threading.Event()

    def look() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", path, headers={"Accept": "text/event-stream"})
        answer = connection.getresponse()
        while not ended.is_set() and answer.readline():
            pass
        connection.close()

    threads = [threading.Thread(target=look, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()


# ---------------------------------------------------------------------- rows


class Report:
    """Rows as they are measured: what, figure, goal."""

    def __init__(self) -> None:
        self.missed = 0

    def row(self, what: str, figure: float, goal: float, unit: str, least: bool = False) -> None:
        reached = figure >= goal if least else figure <= goal
        self.missed += not reached
        sign, said = (">=" if least else "<="), ("reached" if reached else "NOT reached")
        print(f"{what:<58}{figure:>10,.4g} {unit:<8}{sign} {goal:>7,.4g}  {said}", flush=True)


def seconds_of(what: Any, times: int = 5) -> float:
    """The median of the seconds that calls take."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        what()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def without_browser(server: Server, tree: Path, args: Any, report: Report) -> None:
    report.row(
        f"home, JSON of {args.runs} runs, first time",
        seconds_of(lambda: server.get("/api/v1/jobs"), 1),
        0.5,
        "s",
    )
    report.row("the same again", seconds_of(lambda: server.get("/api/v1/jobs")), 0.5, "s")
    metrics = "/api/v1/metrics/runs/long?points=1500"
    report.row(
        f"curve of {args.points:,} points, first time",
        seconds_of(lambda: server.get(metrics), 1),
        1,
        "s",
    )
    time.sleep(args.points / 1e5)  # the index is made meanwhile
    report.row("the same, indexed", seconds_of(lambda: server.get(metrics)), 0.3, "s")
    start = time.perf_counter()
    server.post("/api/v1/ask/scan", {"folder": "pictures"})
    rate = args.pictures / (time.perf_counter() - start)
    report.row(f"scan of {args.pictures:,} pictures", rate, 5000, "files/s", least=True)
    browse = "/api/v1/browse/data/big?split=train&label=3&offset=5000&count=50"
    server.get(browse)
    report.row(
        f"explorer page of {args.records:,} records",
        seconds_of(lambda: server.get(browse)),
        0.3,
        "s",
    )


def idle(server: Server, report: Report) -> None:
    time.sleep(45)  # it notices that nobody looks any more
    before, start = server.seconds, time.monotonic()
    time.sleep(30)
    share = 100 * (server.seconds - before) / (time.monotonic() - start)
    report.row("server idle: memory", server.memory / 1e6, 60, "MB")
    report.row("server idle: processor", share, 0.1, "%")


# Milliseconds from the address to the frame that shows what the page is for.
SEEN = """new MutationObserver((_, observer) => {
    if (!document.querySelector("%s")) return;
    observer.disconnect();
    const painted = () => { window.seen = performance.now(); };
    requestAnimationFrame(() => requestAnimationFrame(painted));
}).observe(document, { childList: true, subtree: true });"""


def with_browser(server: Server, tree: Path, args: Any, report: Report) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        # A browser that somebody sits at: fonts, graphics and the network are at work already.
        context.new_page().goto(server.url + "/nothing")
        for name, path, sign, goal in (
            ("home", "/", "tbody tr", 0.5),
            ("run", "/job/runs/long", "canvas", 1),
        ):
            page = context.new_page()
            sizes: list[int] = []

            def weigh(answer: Any, to: list[int] = sizes) -> None:
                to.append(_weight(answer))

            page.on("response", weigh)
            page.add_init_script(SEEN % sign)
            for visit in ("first visit", "again"):
                page.goto(server.url + path, wait_until="commit")
                while not (taken := page.evaluate("window.seen ?? 0")):
                    page.wait_for_timeout(50)
                taken /= 1e3
                report.row(f"{name} page, {visit}: until it is painted", taken, goal, "s")
                if visit == "first visit":
                    page.wait_for_timeout(2000)
                    page.remove_listener("response", weigh)
            report.row(f"{name} page: weight of html, css, js", sum(sizes) / 1e3, 250, "kB")
            if name == "run":
                report.row("its updates: longest task", _longest(page, tree), 50, "ms")
            page.close()
        browser.close()


def _weight(answer: Any) -> int:
    """Bytes of a part of the page itself; 0 for data."""
    kind = answer.request.resource_type
    return len(answer.body()) if kind in ("document", "stylesheet", "script", "image") else 0


def _longest(page: Any, tree: Path) -> float:
    """Milliseconds of the longest task of the page's thread while points arrive for ten seconds."""
    page.evaluate(
        """() => {
            window.tasks = [0];
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) window.tasks.push(entry.duration);
            }).observe({ type: "longtask" });
        }"""
    )
    with open(tree / "runs" / "long" / "events.jsonl", "a") as file:
        for i in range(100):
            now = time.time()
            file.write(
                f'{{"event": "display", "time": {now:.6f}, "iter": {10**8 + i}, "loss": 0.5,'
                ' "lr": 0.01, "outputs": {"loss": 0.5}, "seconds": 0.01, "iterations": 1,'
                ' "images": 64, "final": false}\n'
            )
            file.flush()
            page.wait_for_timeout(100)
    return float(page.evaluate("Math.max(...window.tasks)"))  # 0: none was as long as 50 ms


def watched(server: Server, tree: Path, args: Any, report: Report) -> None:
    """Seconds of a training that nobody and that fifty look at, in turns."""
    subprocess.run([sys.executable, "-m", "minidl", "dataset", "digits"], cwd=tree, check=True)
    solver = (ROOT / "zoo/lenet/digits_solver.prototxt").as_posix()
    took: dict[int, list[float]] = {0: [], 50: []}  # seconds, by the number of viewers
    for _ in range(args.rounds):
        for count in (0, 50):
            words = [sys.executable, "-m", "minidl", "train", solver]
            words += [
                "--set",
                "display=5",
                "--set",
                "max_iter=1000",
                "--set",
                "test_interval=10000",
            ]
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            with viewers(server, "/api/v1/events/runs/lenet_digits", count):
                start = time.perf_counter()
                subprocess.run(words, cwd=tree, check=True, capture_output=True, env=env)
                took[count].append(time.perf_counter() - start)
            shutil.rmtree(tree / "runs" / "lenet_digits", ignore_errors=True)
    cost = 100 * (statistics.median(took[50]) / statistics.median(took[0]) - 1)
    report.row("fifty viewers: what they cost the training", cost, 2, "%")


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000, help="of the long run")
    parser.add_argument("--runs", type=int, default=500, help="in the tree")
    parser.add_argument("--records", type=int, default=100_000, help="of the data set")
    parser.add_argument("--pictures", type=int, default=20_000, help="of the folder")
    parser.add_argument("--rounds", type=int, default=3, help="of training with viewers")
    args = parser.parse_args(words)
    about, others, report = machine.description(), machine.Disturbance(), Report()
    print(f"{about['cpu']}, {about['cores']} cores; Python {about['python']}")
    with tempfile.TemporaryDirectory(prefix="minidl-page-") as name:
        tree = Path(name)
        run_folder(tree / "runs" / "long", args.points)
        for i in range(args.runs - 1):
            run_folder(tree / "runs" / f"run{i:03d}", 50, i + 1)
        pictures(tree / "pictures", args.pictures)
        records(tree / "big_lmdb", args.records)
        store = ["dataset", "store", "--train", "big_lmdb", "--out", "data/big"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-m", "minidl", *store], cwd=tree, check=True, env=env)
        server = Server(tree)
        try:
            without_browser(server, tree, args, report)
            if CHROMIUM is None:
                print("no Chromium here: what needs a browser was not measured")
            else:
                with_browser(server, tree, args, report)
            idle(server, report)
            watched(server, tree, args, report)
        finally:
            server.close()
    share = others.share()
    if share is not None:
        print(f"other programs used {share:.0%} of the machine")
    return int(report.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
