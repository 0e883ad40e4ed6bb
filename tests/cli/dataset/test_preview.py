"""minidl dataset preview: a picture as the data set holds it, to the pixel."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from minidl.cli import main
from minidl.data.sources.lmdb import Lmdb

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("lmdb", reason="lmdb is not installed")

RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path("pictures", name).mkdir(parents=True)
        for i in range(2):
            pixels = RNG.integers(0, 256, (20, 33, 3), np.uint8)
            image.fromarray(pixels).save(f"pictures/{name}/{i}.png")
    return tmp_path


def shown(data):
    pixels = np.asarray(image.open(io.BytesIO(data)))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[::-1]


WAYS = {
    "squash": ["--resize", "squash", "--size", "16"],
    "crop, grey": ["--resize", "crop", "--size", "16,10", "--gray"],
    "noise": ["--resize", "fill", "--size", "24"],
    "half crop, as JPEG": ["--resize", "half-crop", "--size", "17,16", "--encode-type", "jpg"],
}


@pytest.mark.parametrize("words", WAYS.values(), ids=WAYS.keys())
def test_the_preview_is_the_record(words, capsys):
    assert main(["dataset", "folder", "pictures", "--out", "data", "--val", "0", *words]) == 0
    store = Lmdb(Path("data/train_lmdb"))
    records = {r.key.split("_", 1)[1]: r.image for r in map(store.__getitem__, range(len(store)))}
    store.close()
    for path, record in records.items():
        capsys.readouterr()
        assert main(["dataset", "preview", path, *words, "--json", "--out", "x.png"]) == 0
        found = json.loads(capsys.readouterr().out)
        np.testing.assert_array_equal(shown(base64.b64decode(found["png"])), record)
        np.testing.assert_array_equal(shown(Path("x.png").read_bytes()), record)
        assert found["size"] == list(record.shape[1:]) and found["channels"] == len(record)
        assert found["from"] == [20, 33]


def test_a_grey_picture_stays_grey_and_alpha_is_dropped(capsys):
    image.fromarray(np.full((4, 4), 9, np.uint8)).save("grey.png")
    image.fromarray(np.full((4, 4, 4), 9, np.uint8)).save("alpha.png")
    for name, channels in (("grey", 1), ("alpha", 3)):
        assert main(["dataset", "preview", f"{name}.png", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["channels"] == channels


REFUSED = {
    "nowhere": (["pictures/a/0.png"], "where to"),
    "no picture": (["pictures/a/9.png", "--json"], "there is no such picture file"),
    "a text": (["text.png", "--json"], r"text\.png: .* not an image"),
    "too large": (["pictures/a/0.png", "--json", "--size", "9999999"], "too large for a preview"),
    "both": (["pictures/a/0.png", "--json", "--gray", "--color"], "are both given"),
    "no size": (["pictures/a/0.png", "--json", "--size", "0"], "'0' is not a size"),
    "over a text": (["pictures/a/0.png", "--out", "text.png"], "fix: write elsewhere"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, capsys):
    Path("text.png").write_text("no picture at all")
    assert main(["dataset", "preview", *words]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
