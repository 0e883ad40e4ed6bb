"""PoseImageData: its shapes, its phases, and its refusals."""

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.rng import Streams
from minidl.errors import DataError, LayerConfigError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.testing.harness import make_spec
from tests.layers.test_data import batches

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

FIELDS = dict(
    **dict(batch_size=2, key_point_num=2, torso_ratio=0.5, mx1=2, mx2=2, my1=2, my2=2),
    **dict(new_height=32, new_width=24, out_height=8, out_width=6, use_mode=1),
    **dict(scale_lower_bound=1, scale_upper_bound=1.5),
)


@pytest.fixture
def make(tmp_path):
    layers = []
    pixels = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("10 11\n15 20\n10 10\n12 25\n")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/a.png {tmp_path}/a.txt\n" * 3)

    def made(phase=schema.TRAIN, absent=None, source="list.txt", **keywords):
        fields = {**FIELDS, "source": str(tmp_path / source), **keywords}
        spec = make_spec("PoseImageData", name="people", **fields)
        ctx = Context(dtype=np.float32, phase=phase, streams=Streams(1), absent_data=absent)
        layers.append(layer_class(spec)(spec, ctx))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


def test_images_and_maps_have_the_sizes_asked_for(make):
    layer = make()
    assert layer.top_shapes() == ((2, 3, 32, 24), (2, 2, 8, 6))
    (data, maps), *_ = batches(layer, 1)
    assert data.max() > 0 and set(np.unique(maps)) == {-1, 0, 1}
    absent = make(source="nowhere", absent=(3, 9, 9))
    assert absent.top_shapes() == layer.top_shapes()


def test_outside_training_boxes_are_not_enlarged(make):
    calm = [dict(phase=schema.TEST), dict(scale_lower_bound=1, scale_upper_bound=1)]
    (first, _), (second, _) = (batches(make(**keywords), 1)[0] for keywords in calm)
    np.testing.assert_array_equal(first, second)
    assert (batches(make(), 1)[0][0] != first).any()


REFUSED = {
    "mirror": (dict(mirror=True), "has mirror"),
    "joints": (dict(key_point_num=0), "key_point_num is 0"),
    "size": (dict(new_width=0), "new_width is 0"),
    "maps": (dict(out_height=33), "out_height is 33"),
    "torso": (dict(torso_ratio=0), "torso_ratio is 0"),
    "factors": (dict(scale_upper_bound=1.6), "scale_lower_bound is 1"),
}


@pytest.mark.parametrize("keywords, message", REFUSED.values(), ids=REFUSED.keys())
def test_refusals_name_the_layer_and_what_was_found(make, keywords, message):
    with pytest.raises(LayerConfigError, match=f"PoseImageData layer 'people'.*{message}"):
        make(**keywords)


def test_a_list_that_is_not_there_and_a_skip_too_large_are_refused(make):
    with pytest.raises(DataError, match="layer 'people'.*nowhere"):
        make(source="nowhere").top_shapes()
    with pytest.raises(DataError, match="layer 'people'.*rand_skip is 9"):
        make(rand_skip=9).top_shapes()
