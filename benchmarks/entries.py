"""Who can take part in a race, and with which job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

# PyTorch frees its large buffers and faults them in anew in every step. With these variables
# glibc keeps them, in huge pages where the system allows that.
KEEP = str(1 << 32)
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": KEEP,
    "MALLOC_TRIM_THRESHOLD_": KEEP,
    "MALLOC_TOP_PAD_": str(1 << 28),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

PRODUCTS = "float32 products"
SIZES = [1024, 2048, 3072]  # in and beyond the caches
QUICK = {"batch": 2, "sizes": [64]}


@dataclass(frozen=True)
class Entry:
    """One contender.

    group          of the entries of one group only the fastest goes on after the heats
    name           to be read
    job            for contenders/main.py
    environment    variables that it gets beside everybody's
    steps          in a block; 0: as many as the race says
    """

    group: str
    name: str
    job: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    steps: int = 0

    @property
    def images(self) -> int:
        return self.job.get("batch", 0)

    def quick(self) -> Entry:
        """The same with next to nothing to do."""
        less = {key: value for key, value in QUICK.items() if key in self.job}
        return replace(self, job=self.job | less, steps=min(1, self.steps))


def minidl(task: str, net: str, batch: int, group: str = "minidl", **more: Any) -> Entry:
    """minidl; `records` goes to the job, the rest are options of Net or get_solver.

    Blobs share memory unless told otherwise, as in `minidl train` and `minidl test`.
    """
    job = {"side": "minidl", "task": task, "net": net, "batch": batch}
    if "records" in more:
        job["records"] = more.pop("records")
    return Entry(group, group, job | {"options": {"share": True, **more}})


def pytorch(
    task: str,
    net: str,
    batch: int,
    group: str = "PyTorch",
    math: str = "float32",
    environment: dict[str, str] | None = None,
) -> tuple[Entry, ...]:
    """PyTorch in both of its memory formats."""
    job = {"side": "torch", "task": task, "net": net, "batch": batch, "math": math}
    formats = {"plain": False, "channels last": True}
    return tuple(
        Entry(group, f"{group} ({math}, {name})", job | {"channels_last": last}, environment or {})
        for name, last in formats.items()
    )


def opencv(net: str, batch: int) -> Entry:
    return Entry("OpenCV", "OpenCV", {"side": "opencv", "net": net, "batch": batch})


def products() -> tuple[Entry, ...]:
    """Matrix products, one step a block: together they say what the machine can do."""
    job = {"side": "product", "sizes": SIZES}
    return tuple(
        Entry(
            f"{PRODUCTS}, {library}", f"{PRODUCTS}, {library}", job | {"library": library}, steps=1
        )
        for library in ("numpy", "onednn", "torch")
    )


def start(group: str, *words: str) -> Entry:
    """The Python interpreter with these words."""
    return Entry(group, group, {"side": "start", "words": list(words)})


def files(task: str, net: str, group: str) -> Entry:
    """A caffemodel read or written."""
    return Entry(group, group, {"side": "file", "task": task, "net": net})
