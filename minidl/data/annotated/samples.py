"""Parts of an image to train on, drawn at random and tried: SSD's batch samplers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from minidl.data.annotated.boxes import areas, common, share

AT_ONCE = 64  # trials made together
KINDS = ("jaccard_overlap", "sample_coverage", "object_coverage")


def check(samplers: Sequence[Any], reject: Callable[..., NoReturn]) -> None:
    """Refuse samplers that cannot draw anything."""
    for number, one in enumerate(samplers):
        p, name = one.sampler, f"batch_sampler {number}"
        field = "annotated_data_param.batch_sampler"
        if not 0 < p.min_scale <= p.max_scale <= 1:
            reject(
                f"{name} has scales from {p.min_scale:g} to {p.max_scale:g}",
                expected="0 < min_scale <= max_scale <= 1",
                field=field,
            )
        if not 0 < p.min_aspect_ratio <= p.max_aspect_ratio < math.inf:
            reject(
                f"{name} has aspect ratios from {p.min_aspect_ratio:g} to {p.max_aspect_ratio:g}",
                expected="0 < min_aspect_ratio <= max_aspect_ratio",
                field=field,
            )


def choose(
    samplers: Sequence[Any], boxes: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Return the part of an image to use in its place, (4,), or None for the whole image.

    Each sampler makes up to max_trials trials, and stops when max_sample of them count. Of all
    samplers' trials that count, one is chosen, each equally likely.

    samplers   BatchSampler messages
    boxes      of the objects, (G, 4)
    """
    found = [_of_one(one, boxes, rng) for one in samplers if one.use_original_image]
    pool = np.concatenate(found) if found else np.zeros((0, 4), np.float32)
    if not len(pool):
        return None
    chosen: np.ndarray = pool[int(rng.random() * len(pool))].clip(0, 1)
    return chosen


def _of_one(sampler: Any, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the parts (K, 4) of one sampler that count."""
    most = sampler.max_sample if sampler.HasField("max_sample") else sampler.max_trials
    found, count = [np.zeros((0, 4), np.float32)], 0
    for first in range(0, sampler.max_trials, AT_ONCE):
        trials = draw(sampler.sampler, rng.random((min(AT_ONCE, sampler.max_trials - first), 4)))
        good = trials[counts(sampler.sample_constraint, trials, boxes)][: most - count]
        found.append(good)
        count += len(good)
        if count >= most:
            break
    return np.concatenate(found)


def draw(sampler: Any, u: np.ndarray) -> np.ndarray:
    """Return parts (T, 4) from numbers (T, 4) of [0, 1): scale, aspect ratio, both positions."""
    u = u.astype(np.float32)
    scale = _between(sampler.min_scale, sampler.max_scale, u[:, 0])
    aspect = _between(sampler.min_aspect_ratio, sampler.max_aspect_ratio, u[:, 1])
    aspect = np.minimum(np.maximum(aspect, scale**2), 1 / scale**2)  # no side above 1
    sides = np.stack([scale * np.sqrt(aspect), scale / np.sqrt(aspect)], axis=1)
    low = u[:, 2:] * np.maximum(1 - sides, 0)
    return np.concatenate([low, low + sides], axis=1)


def _between(low: float, high: float, u: np.ndarray) -> np.ndarray:
    return np.float32(low) + np.float32(high - low) * u


def counts(constraint: Any, trials: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return which of the parts (T, 4) satisfy a SampleConstraint: those that some object meets."""
    bounds = [f"{end}_{kind}" for kind in KINDS for end in ("min", "max")]
    if not any(constraint.HasField(name) for name in bounds):
        return np.ones(len(trials), bool)
    shared = common(trials, boxes)
    whole, objects = areas(trials)[:, None], areas(boxes)
    figures = {
        "jaccard_overlap": share(shared, whole + objects - shared),
        "sample_coverage": share(shared, whole),
        "object_coverage": share(shared, objects),
    }
    good: np.ndarray = np.ones(shared.shape, bool)
    for kind, values in figures.items():
        if constraint.HasField(f"min_{kind}"):
            good = good & (values >= np.float32(getattr(constraint, f"min_{kind}")))
        if constraint.HasField(f"max_{kind}"):
            good = good & (values <= np.float32(getattr(constraint, f"max_{kind}")))
    return np.asarray(good.any(axis=1))
