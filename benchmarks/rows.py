"""What is compared with what, and what has to come out: the table behind `make bench`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks import entries
from benchmarks.entries import PRODUCTS, TUNED, Entry, minidl, pytorch
from benchmarks.verdict import (
    Faster,
    Floor,
    Goal,
    Memory,
    MemoryRecorded,
    Rate,
    Seconds,
    Throughput,
)

CAFFE_PEAK = 1.54e9  # bytes; Caffe 1.0 with OpenBLAS, AlexNet, batch 64, on a two-core machine

AS_INSTALLED, ALLOCATOR, AUTOCAST = (
    "PyTorch as installed",
    "PyTorch, allocator tuned",
    "PyTorch autocast, allocator tuned",
)
FLOAT32, BF16 = "minidl float32", "minidl bf16"


@dataclass(frozen=True)
class Race:
    """One comparison: several rows, measured in the same minutes.

    name             for --only
    ours             what every ratio is about
    rivals, goals    a goal names the group of rivals that it is measured against
    rounds, steps    blocks of each contender, and steps in a block; of AlexNet's three, so that the
                     first one, which finds cold caches, is not in the block's median
    nets, records    whose weights and which images have to be written before
    check            all of them compute the same to so much, relative to the largest number;
                     0: there is nothing to compare
    """

    name: str
    title: str
    ours: Entry
    rivals: tuple[Entry, ...]
    goals: tuple[Goal, ...]
    rounds: int
    steps: int
    nets: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    check: float = 0.0

    def quick(self) -> Race:
        """The same with next to nothing to do: shows whether it runs, not how fast."""
        rivals = tuple(rival.quick() for rival in self.rivals)
        return replace(self, ours=self.ours.quick(), rivals=rivals, rounds=2, steps=1)


def alexnet_float32() -> Race:
    job = ("train", "alexnet", 64)
    return Race(
        "alexnet-float32",
        "AlexNet training, batch 64, float32",
        minidl(*job),
        (
            *pytorch(*job, AS_INSTALLED),
            *pytorch(*job, ALLOCATOR, environment=TUNED),
            *entries.products(),
        ),
        (
            Faster(AS_INSTALLED, at_least=2.5),
            Faster(ALLOCATOR, at_least=1.7),
            Floor(PRODUCTS, at_most=1.4),
            Memory(AS_INSTALLED),
        ),
        rounds=7,
        steps=3,
        nets=("alexnet",),
        check=1e-3,
    )


def alexnet_memory() -> Race:
    job = ("train", "alexnet", 64)
    return Race(
        "alexnet-memory",
        "AlexNet training, batch 64, float32, memory shared",
        minidl(*job),
        (
            minidl(*job, group="minidl, memory not shared", share=False),
            *pytorch(*job, AS_INSTALLED),
        ),
        (
            Memory(AS_INSTALLED, at_most=0.7),
            MemoryRecorded("Caffe, recorded elsewhere", CAFFE_PEAK, at_most=1.0),
            Memory("minidl, memory not shared"),
            Faster("minidl, memory not shared"),
        ),
        rounds=3,
        steps=3,
        nets=("alexnet",),
        check=1e-3,
    )


def alexnet_bf16() -> Race:
    job = ("train", "alexnet", 64)
    return Race(
        "alexnet-bf16",
        "AlexNet training, batch 64, bf16",
        minidl(*job, math="bf16"),
        (
            *pytorch(*job, AUTOCAST, math="bf16", environment=TUNED),
            minidl(*job, group=FLOAT32),
        ),
        (Faster(AUTOCAST, at_least=3.5), Faster(FLOAT32)),
        rounds=7,
        steps=3,
        nets=("alexnet",),
        check=0.05,
    )


def alexnet_batch(batch: int) -> Race:
    small = "minidl, batch 64"
    return Race(
        f"alexnet-batch-{batch}",
        f"AlexNet training, batch {batch}, float32",
        minidl("train", "alexnet", batch),
        (minidl("train", "alexnet", 64, group=small),),
        (Throughput(small, at_least=0.95),),
        rounds=5,
        steps=3,
        nets=("alexnet",),
    )


def lenet_float32() -> Race:
    job = ("train", "lenet", 64)
    return Race(
        "lenet-float32",
        "LeNet training, batch 64, float32",
        minidl(*job),
        (*pytorch(*job), *entries.products()),
        (Faster("PyTorch", at_least=2.2), Floor(PRODUCTS)),
        rounds=15,
        steps=30,
        nets=("lenet",),
        check=1e-3,
    )


def lenet_bf16() -> Race:
    """Against the best that PyTorch has for it, which may be float32."""
    job = ("train", "lenet", 64)
    return Race(
        "lenet-bf16",
        "LeNet training, batch 64, bf16",
        minidl(*job, math="bf16"),
        (*pytorch(*job), *pytorch(*job, math="bf16"), minidl(*job, group=FLOAT32)),
        (Faster("PyTorch", at_least=4.0), Faster(FLOAT32)),
        rounds=15,
        steps=30,
        nets=("lenet",),
        check=0.05,
    )


def inference(net: str, title: str, batch: int, rounds: int, steps: int) -> Race:
    return Race(
        f"{net}-inference-{batch}",
        f"{title} inference, batch {batch}, float32",
        minidl("infer", net, batch),
        (*pytorch("infer", net, batch), entries.opencv(net, batch)),
        (Faster("PyTorch", at_least=1.0), Faster("OpenCV", at_least=1.0)),
        rounds=rounds,
        steps=steps,
        nets=(net,),
        check=1e-3,
    )


def normalised(net: str, title: str, batch: int) -> Race:
    """A net with BatchNorm in training; PyTorch with its allocator tuned."""
    job = ("train", net, batch)
    return Race(
        f"{net}-training",
        f"{title} training, batch {batch}, float32",
        minidl(*job),
        pytorch(*job, environment=TUNED),
        (Faster("PyTorch", at_least=1.5), Memory("PyTorch")),
        rounds=5,
        steps=1,
        nets=(net,),
        check=5e-3,
    )


def reading(kind: str) -> Race:
    """The margin: how many times as fast as it trains.

    The first batches of a block were made in advance, while the other had its turn; the median of
    so many steps is that of batches made while they are waited for.
    """
    alone = minidl("data", "alexnet", 64, records=f"{kind}_lmdb")
    return Race(
        f"data-{kind}",
        f"Data alone: batches of 64 crops of 227 x 227 from {kind} records of 256 x 256",
        replace(alone, steps=15),
        (minidl("train", "alexnet", 64, group=FLOAT32),),
        (Faster(FLOAT32, at_least=1.0),),
        rounds=5,
        steps=3,
        nets=("alexnet",),
        records=(kind,),
    )


def fed() -> Race:
    by_hand = "minidl, the same batch in every step"
    return Race(
        "data-fed",
        "AlexNet training, batch 64, float32, reading raw records",
        minidl("train", "alexnet", 64, records="raw_lmdb"),
        (minidl("train", "alexnet", 64, group=by_hand),),
        (Faster(by_hand, at_least=0.95),),
        rounds=5,
        steps=3,
        nets=("alexnet",),
        records=("raw",),
    )


def starting(name: str, title: str, words: tuple[str, ...], at_most: float | None) -> Race:
    return Race(
        name,
        title,
        entries.start(title, *words),
        (entries.start("python -c pass", "-c", "pass"),),
        (Seconds(at_most), Faster("python -c pass")),
        rounds=10,
        steps=1,
    )


def weights(task: str, alone: str, title: str, against: str) -> Race:
    return Race(
        f"weights-{task}",
        title,
        entries.files(task, "alexnet", f"Net.{'copy_from' if task == 'load' else 'save'}"),
        (entries.files(alone, "alexnet", against),),
        (Seconds(), Rate(), Faster(against)),
        rounds=7,
        steps=1,
        nets=("alexnet",),
    )


RACES = (
    alexnet_float32(),
    alexnet_memory(),
    alexnet_bf16(),
    alexnet_batch(128),
    alexnet_batch(256),
    lenet_float32(),
    lenet_bf16(),
    inference("alexnet", "AlexNet", 1, rounds=9, steps=10),
    inference("alexnet", "AlexNet", 64, rounds=7, steps=1),
    inference("squeezenet", "SqueezeNet", 1, rounds=9, steps=10),
    inference("squeezenet", "SqueezeNet", 64, rounds=7, steps=1),
    normalised("resnet18", "ResNet-18", 16),
    normalised("mobilenet", "MobileNet", 16),
    inference("resnet50", "ResNet-50", 1, rounds=9, steps=3),
    inference("resnet50", "ResNet-50", 32, rounds=5, steps=1),
    inference("mobilenet", "MobileNet", 1, rounds=9, steps=10),
    inference("mobilenet", "MobileNet", 32, rounds=5, steps=1),
    reading("raw"),
    reading("jpeg"),
    fed(),
    starting("start-import", "import minidl", ("-c", "import minidl"), None),
    starting("start-help", "minidl --help", ("-m", "minidl", "--help"), 0.3),
    weights("load", "read", "An AlexNet's caffemodel loaded into a net", "its bytes read"),
    weights(
        "save", "write", "An AlexNet's caffemodel saved, kept by the disk", "its bytes written"
    ),
)
