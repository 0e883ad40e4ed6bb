"""Parts of an image that are drawn and tried."""

import numpy as np
import pytest

from minidl import schema
from minidl.data.annotated import samples
from minidl.data.annotated.boxes import areas
from minidl.errors import LayerConfigError
from tests.data.annotated.test_boxes import overlap

OBJECTS = np.array([[0.1, 0.2, 0.4, 0.5], [0.6, 0.5, 0.9, 0.95]], np.float32)


def sampler(constraint=None, **keywords):
    own = {k: keywords.pop(k) for k in ("max_sample", "max_trials") if k in keywords}
    return schema.BatchSampler(sampler=keywords, sample_constraint=constraint or {}, **own)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_part_has_the_scale_and_the_proportions_and_lies_inside():
    p = schema.Sampler(min_scale=0.3, max_scale=1, min_aspect_ratio=0.5, max_aspect_ratio=2)
    parts = samples.draw(p, rng().random((5000, 4)))
    width, height = (parts[:, 2:] - parts[:, :2]).T
    scale = np.sqrt(width * height)
    assert 0.3 <= scale.min() < 0.31 and 0.99 < scale.max() <= 1 + 1e-6
    aspect = width / height
    assert 0.5 - 1e-4 <= aspect.min() < 0.55 and 1.9 < aspect.max() <= 2 + 1e-3
    assert parts.min() >= 0 and parts.max() <= 1 + 1e-6
    assert np.corrcoef(parts[:, 0], parts[:, 1])[0, 1] < 0.7
    limit = np.maximum(scale**2, 1e-9)  # or a side would be longer than the image
    assert ((aspect >= limit - 1e-3) & (aspect <= 1 / limit + 1e-3)).all()


KINDS = {
    "jaccard_overlap": lambda part, box, both: both / (areas(part) + areas(box) - both),
    "sample_coverage": lambda part, box, both: both / areas(part),
    "object_coverage": lambda part, box, both: both / areas(box),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("low, high", [(0.2, None), (None, 0.2), (0.1, 0.6)])
def test_a_part_counts_if_some_object_is_within_the_bounds(kind, low, high):
    trials = samples.draw(schema.Sampler(min_scale=0.2), rng().random((300, 4)))
    named = {f"min_{kind}": low, f"max_{kind}": high}
    constraint = schema.SampleConstraint(**{k: v for k, v in named.items() if v is not None})
    objects, wanted = np.stack([OBJECTS[0], [0.15, 0.3, 0.5, 0.6]]).astype(np.float32), []
    for part in trials:
        figures = [KINDS[kind](part, box, overlap(part, box)) for box in objects]
        low_, high_ = (-1 if low is None else low), (2 if high is None else high)
        wanted.append(any(low_ <= f <= high_ for f in figures))
    assert 0 < sum(wanted) < 300
    assert samples.counts(constraint, trials, objects).tolist() == wanted


def test_bounds_of_several_kinds_are_for_one_object():
    part = np.array([[0.1, 0.2, 0.9, 0.5]], np.float32)  # all of the first, none of the second
    constraint = schema.SampleConstraint(min_object_coverage=1, max_jaccard_overlap=0.1)
    assert not samples.counts(constraint, part, OBJECTS)[0]


def test_without_bounds_all_count_and_with_bounds_but_no_object_none():
    parts, nothing = samples.draw(schema.Sampler(), rng().random((5, 4))), OBJECTS[:0]
    assert samples.counts(schema.SampleConstraint(), parts, nothing).all()
    bound = schema.SampleConstraint(max_sample_coverage=1)
    assert not samples.counts(bound, parts, nothing).any()


def test_the_parts_of_all_samplers_are_one_pool():
    """One whole image beside three quarters of it: a quarter of what is chosen is the whole."""
    several = [
        sampler(max_sample=1),
        sampler(min_scale=0.5, max_scale=0.5, max_sample=3),
    ]
    chosen = [samples.choose(several, OBJECTS, rng(seed)) for seed in range(2000)]
    whole = np.mean([areas(part) > 0.9 for part in chosen])
    assert abs(whole - 0.25) < 0.04  # four standard deviations


def test_where_nothing_counts_the_whole_image_is_taken():
    assert samples.choose([], OBJECTS, rng()) is None
    never = sampler(constraint=dict(min_jaccard_overlap=1.5), min_scale=0.2)
    assert samples.choose([never], OBJECTS, rng()) is None
    off = sampler(max_sample=1)
    off.use_original_image = False
    assert samples.choose([off], OBJECTS, rng()) is None


def test_max_trials_ends_the_search():
    rare = dict(constraint=dict(min_object_coverage=1), min_scale=0.45, max_scale=0.45)
    few = sum(
        samples.choose([sampler(**rare, max_trials=2, max_sample=1)], OBJECTS, rng(s)) is not None
        for s in range(300)
    )
    many = sum(
        samples.choose([sampler(**rare, max_trials=200, max_sample=1)], OBJECTS, rng(s)) is not None
        for s in range(300)
    )
    assert 0 < few < 200 < many


def test_all_of_an_object_is_all_of_it_in_float32():
    """A face that the part holds has coverage 1, not 1 less a rounding error."""
    boxes = rng(3).random((500, 2, 2)).astype(np.float32)
    boxes = np.sort(boxes, axis=1).reshape(-1, 4) * np.float32(0.5) + np.float32(0.2)
    whole = np.array([[0, 0, 1, 1]], np.float32)
    for box in boxes:
        constraint = schema.SampleConstraint(min_object_coverage=1)
        assert samples.counts(constraint, whole, box[None]).all()


@pytest.mark.parametrize(
    "keywords, words",
    [
        (dict(min_scale=0), "batch_sampler 1 has scales from 0 to 1"),
        (dict(min_scale=0.9, max_scale=0.3), "scales from 0.9 to 0.3"),
        (dict(max_scale=2), "scales from 1 to 2"),
        (dict(min_aspect_ratio=0), "aspect ratios from 0 to 1"),
        (dict(max_aspect_ratio=float("inf")), "aspect ratios from 1 to inf"),
    ],
)
def test_samplers_that_cannot_draw_are_refused(keywords, words):
    def reject(found, **more):
        raise LayerConfigError(found)

    with pytest.raises(LayerConfigError, match=words):
        samples.check([sampler(), sampler(**keywords)], reject)
