"""DetectionEvaluate against its rules, one detection at a time."""

import numpy as np
import pytest

from minidl.errors import DataError, LabelError, LayerConfigError
from minidl.net import Net
from minidl.testing.harness import build


def net(count, objects, settings="num_classes: 4"):
    return Net(f"""
    layer {{ name: "in" type: "Input" top: "found" top: "there" input_param {{
      shape {{ dim: 1 dim: 1 dim: {count} dim: 7 }}
      shape {{ dim: 1 dim: 1 dim: {objects} dim: 8 }} }} }}
    layer {{ name: "eval" type: "DetectionEvaluate" bottom: "found" bottom: "there" top: "eval"
      detection_evaluate_param {{ {settings} }} }}""")


def run(made, found, there):
    made.forward(found=found[None, None], there=there[None, None])
    return np.array(made.blobs["eval"].read())[0, 0]


def drawn(seed=0, images=3, most=9):
    """Objects, and detections near them and elsewhere; some rows that are none."""
    rng = np.random.default_rng(seed)
    there, found = [], []
    for image in range(images):
        for _ in range(rng.integers(0, 6)):
            corner = rng.random(2) * 0.7
            box = [*corner, *(corner + 0.1 + rng.random(2) * 0.2)]
            kind, hard = rng.integers(1, 4), rng.integers(0, 2)
            there.append([image, kind, 0, *box, hard])
            for _ in range(rng.integers(0, 3)):
                near = np.array(box) + rng.normal(0, 0.02, 4)
                found.append([image, kind, rng.random(), *near])
        for _ in range(rng.integers(0, 4)):
            corner = rng.random(2) * 0.7
            found.append([image, rng.integers(1, 4), rng.random(), *corner, *(corner + 0.2)])
    found += [[-1] * 7] * 2
    there = there or [[-1] * 8]
    return np.array(found, np.float32), np.array(there, np.float32)


def overlap(a, b, extent=0):
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    if min(sides) < 0:
        return 0.0
    both = np.prod([s + extent for s in sides])
    size = [(c[2] - c[0] + extent) * (c[3] - c[1] + extent) for c in (a, b)]
    return both / (sum(size) - both) if both > 0 else 0.0


def by_definition(found, there, classes=(1, 2, 3), least=0.5, difficult=True, boxes=None):
    """The rows; `boxes` turns a box of an image into what is compared."""
    boxes = boxes or (lambda image, box: box)
    extent = 0 if boxes.__name__ == "<lambda>" else 1
    rows = [
        [-1, c, sum(o[1] == c and (difficult or not o[7]) for o in there if o[0] >= 0), -1, -1]
        for c in classes
    ]
    for image in sorted({int(f[0]) for f in found if f[0] >= 0}):
        for c in classes:
            own = [f for f in found if f[0] == image and f[1] == c]
            known = [o for o in there if o[0] == image and o[1] == c]
            if known:
                own = sorted(own, key=lambda f: -f[2])
            taken = []
            for f in own:
                shared = [
                    overlap(boxes(image, f[3:7]), boxes(image, o[3:7]), extent) for o in known
                ]
                best = int(np.argmax(shared)) if shared else -1
                result = [0, 1]
                if shared and shared[best] >= least:
                    if known[best][7] and not difficult:
                        result = [0, 0]
                    elif best not in taken:
                        taken.append(best)
                        result = [1, 0]
                rows.append([image, c, f[2], *result])
    return np.array(rows)


SETTINGS = {
    "plain": ("", {}),
    "another threshold": ("overlap_threshold: 0.8", dict(least=0.8)),
    "without difficult ones": ("evaluate_difficult_gt: false", dict(difficult=False)),
}


@pytest.mark.parametrize("settings, keywords", SETTINGS.values(), ids=SETTINGS.keys())
def test_rows_follow_the_definition(settings, keywords):
    kinds = set()
    for seed in range(30):
        found, there = drawn(seed)
        rows = run(net(len(found), len(there), f"num_classes: 4 {settings}"), found, there)
        np.testing.assert_allclose(rows, by_definition(found, there, **keywords), rtol=1e-6)
        kinds |= {tuple(row[3:].astype(int)) for row in rows}
    assert kinds == {(-1, -1), (1, 0), (0, 1)} | ({(0, 0)} if "difficult" in keywords else set())


def test_the_background_may_be_another_class():
    found, there = drawn(3)
    keep = found[:, 1] != 2
    found, there = found[keep], there[there[:, 1] != 2]
    for table in (found, there):
        table[table[:, 1] == 3, 1] = 0
    rows = run(net(len(found), len(there), "num_classes: 3 background_label_id: 2"), found, there)
    assert rows[:2, 1].tolist() == [0, 1]


def test_one_net_takes_any_number_of_detections():
    made = net(5, 2)
    found, there = np.full((5, 7), -1, np.float32), np.full((2, 8), -1, np.float32)
    assert run(made, found, there).shape == (3, 5)
    found[0] = [0, 1, 0.5, 0, 0, 1, 1]
    there[1] = [0, 1, 0, 0, 0, 1, 0.9, 0]
    np.testing.assert_allclose(run(made, found, there)[3:], [[0, 1, 0.5, 1, 0]])


@pytest.fixture
def sizes(tmp_path):
    file = tmp_path / "sizes.txt"
    file.write_text("a picture 40 60\nb 10 30\n\nc 7 9\n")
    return file


def test_boxes_of_pixels_count_their_last_ones(sizes):
    size = [(40, 60), (10, 30), (7, 9)]

    def pixels(image, box):
        h, w = size[image]
        return np.clip(box, 0, 1) * np.float32([w, h, w, h])

    changed = False
    for seed in range(20):
        found, there = drawn(seed)
        if set(found[:, 0]) < {0, 1, 2}:
            continue
        made = net(len(found), len(there), f'num_classes: 4 name_size_file: "{sizes}"')
        rows = run(made, found, there)
        np.testing.assert_allclose(rows, by_definition(found, there, boxes=pixels), rtol=1e-6)
        changed |= bool((rows != by_definition(found, there).astype(np.float32)).any())
    assert changed


def test_each_image_with_a_detection_has_the_next_size(sizes):
    """A box of 0.4 x 0.4 and one of 0.5 x 0.4: as pixels of 7 x 9 they overlap by more."""
    settings = f'num_classes: 2 name_size_file: "{sizes}" overlap_threshold: 0.82'
    made = net(1, 1, settings)
    found = np.array([[0, 1, 0.5, 0, 0, 0.4, 0.4]], np.float32)
    there = np.array([[0, 1, 0, 0, 0, 0.5, 0.4, 0]], np.float32)
    right = [run(made, found, there)[1, 3] for _ in range(6)]
    assert right == [0, 0, 1] * 2
    (layer,) = made.data_layers  # a snapshot keeps where it stands
    assert layer.name == "eval" and layer.position == 6
    layer.position = 2
    assert run(made, found, there)[1, 3] == 1


RESIZES = {
    "WARP": ("resize_mode: WARP height: 50 width: 50", lambda b: b),
    # 40 x 60 in 50 x 50: 33.3 rows, from 8.33 on
    "FIT_LARGE_SIZE_AND_PAD": (
        "resize_mode: FIT_LARGE_SIZE_AND_PAD height: 50 width: 50",
        lambda b: [b[0], (b[1] * 50 - 25 / 3) / (100 / 3), b[2], (b[3] * 50 - 25 / 3) / (100 / 3)],
    ),
}


@pytest.mark.parametrize("resize, back", RESIZES.values(), ids=RESIZES.keys())
def test_boxes_are_brought_back_to_the_image(sizes, resize, back):
    def pixels(image, box):
        return np.clip(back(box), 0, 1) * np.array([60, 40, 60, 40])

    settings = f'num_classes: 4 name_size_file: "{sizes}" resize_param {{ {resize} }}'
    for seed in range(20):
        found, there = drawn(seed, images=1)
        rows = run(net(len(found), len(there), settings), found, there)
        np.testing.assert_allclose(rows, by_definition(found, there, boxes=pixels), rtol=1e-5)


def test_a_small_size_may_have_rows_and_columns_of_its_own(sizes):
    """Boxes in units of 20 rows and 30 columns, compared in an image of 40 x 60 pixels."""
    resize = "resize_mode: FIT_SMALL_SIZE height: 20 width: 20 height_scale: 20 width_scale: 30"
    settings = f'num_classes: 2 name_size_file: "{sizes}" resize_param {{ {resize} }} '
    found = np.array([[0, 1, 0.5, 0, 0, 1.5, 1]], np.float32)  # 0 to 45, 0 to 20
    there = np.array([[0, 1, 0, 0, 0, 1.5, 3, 0]], np.float32)  # 0 to 45, 0 to 40, where it ends
    shared = (46 * 21) / (45 * 20 + 45 * 40 - 46 * 21)  # the areas without the last pixels
    for threshold, wanted in ((shared - 0.01, 1), (shared + 0.01, 0)):
        rows = run(net(1, 1, settings + f"overlap_threshold: {threshold}"), found, there)
        assert rows[1, 3] == wanted


@pytest.mark.parametrize(
    "keywords, words",
    [
        ({}, "num_classes is missing"),
        (dict(num_classes=1), "num_classes is 1, and that is the background"),
        (dict(num_classes=2, overlap_threshold=0), "overlap_threshold is 0"),
        (dict(num_classes=2, resize_param=dict(height=3)), "height 3 and width 0"),
    ],
)
def test_what_makes_no_sense_is_refused(keywords, words):
    from minidl import schema
    from minidl.layers.base import layer_class
    from minidl.layers.context import Context
    from minidl.prototxt.assign import assign

    spec = schema.LayerParameter(name="e", type="DetectionEvaluate", bottom=["a", "b"], top=["c"])
    assign(spec.detection_evaluate_param, keywords)
    with pytest.raises(LayerConfigError, match=words):
        layer_class(spec)(spec, Context(dtype=np.float32))


def test_wrong_shapes_and_classes_are_refused():
    layer = build("DetectionEvaluate", bottoms=2, num_classes=3)
    with pytest.raises(LayerConfigError, match=r"\(1, 1, rows, 7\)"):
        layer.top_shapes((1, 1, 4, 6), (1, 1, 2, 8))
    with pytest.raises(LayerConfigError, match=r"\(1, 1, rows, 8\)"):
        layer.top_shapes((1, 1, 4, 7), (2, 1, 2, 8))
    found, there = np.zeros((1, 7), np.float32), np.full((1, 8), -1, np.float32)
    with pytest.raises(LabelError, match=r"class 0 in 'found'(.|\n)*the background, 0"):
        run(net(1, 1), found, there)
    there[0, :2] = [0, 9]
    with pytest.raises(LabelError, match="class 9 in 'there'"):
        run(net(1, 1), found - 1, there)


def test_a_list_of_sizes_that_is_none_is_refused(tmp_path):
    def made(text):
        file = tmp_path / "sizes.txt"
        if text is not None:
            file.write_text(text)
        return net(1, 1, f'num_classes: 2 name_size_file: "{file}"')

    for text, words in (
        (None, "there is no such file"),
        ("\n", "has no lines"),
        ("a 3 4\nb 5\n", "line 2 is 'b 5'(.|\n)*a name, the height and the width"),
        ("a 3 0\n", "line 1 is 'a 3 0'"),
    ):
        with pytest.raises(DataError, match=rf"eval(.|\n)*name_size_file(.|\n)*{words}"):
            made(text)
