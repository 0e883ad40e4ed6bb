"""Equal records within a part of a data set, and in two of them: a leak."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.data.described import Remark
from minidl.data.remarks import SHOWN


def digest(data: Any) -> int:
    """Return a number of 64 bits for some bytes: among ten million, two are alike by chance once
    in 370,000 data sets."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def find(
    digests: Mapping[str, np.ndarray], names: Mapping[str, Sequence[str]], what: str = "pictures"
) -> tuple[dict[str, int], list[Remark]]:
    """Return how many records of each part, and of two parts, are there already; and remarks.

    digests, names   of the records of each part: (N,) uint64, and what to call them

    {"train": 3}: three could be left out. {"train/val": 2}: two records of val are in train, too.
    """
    counts, remarks = {}, []
    for part, all_of_it in digests.items():
        _, first, inverse = np.unique(all_of_it, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[inverse] != np.arange(len(all_of_it)))
        if len(again):
            counts[part] = len(again)
            pairs = [(names[part][first[inverse[i]]], names[part][i]) for i in again[:SHOWN]]
            remarks.append(_within(part, len(again), what, pairs))
    for one, other in itertools.combinations(digests, 2):
        shared = np.flatnonzero(np.isin(digests[other], digests[one]))
        if len(shared):
            counts[f"{one}/{other}"] = len(shared)
            pairs = [
                (names[one][int(np.argmax(digests[one] == digests[other][i]))], names[other][i])
                for i in shared[:SHOWN]
            ]
            remarks.append(_across(one, other, len(shared), len(digests[other]), what, pairs))
    return counts, remarks


def _within(part: str, count: int, what: str, pairs: list[tuple[str, str]]) -> Remark:
    text = f"{count:,} of the {what} in {part} are copies of others there"
    return Remark("duplicate", text, count, _examples(pairs))


def _across(
    one: str, other: str, count: int, of: int, what: str, pairs: list[tuple[str, str]]
) -> Remark:
    text = f"{count:,} of the {of:,} {what} in {other} are in {one}, too"
    if one == "train":
        text += f": figures of {other} flatter a net that has learned them"
    return Remark("duplicate_across", text, count, _examples(pairs))


def _examples(pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{one} = {other}" for one, other in pairs)
