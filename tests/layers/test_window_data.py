"""WindowData: which windows a batch has, what it makes of them, and what it refuses."""

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.device import Device
from minidl.arrays.rng import Streams
from minidl.data.image_mean import write as write_mean
from minidl.data.resize import stretch
from minidl.data.windows import cut
from minidl.errors import DataError, LayerConfigError, MinidlError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.testing.harness import bind, make_spec
from tests.layers.test_data import batches

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RNG = np.random.default_rng(0)
RGB = [RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)]
IMAGES = [rgb[..., ::-1].transpose(2, 0, 1) for rgb in RGB]
# (image, class, overlap, box); class and overlap tell which is which
WINDOWS = [
    (0, 3, 0.9, (2, 3, 12, 17)),
    (0, 4, 0.7, (0, 0, 9, 9)),
    (0, 0, 0.1, (15, 2, 29, 19)),
    (1, 7, 1.0, (10, 5, 29, 19)),
    (1, 0, 0.0, (0, 0, 5, 19)),
    (1, 2, 0.3, (4, 4, 14, 14)),
]
FOREGROUND, BACKGROUND = {3, 4, 7}, [w for w in WINDOWS if w[2] < 0.5]


@pytest.fixture
def folder(tmp_path):
    text = ""
    for i, rgb in enumerate(RGB):
        Image.fromarray(rgb).save(tmp_path / f"{i}.png")
        own = [w for w in WINDOWS if w[0] == i]
        text += f"# {i}\n{i}.png\n3\n20\n30\n{len(own)}\n"
        text += "".join(f"{c} {o} {' '.join(map(str, box))}\n" for _, c, o, box in own)
    (tmp_path / "w.txt").write_text(text)
    return tmp_path


@pytest.fixture
def make(folder):
    layers = []

    def made(seed=1, device="cpu", **keywords):
        fields = dict(
            source=str(folder / "w.txt"),
            root_folder=f"{folder}/",
            batch_size=8,
            crop_size=10,
            fg_fraction=0.4,
        )
        spec = make_spec("WindowData", tops=2, **{"name": "windows", **fields, **keywords})
        ctx = Context(Device(device), np.float64, schema.TRAIN, Streams(seed))
        layers.append(layer_class(spec)(spec, ctx))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


def possible(label, mirror=False, pad=0, square=False, mean=None, scale=1.0):
    """All that a window of this class may become, by definition."""
    for image, kind, overlap, box in WINDOWS:
        if (kind if overlap >= 0.5 else 0) != label:
            continue
        for flip in (False, True) if mirror else (False,):
            part = cut(box, (3, 20, 30), 10, pad, square, flip)
            pixels = IMAGES[image][:, part.rows, part.columns]
            pixels = stretch(pixels, part.height, part.width).astype(float)
            out = np.zeros((3, 10, 10))
            for c, i, j in np.ndindex(pixels.shape):
                y, x = part.top + i, part.left + j
                value = pixels[c, i, part.width - 1 - j if flip else j]
                out[c, y, x] = (value - (0 if mean is None else mean[c, y, x])) * scale
            yield out


def check(layer, count=12, **options):
    """Every item of the next batches is one of what it may be; returns the labels."""
    labels = []
    for data, label in batches(layer, count):
        for item, kind in zip(data, label, strict=True):
            near = [np.allclose(item, p, atol=1e-5) for p in possible(int(kind), **options)]
            assert any(near), kind
        labels += label.astype(int).tolist()
    return labels


def test_background_comes_first_then_a_share_of_foreground(make):
    layer = make()
    assert layer.top_shapes() == ((8, 3, 10, 10), (8,))
    labels = np.reshape(check(layer), (12, 8))
    assert not labels[:, :5].any()
    assert set(labels[:, 5:].ravel().tolist()) == FOREGROUND


MEAN = RNG.uniform(0, 200, (3, 14, 16)).astype("f4")
OPTIONS = {
    "mirrored": dict(mirror=True),
    "with surroundings": dict(pad=2),
    "surroundings, mirrored": dict(pad=2, mirror=True),
    "as squares": dict(square=True),
    "squares with surroundings": dict(pad=3, square=True, mirror=True),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_windows_follow_the_definition(make, options):
    fields = dict(mirror=options.get("mirror", False), context_pad=options.get("pad", 0))
    fields["crop_mode"] = "square" if options.get("square") else "warp"
    check(make(**fields), **options)


def test_the_mean_is_subtracted_where_there_are_pixels(make, folder):
    write_mean(folder / "mean.binaryproto", MEAN)
    layer = make(mean_file=str(folder / "mean.binaryproto"), scale=0.5, context_pad=2)
    check(layer, mean=MEAN[:, 2:12, 3:13].astype(float), scale=0.5, pad=2)
    values = np.broadcast_to(np.reshape([1.0, 2, 3], (3, 1, 1)), (3, 10, 10))
    check(make(mean_value=[1, 2, 3], context_pad=2), mean=values, pad=2)


def test_batches_are_functions_of_seed_and_number(make):
    whole = batches(make(mirror=True), 6)
    resumed = make(mirror=True, workers=3, cache_images=True)
    resumed.position = 4
    for one, other in zip(whole[4:], batches(resumed, 2), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert not np.array_equal(whole[0][0], batches(make(mirror=True, seed=2), 1)[0][0])


def test_augmented_windows_change_from_batch_to_batch_but_not_from_run_to_run(make):
    changes = dict(augment=dict(max_scale=1.5, brightness=0.3, hue=30))
    one, other = batches(make(**changes), 2), batches(make(**changes), 2)
    np.testing.assert_array_equal(one[1][0], other[1][0])
    plain = batches(make(), 1)[0]
    assert not np.allclose(one[0][0], plain[0]) and one[0][1].tolist() == plain[1].tolist()


def test_a_window_in_words(make, folder):
    layer = make(batch_size=2, fg_fraction=0.5)
    batches(layer, 1)
    assert layer.record(1).startswith("window ") and layer.record(1).endswith(f"{folder}/w.txt")


def test_batches_reach_a_gpu(make, gpu):
    (expected, labels), *_ = batches(make(), 1)
    layer = make(device="cuda:0")
    _, top = bind(layer)
    layer.forward([], top)
    np.testing.assert_array_equal(layer.ctx.device.to_host(top[0].data), expected)
    np.testing.assert_array_equal(layer.ctx.device.to_host(top[1].data), labels)


WRONG = {
    "no crop": (dict(crop_size=0), "crop_size is missing"),
    "a resize": (dict(resize=dict(height=3)), "crop_size sets the size of windows"),
    "a size for each": (dict(img_rand_resize_lower=9), "has what draws a size, but crop_size"),
    "grey": (dict(force_gray=True), "windows are read in colour"),
    "a share above one": (dict(fg_fraction=1.5), "fg_fraction is 1.5"),
    "a mode that is none": (dict(crop_mode="round"), "crop_mode is 'round'"),
    "too many surroundings": (dict(context_pad=5), "context_pad is 5, crop_size 10"),
}


@pytest.mark.parametrize("fields, message", WRONG.values(), ids=WRONG.keys())
def test_wrong_parameters_are_refused(make, fields, message):
    with pytest.raises(LayerConfigError, match=f"WindowData layer 'windows': .*{message}"):
        make(**fields)


def test_a_file_without_foreground_is_refused(make):
    with pytest.raises(DataError, match="'windows': .*no window that counts as foreground"):
        make(fg_threshold=1.5).top_shapes()


def test_images_that_are_absent_or_of_another_size_are_named(make, folder):
    Image.fromarray(RGB[0][:, :20]).save(folder / "0.png")
    with pytest.raises(DataError, match=r"0.png, of .*w.txt: has 20 rows and 20 columns"):
        batches(make(), 5)
    (folder / "1.png").unlink()
    (folder / "0.png").unlink()
    with pytest.raises(MinidlError, match=r"w.txt: .*png cannot be read(.|\n)*root_folder"):
        batches(make(), 1)


def test_windows_of_a_picture_that_exif_turns_are_its_own_or_not_as_is_said(make, folder):
    """Its 30 rows and 20 columns are what the file has; a window file may mean either picture."""
    for i, rgb in enumerate(RGB):
        lying = Image.fromarray(np.ascontiguousarray(rgb.swapaxes(0, 1)))
        exif = lying.getexif()
        exif[0x0112] = 5
        lying.save(folder / f"{i}.png", exif=exif)
    check(make(), count=2)
    with pytest.raises(DataError, match="has 30 rows and 20 columns(.|\n)*20 and 30") as caught:
        batches(make(ignore_orientation=True), 1)
    assert "ignore_orientation" in str(caught.value)
